"""Every fast kernel against its portable namesake: one table, which must have a row for each of them."""

import ast
import importlib
import importlib.util
import inspect
from pathlib import Path

import numpy as np
import pytest

from portable_nn import to_numpy
from portable_nn.arrays import Place, namespace
from portable_nn.errors import BackendError, MissingExtraError
from portable_nn.kernels import PORTABLE, PORTABLE_KERNELS, fast
from portable_nn.testing.backends import float64_enabled


def elementwise(*names):
    """Return the recipe of a kernel that takes arrays of one shape: the draw for each of its arguments."""
    return lambda draw, shape: [draw(shape) for _ in names]


# What each kernel is called with. `draw(shape)` returns an array of random numbers, special ones among them, at the
# backend, with the data type and memory layout that the test is about.
ARGUMENTS = {
    "relu_gradient": elementwise("dy", "y"),
}
TESTED_BY_BEHAVIOUR = {"compile_step"}

SHAPES = [(0,), (0, 4), (1,), (1, 7), (6, 1), (5, 8), (3, 4, 5), (64, 33)]
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, -3e38])
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
LAYOUTS = ("contiguous", "transposed", "every second")


def fast_kernels():
    """Return (backend, name) of every fast kernel, read from the source: the backends need not be installed."""
    for source in sorted(Path(fast.__file__).parent.glob("[!_]*.py")):
        for node in ast.parse(source.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                yield from ((source.stem, name) for name in ast.literal_eval(node.value))


FAST = list(fast_kernels())


def load(backend, name):
    """Return a fast kernel, or skip the test where its backend is missing."""
    try:
        namespace(backend)
    except (MissingExtraError, BackendError) as error:
        pytest.skip(f"missing backend {backend}: {error}")
    return getattr(importlib.import_module(f"{fast.__name__}.{backend}"), name)


def drawer(place, layout, rng):
    """Return `draw`: an array of a shape at a place, a third of its elements special, laid out in memory as asked."""

    def draw(shape):
        wide = (*shape[:-1], 2 * shape[-1]) if layout == "every second" else shape
        values = np.where(rng.random(wide) < 1 / 3, rng.choice(SPECIAL, wide), rng.normal(size=wide))
        if layout == "transposed":
            axes = tuple(reversed(range(len(shape))))
            return place.xp.permute_dims(place.asarray(values.transpose()), axes)
        array = place.asarray(values)
        return array[..., ::2] if layout == "every second" else array

    return draw


def test_there_are_fast_kernels():
    assert ("numpy", "relu_gradient") in FAST
    assert ("jax", "compile_step") in FAST


@pytest.mark.parametrize(("backend", "name"), FAST)
def test_every_fast_kernel_has_a_portable_namesake_and_a_row(backend, name):
    assert name in PORTABLE_KERNELS
    assert name in ARGUMENTS or name in TESTED_BY_BEHAVIOUR


def test_every_row_is_of_a_fast_kernel():
    assert ARGUMENTS.keys() | TESTED_BY_BEHAVIOUR == {name for _, name in FAST}


def test_every_fast_kernel_has_a_line_in_the_benchmark():
    source = Path(__file__).parents[2] / "benchmarks" / "kernels.py"
    if not source.exists():
        pytest.skip("the benchmarks are not beside the tests here")
    spec = importlib.util.spec_from_file_location("benchmarks_kernels", source)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    assert benchmark.CONTESTS.keys() == {name for _, name in FAST}
    assert benchmark.winning_size({10: [1.0, 2.0], 20: [2.0, 1.0], 30: [3.0, 1.0]}) == 20
    assert benchmark.winning_size({10: [2.0, 1.0], 20: [1.0, 1.0]}) is None


@pytest.mark.parametrize(("backend", "name"), FAST)
def test_same_parameters(backend, name):
    signatures = (inspect.signature(kernel) for kernel in (load(backend, name), PORTABLE_KERNELS[name]))
    described = [[(p.name, p.kind, p.default) for p in s.parameters.values()] for s in signatures]
    assert described[0] == described[1]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("backend", "name"), [pair for pair in FAST if pair[1] not in TESTED_BY_BEHAVIOUR])
def test_same_result(backend, name, dtype, layout):
    kernel, portable = load(backend, name), PORTABLE_KERNELS[name]
    rng = np.random.default_rng(0)
    with float64_enabled(backend), np.errstate(all="ignore"):
        draw = drawer(Place(backend, dtype=dtype), layout, rng)
        for shape in SHAPES:
            arguments = ARGUMENTS[name](draw, shape)
            before = [to_numpy(a).copy() for a in arguments]
            result, expected = kernel(*arguments), portable(*arguments)
            assert result.dtype == expected.dtype
            assert_same(to_numpy(result), to_numpy(expected), TOLERANCE[dtype])
            for argument, values in zip(arguments, before, strict=True):
                np.testing.assert_array_equal(to_numpy(argument), values, err_msg="an argument was written")


def assert_same(result, expected, tolerance):
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result[known]), np.signbit(expected[known]))


def double_step(params, slots, x):
    return [p * x for p in params], [s + x for s in slots], x * 2.0


@pytest.mark.parametrize("backend", [backend for backend, name in FAST if name == "compile_step"])
def test_a_compiled_step_does_what_the_step_does(backend):
    compiled, place = load(backend, "compile_step")(double_step), Place(backend)
    for number in (3.0, 4.0):
        x = place.asarray(number)
        params, slots, doubled = compiled([place.asarray([1.0, 2.0])], [place.asarray([5.0])], x)
        np.testing.assert_array_equal(to_numpy(params[0]), [number, 2.0 * number])
        np.testing.assert_array_equal(to_numpy(slots[0]), [5.0 + number])
        assert float(doubled) == 2.0 * number
        assert float(x) == number  # only parameters and slots are given away


def test_jax_reuses_the_memory_of_what_was_given_away():
    compiled, place = load("jax", "compile_step")(double_step), Place("jax")
    given = [place.asarray([1.0, 2.0])]
    compiled(given, [place.asarray([5.0])], place.asarray(3.0))
    assert given[0].is_deleted()


def test_jax_traces_a_step_once():
    traces = []

    def counted(params, slots, x):
        traces.append(x)
        return double_step(params, slots, x)

    compiled, place = load("jax", "compile_step")(counted), Place("jax")
    for x in (3.0, 4.0):
        compiled([place.asarray([1.0, 2.0])], [place.asarray([5.0])], place.asarray(x))
    assert len(traces) == 1


def test_the_portable_step_is_the_step_itself():
    assert PORTABLE.compile_step(double_step) is double_step
