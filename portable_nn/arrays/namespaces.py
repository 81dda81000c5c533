"""Namespaces: which library an array is from, and what the libraries do each in their own way."""

import importlib
import importlib.util
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias, cast

import array_api_compat as _compat
import numpy as np

from portable_nn.arrays.array import Array
from portable_nn.errors import BackendError, MissingExtraError, NamespaceError

# Neither package tells its types.
compat: Any = _compat
numpy: Any = np

__all__ = [
    "BACKENDS",
    "Namespace",
    "as_dtype_of",
    "backend_name",
    "copies",
    "device_of",
    "floating_dtype",
    "is_on_cpu",
    "namespace",
    "namespace_of",
    "numpy",
    "overflow_unreported",
    "owns_memory",
    "shares_memory",
    "to_numpy",
    "widened",
    "without_graph",
]

Namespace: TypeAlias = Any
"""A module of the Array API standard. Its members are not typed by any of the libraries, hence `Any`."""

BACKENDS = {"numpy": "", "cupy": "cuda13", "torch": "torch", "jax": "jax", "array_api_strict": "test"}
"""The libraries that portable_nn is tested on, each with the extra that installs it."""

_MODULES = {
    "numpy": "numpy",  # NumPy keeps the standard since 2.1; its wrapper costs more to import than all the rest
    "cupy": "array_api_compat.cupy",
    "torch": "array_api_compat.torch",
    "jax": "jax.numpy",
    "array_api_strict": "array_api_strict",
}


_namespaces: dict[type, Namespace] = {}


def namespace_of(array: object) -> Namespace:
    """Return the Array API namespace of `array`, remembered by the array's type.

    Raises
    ------
    NamespaceError
        If `array` is not an array of a supported library.
    """
    kind = type(array)
    if kind not in _namespaces:
        try:
            _namespaces[kind] = numpy if compat.is_numpy_array(array) else compat.array_namespace(array)
        except TypeError:
            raise NamespaceError(
                f"an array of {', '.join(BACKENDS)} is needed, got {kind.__name__}: wrap it in numpy.asarray(...)"
            ) from None
    return _namespaces[kind]


def backend_name(xp: Namespace) -> str:
    """Return the plain name of a namespace: `numpy`, `cupy`, `torch`, `jax`, `array_api_strict`, ..."""
    name: str = xp.__name__
    for backend, module in _MODULES.items():
        if name in (backend, module):
            return backend
    return name.removeprefix("array_api_compat.")


def namespace(xp: str | Namespace) -> Namespace:
    """Return the Array API namespace that `xp`, a module or a backend's name, stands for.

    Raises
    ------
    MissingExtraError
        If the library is not installed; the message names the extra that brings it.
    BackendError
        If the library is installed but its device does not answer (CuPy without a working GPU).
    NamespaceError
        If `xp` names no supported library.
    """
    if hasattr(xp, "asarray") and not isinstance(xp, ModuleType):
        return xp  # an object that wraps a namespace
    if not isinstance(xp, str | ModuleType):
        raise NamespaceError(f"a namespace or the name of one is needed ({', '.join(BACKENDS)}), got {xp!r}")
    name = xp.replace("-", "_").removesuffix(".numpy") if isinstance(xp, str) else backend_name(xp)
    if name not in BACKENDS:
        raise NamespaceError(f"unknown array library {name!r}: known are {', '.join(BACKENDS)}")
    if importlib.util.find_spec(name) is None:
        raise MissingExtraError.of(name, BACKENDS[name], f"the backend {name}")
    if name == "cupy":
        _confirm_cuda()
    return importlib.import_module(_MODULES[name])


@cache
def _confirm_cuda() -> None:
    # is_available() only counts devices; a product shows that driver, toolkit and GPU work together.
    try:
        cupy: Any = importlib.import_module("cupy")
        available: bool = cupy.is_available()
    except Exception as error:  # such as a library of CUDA that is missing, or of another version
        raise BackendError(f"cupy is installed but does not load: {_in_a_line(error)}") from error
    if not available:
        raise BackendError("cupy is installed but finds no CUDA GPU: check the driver with nvidia-smi, or use numpy")
    try:
        one = cupy.ones((2, 2), dtype="float32")
        answer = float((one @ one)[0, 0])
    except Exception as error:
        raise BackendError(f"cupy finds a GPU, but a first matrix product on it failed: {_in_a_line(error)}") from error
    if answer != 2.0:
        raise BackendError(f"cupy multiplied ones(2, 2) by itself and got {answer} where 2.0 was due")


