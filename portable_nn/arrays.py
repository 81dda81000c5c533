"""Arrays of any library: which namespace they belong to, where they live, and how they move.

The only importer of array-api-compat.
"""

import importlib
import importlib.util
import re
from functools import cache
from types import ModuleType
from typing import Any, Protocol, Self, TypeAlias

import array_api_compat as _compat
import array_api_compat.numpy as _numpy

from portable_nn.errors import BackendError, DTypeError, MissingExtraError, NamespaceError

# Neither package tells its types.
compat: Any = _compat
numpy: Any = _numpy

__all__ = [
    "BACKENDS",
    "FLOATING_DTYPES",
    "Array",
    "Namespace",
    "Place",
    "backend_name",
    "device_of",
    "is_on_cpu",
    "move",
    "namespace",
    "namespace_of",
    "to_numpy",
]

Namespace: TypeAlias = Any
"""A module of the Array API standard. Its members are not typed by any of the libraries, hence `Any`."""

BACKENDS = {"numpy": "", "cupy": "cuda13", "torch": "torch", "jax": "jax", "array_api_strict": "test"}
"""The libraries that portable_nn is tested on, each with the extra that installs it."""

_MODULES = {name: f"array_api_compat.{name}" for name in ("numpy", "cupy", "torch")} | {
    "jax": "jax.numpy",
    "array_api_strict": "array_api_strict",
}

FLOATING_DTYPES = ("float32", "float64")
"""The data types that parameters may have, where the backend has them: those of the Array API standard."""


class Array(Protocol):
    """What the library asks of an array: the operators and attributes of the Array API standard."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102  (the standard's attributes, named only)
    @property
    def ndim(self) -> int: ...  # noqa: D102
    @property
    def dtype(self) -> Any: ...  # noqa: D102

    def __add__(self, other: Any, /) -> Self: ...
    def __radd__(self, other: Any, /) -> Self: ...
    def __rsub__(self, other: Any, /) -> Self: ...
    def __neg__(self) -> Self: ...
    def __sub__(self, other: Any, /) -> Self: ...
    def __mul__(self, other: Any, /) -> Self: ...
    def __rmul__(self, other: Any, /) -> Self: ...
    def __truediv__(self, other: Any, /) -> Self: ...
    def __rtruediv__(self, other: Any, /) -> Self: ...
    def __matmul__(self, other: Any, /) -> Self: ...
    def __le__(self, other: Any, /) -> Self: ...
    def __gt__(self, other: Any, /) -> Self: ...
    def __ge__(self, other: Any, /) -> Self: ...
    def __getitem__(self, key: Any, /) -> Self: ...


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
            _namespaces[kind] = compat.array_namespace(array)
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
    if not isinstance(xp, str | ModuleType):
        return xp  # an object that wraps a namespace
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
    cupy: Any = importlib.import_module("cupy")
    if not cupy.is_available():
        raise BackendError("cupy is installed but finds no CUDA GPU: check the driver with nvidia-smi, or use numpy")
    try:
        one = cupy.ones((2, 2), dtype="float32")
        answer = float((one @ one)[0, 0])
    except Exception as error:
        raise BackendError(f"cupy finds a GPU, but a first matrix product on it failed: {error}") from error
    if answer != 2.0:
        raise BackendError(f"cupy multiplied ones(2, 2) by itself and got {answer} where 2.0 was due")


def device_of(array: Array) -> Any:
    """Return the device that holds `array`, as its library names it."""
    return compat.device(array)


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


def to_numpy(array: object) -> Any:
    """Return a NumPy array of the values of `array`, which may share its memory: read it, do not write it."""
    if compat.is_numpy_array(array):
        return array
    if compat.is_cupy_array(array):
        return array.get()  # type: ignore[attr-defined]
    if compat.is_torch_array(array):
        return array.detach().cpu().numpy()  # type: ignore[attr-defined]
    if hasattr(array, "__array_namespace__") and "array_api_strict" in type(array).__module__:
        strict: Any = namespace("array_api_strict")
        return numpy.asarray(array.to_device(strict.Device("CPU_DEVICE")))  # type: ignore[attr-defined]
    return numpy.asarray(array)


class Place:
    """Where the arrays of a network live: a namespace, a device and a floating data type.

    Parameters
    ----------
    xp : str or namespace
        `numpy`, `cupy`, `torch`, `jax`, `array_api_strict`, or the module itself.
    device : object, optional
        A device of that library or its name (`"cpu"`, `"cuda:0"`, `"device1"`); by default the library's own default.
    dtype : str
        The name of a floating data type.

    Raises
    ------
    MissingExtraError, BackendError, NamespaceError
        As `namespace` raises them, and BackendError if the device does not exist.
    DTypeError
        If the library or the device has no such floating data type.
    """

    def __init__(self, xp: str | Namespace = "numpy", device: Any = None, dtype: str = "float32"):
        self.xp = namespace(xp)
        self.backend = backend_name(self.xp)
        self.dtype_name = str(dtype).rpartition(".")[2]
        device = _find_device(self.backend, device)
        self._check_dtype(device)
        self.dtype = getattr(self.xp, self.dtype_name)
        try:
            self.device = device_of(self.xp.zeros((1,), dtype=self.dtype, device=device))
        except Exception as error:  # each library raises its own
            raise BackendError(f"{self.backend} cannot make an array on the device {device!r}: {error}") from error

    def _check_dtype(self, device: Any) -> None:
        name = self.dtype_name
        if name not in FLOATING_DTYPES:
            raise DTypeError(f"one of the dtypes {', '.join(FLOATING_DTYPES)} is needed, got {name!r}")
        if name == "float64" and name not in self.xp.__array_namespace_info__().dtypes(device=device):
            hint = ': first call jax.config.update("jax_enable_x64", True)' if self.backend == "jax" else ""
            raise DTypeError(f"{self.backend} has no float64 on the device {device}{hint}")

    def asarray(self, values: Any, dtype: Any = None) -> Any:
        """Return `values` (NumPy array, list or number) as a new array here, of the place's data type by default."""
        return self.xp.asarray(values, dtype=self.dtype if dtype is None else dtype, device=self.device, copy=True)

    @property
    def index_dtype(self) -> Any:
        """The data type of labels here: the library's default integer."""
        return self.xp.__array_namespace_info__().default_dtypes(device=self.device)["integral"]

    def holds(self, array: object) -> bool:
        """Tell whether `array` is of this namespace and on this device, whatever its data type."""
        if backend_name(namespace_of(array)) != self.backend:
            return False
        device = device_of(array)  # type: ignore[arg-type]
        return device is None or device == self.device  # a tracer is on no device yet

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, str]:
        return self.backend, str(self.device), self.dtype_name

    def __repr__(self) -> str:
        return f"{self.backend} on {self.device}, {self.dtype_name}"

    def __deepcopy__(self, memo: Any) -> "Place":
        return self  # a value; modules and devices cannot be copied

    def __reduce__(self) -> Any:
        return Place, self._key()


