"""Namespaces and their names, what is said where a library is missing, and the way to NumPy."""

import importlib.util
import math
import re
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest

from portable_nn.arrays import (
    BACKENDS,
    Place,
    backend_name,
    is_on_cpu,
    namespace,
    namespace_of,
    namespaces,
    to_numpy,
    widened,
)
from portable_nn.errors import BackendError, MissingExtraError, NamespaceError


def test_namespace_of_an_array_is_its_library_s(xp):
    found = namespace_of(xp.ones(2, dtype=xp.float32))
    assert found is namespace(xp.backend.library)
    assert backend_name(found) == backend_name(xp) == xp.backend.library


@pytest.mark.parametrize("name", ["numpy", "torch", "jax", "array_api_strict"])
def test_a_namespace_goes_by_its_module_and_its_names(name):
    module = pytest.importorskip("jax.numpy" if name == "jax" else name)
    assert namespace(module) is namespace(name) is namespace(module.__name__) is namespace(name.replace("_", "-"))
    assert backend_name(module) == name


def test_an_object_that_wraps_a_namespace_is_taken_as_it_is(xp):
    assert namespace(xp) is xp


@pytest.mark.parametrize("value", [[1.0], (1.0,), 1.0, 1, None, "array", {}])
def test_what_is_no_array_is_named(value):
    with pytest.raises(NamespaceError, match=rf"got {type(value).__name__}: wrap it in numpy.asarray\(...\)"):
        namespace_of(value)


@pytest.mark.parametrize("library", ["tensorflow", "Numpy", "", math])
def test_an_unknown_library_is_named_with_the_known_ones(library):
    with pytest.raises(
        NamespaceError, match=r"unknown array library '(tensorflow|Numpy||math)': known are numpy, cupy"
    ):
        namespace(library)


@pytest.mark.parametrize(("name", "extra"), list(BACKENDS.items())[1:])
def test_a_missing_library_names_the_extra_that_brings_it(monkeypatch, name, extra):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if module == name else find_spec(module))
    for ask in (lambda: namespace(name), lambda: Place(name)):
        with pytest.raises(
            MissingExtraError, match=re.escape(f'python -m pip install "portable-nn[{extra}]"')
        ) as error:
            ask()
        assert error.value.name == name
        assert isinstance(error.value, ImportError)
    assert namespace("numpy")


class FakeCuPy(ModuleType):
    """A cupy whose GPU is as the test wants it: `answer` is what a product of ones(2, 2) holds, or an error."""

    def __init__(self, available, answer=2.0):
        super().__init__("cupy")
        self.__spec__ = ModuleSpec("cupy", None)
        self.available, self.answer = available, answer

    def is_available(self):
        return self.available

    def ones(self, shape, dtype):
        return self

    def __matmul__(self, other):
        if isinstance(self.answer, Exception):
            raise self.answer
        return np.full((2, 2), self.answer)


@pytest.mark.parametrize(
    ("cupy", "message"),
    [
        (FakeCuPy(available=False), "finds no CUDA GPU: check the driver with nvidia-smi, or use numpy"),
        (FakeCuPy(True, RuntimeError("no cuBLAS")), "a first matrix product on it failed: no cuBLAS"),
        (FakeCuPy(True, 0.0), r"multiplied ones\(2, 2\) by itself and got 0.0 where 2.0 was due"),
    ],
)
def test_cupy_without_a_working_gpu(monkeypatch, cupy, message):
    monkeypatch.setattr(namespaces, "_confirm_cuda", namespaces._confirm_cuda.__wrapped__)  # it asks once only
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(BackendError, match=message):
        namespace("cupy")


def test_to_numpy_gives_shape_dtype_and_values(xp):
    for values in ([[1.0, 2.5]], [], 3.0):
        array = to_numpy(xp.asarray(values, dtype=xp.float32))
        assert type(array) is np.ndarray
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, np.asarray(values, np.float32))
    assert to_numpy(xp.asarray([True])).dtype == np.bool_


def test_to_numpy_of_a_torch_tensor_that_asks_for_gradients():
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(to_numpy(torch.ones(2, requires_grad=True)), [1.0, 1.0])


def test_arrays_on_the_cpu_can_be_read_at_once(xp):
    elsewhere = xp.backend.library == "cupy" or xp.backend.name.endswith("-cuda")
    assert is_on_cpu(xp.ones(2, dtype=xp.float32)) is not elsewhere


def test_a_tracer_is_anywhere_and_has_no_values():
    jax = pytest.importorskip("jax")
    place, seen = Place("jax"), []

    def trace(x):
        seen.append((is_on_cpu(x), place.holds(x), namespace_of(x) is namespace("jax")))
        return x

    jax.jit(trace)(jax.numpy.ones(2))
    assert seen == [(False, True, True)]


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_half_precision_is_widened_and_nothing_else(library):
    module = pytest.importorskip("jax.numpy" if library == "jax" else library)
    for name in ("float16", "bfloat16") if library != "numpy" else ("float16",):
        half = module.ones(2, dtype=getattr(module, name))
        assert widened(half).dtype == module.float32
    single = module.ones(2, dtype=module.float32)
    assert widened(single) is single