def _in_a_line(error: Exception) -> str:
    """Return what an error says; some of CuPy's have a page of it, the reason first and then rulers around hints."""
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(line for line in lines if line.strip("=-*")) or type(error).__name__


def device_of(array: Array) -> Any:
    """Return the device that holds `array`, as its library names it."""
    if namespace_of(array).__name__ == _MODULES["torch"]:
        return cast("Any", array).device  # compat's way there makes torch.compile warn
    return compat.device(array)


def floating_dtype(xp: Namespace, name: str) -> Any:
    """Return the floating data type of a name; that of CuPy's bfloat16 comes from the package ml_dtypes."""
    if name == "bfloat16" and not hasattr(xp, name):
        return numpy.dtype(importlib.import_module("ml_dtypes").bfloat16)
    return getattr(xp, name)


def is_array(thing: object) -> bool:
    """Tell whether `thing` is an array of a library that is known."""
    return compat.is_array_api_obj(thing)


def is_on_cpu(array: Array) -> bool:
    """Tell whether the values of `array` can be read without waiting for another device, and are there at all.

    A tracer (JAX under `jit`) has no values.
    """
    if compat.is_cupy_array(array):
        return False
    if compat.is_torch_array(array):
        return device_of(array).type == "cpu"
    if compat.is_jax_array(array):
        device = device_of(array)
        return device is not None and getattr(device, "platform", "cpu") == "cpu"
    return True


def without_graph(array: Any) -> Any:
    """Return a torch tensor cut off from what autograd recorded of it; any other array as it is."""
    return array.detach() if compat.is_torch_array(array) and array.requires_grad else array


def copies(arrays: Iterable[Any]) -> list[Any]:
    """Return copies of arrays, where they are."""
    return [_copied(array) for array in arrays]


def _copied(array: Any) -> Any:
    xp = namespace_of(array)
    if xp.__name__ == _MODULES["cupy"]:  # which would copy to the thread's current device
        return xp.asarray(array, device=array.device, copy=True)
    return xp.asarray(array, copy=True)


def shares_memory(a: Any, b: Any) -> bool:
    """Tell whether writing into one of two arrays may change the other."""
    if a is b:
        return True
    if compat.is_numpy_array(a) and compat.is_numpy_array(b):
        return bool(numpy.may_share_memory(a, b))
    if compat.is_torch_array(a) and compat.is_torch_array(b):
        return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
    if compat.is_cupy_array(a) and compat.is_cupy_array(b):
        return bool(namespace_of(a).may_share_memory(a, b))
    return False


def owns_memory(array: Any) -> bool:
    """Tell whether an array is sure to be no view of another."""
    return getattr(array, "_base" if compat.is_torch_array(array) else "base", None) is None


def to_numpy(array: Any) -> Any:
    """Return a NumPy array of the values of `array`, which may share its memory: read it, do not write it.

    bfloat16, which NumPy does not have, comes as float32.
    """
    if compat.is_numpy_array(array):
        return array
    if str(getattr(array, "dtype", "")).endswith("bfloat16"):
        array = widened(array)
    if compat.is_cupy_array(array):
        return array.get()
    if compat.is_torch_array(array):
        return array.detach().cpu().numpy()
    if hasattr(array, "__array_namespace__") and "array_api_strict" in type(array).__module__:
        strict: Any = namespace("array_api_strict")
        return numpy.asarray(array.to_device(strict.Device("CPU_DEVICE")))
    return numpy.asarray(array)


def widened(array: Any) -> Any:
    """Return an array of float16 or bfloat16 as float32, for sums and statistics; any other as it is."""
    if getattr(array.dtype, "itemsize", 4) != 2:
        return array
    xp = namespace_of(array)
    return xp.astype(array, xp.float32)


def as_dtype_of(like: Any, array: Any) -> Any:
    """Return what was computed from `widened(like)` in the data type of `like`."""
    return array if array.dtype == like.dtype else namespace_of(array).astype(array, like.dtype)


def overflow_unreported() -> AbstractContextManager[Any]:
    """Return a context in which NumPy does not warn of infinities and NaN, for code that looks for them itself."""
    return numpy.errstate(over="ignore", invalid="ignore", divide="ignore")
