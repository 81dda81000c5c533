"""Compiled training steps do what the steps do."""

import importlib

import numpy as np
import pytest

from portable_nn import to_numpy
from portable_nn.arrays import Place, namespace
from portable_nn.errors import BackendError, MissingExtraError
from portable_nn.kernels import PORTABLE, fast


def load(backend):
    """Return the fast kernel of a backend, or skip the test where the backend is missing."""
    try:
        namespace(backend)
    except (MissingExtraError, BackendError) as error:
        pytest.skip(f"missing backend {backend}: {error}")
    return importlib.import_module(f"{fast.__name__}.{backend}").compile_step


def double_step(params, slots, x):
    return [p * x for p in params], [s + x for s in slots], x * 2.0


@pytest.mark.parametrize("backend", ["jax"])
def test_a_compiled_step_does_what_the_step_does(backend):
    compiled, place = load(backend)(double_step), Place(backend)
    for number in (3.0, 4.0):
        x = place.asarray(number)
        params, slots, doubled = compiled([place.asarray([1.0, 2.0])], [place.asarray([5.0])], x)
        np.testing.assert_array_equal(to_numpy(params[0]), [number, 2.0 * number])
        np.testing.assert_array_equal(to_numpy(slots[0]), [5.0 + number])
        assert float(doubled) == 2.0 * number
        assert float(x) == number  # only parameters and slots are given away


def test_jax_reuses_the_memory_of_what_was_given_away():
    compiled, place = load("jax")(double_step), Place("jax")
    given = [place.asarray([1.0, 2.0])]
    compiled(given, [place.asarray([5.0])], place.asarray(3.0))
    assert given[0].is_deleted()


def test_jax_traces_a_step_once():
    traces = []

    def counted(params, slots, x):
        traces.append(x)
        return double_step(params, slots, x)

    compiled, place = load("jax")(counted), Place("jax")
    for x in (3.0, 4.0):
        compiled([place.asarray([1.0, 2.0])], [place.asarray([5.0])], place.asarray(x))
    assert len(traces) == 1


def test_the_portable_step_is_the_step_itself():
    assert PORTABLE.compile_step(double_step) is double_step