def _find_device(backend: str, device: Any) -> Any:
    """Return the device that a string names; torch and NumPy take the string themselves."""
    if not isinstance(device, str):
        return device
    kind, _, index = device.partition(":")
    try:
        if backend == "jax":
            jax: Any = importlib.import_module("jax")
            return jax.devices({"cuda": "gpu"}.get(kind, kind))[int(index or 0)]
        if backend == "array_api_strict":
            strict: Any = importlib.import_module("array_api_strict")
            return strict.Device("CPU_DEVICE" if device == "cpu" else re.sub(r".*\(.(\w+).\)", r"\1", device))
        if backend == "cupy":
            cupy: Any = importlib.import_module("cupy")
            return cupy.cuda.Device(int(re.sub(r"\D", "", device) or 0))
    except (RuntimeError, IndexError, ValueError) as error:
        raise BackendError(f"{backend} has no device {device!r}: {error}") from error
    return device


def move(array: Any, place: Place, dtype: Any = None, name: str = "x") -> Any:
    """Return `array` at `place` with `dtype` (the place's own by default): itself where nothing has to change.

    NumPy arrays are moved.

    Raises
    ------
    NamespaceError
        If `array` belongs to another library or device; the message, which calls it `name`, says how to move it.
    """
    dtype = place.dtype if dtype is None else dtype
    if place.holds(array):
        return array if array.dtype == dtype else place.xp.astype(array, dtype)
    source = backend_name(namespace_of(array))
    if source == "numpy":
        return place.asarray(array, dtype)
    if source == place.backend:
        raise NamespaceError(f"{name} is on the device {device_of(array)}, the network on {place.device}: move one")
    raise NamespaceError(
        f"{name} is an array of {source}, the network is on {place.backend}: "
        f'move the network with .to("{source}"), or the array with portable_nn.to_numpy({name})'
    )
