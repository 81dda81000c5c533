"""Places: where arrays live, and how they get there."""

import importlib
import re
from typing import Any

from portable_nn.arrays.namespaces import (
    Namespace,
    backend_name,
    device_of,
    floating_dtype,
    namespace,
    namespace_of,
    numpy,
    without_graph,
)
from portable_nn.errors import BackendError, DTypeError, NamespaceError

__all__ = ["FLOATING_DTYPES", "PRECISIONS", "Place", "indices_beside", "move"]

FLOATING_DTYPES = ("float32", "float64")
"""The data types that parameters may have, where the backend has them: those of the Array API standard."""

_LOW = ("bfloat16", "float16")

_COMPUTE_LOW = ("torch", "jax", "cupy")
"""NumPy computes float16 in software, many times slower than float32."""

PRECISIONS = (*FLOATING_DTYPES, *_LOW)
"""The data types that layers may compute in, where the backend has them."""


_SHARDINGS = 64
"""How many of JAX's shardings a place remembers."""


class Place:
    """Where the arrays of a network live: a namespace, a device and a floating data type.

    With "bfloat16" or "float16" that is the data type in which layers compute, while all that is kept, parameters,
    states, losses, is in float32 (docs/precision.md; Micikevicius et al., Mixed precision training, ICLR 2018).

    Parameters
    ----------
    xp : str or namespace
        `numpy`, `cupy`, `torch`, `jax`, `array_api_strict`, or the module itself.
    device : object, optional
        A device of that library or its name (`"cpu"`, `"cuda:0"`, `"device1"`); by default the library's own default.
        For CuPy that is the current device, and there is no other: `with cupy.cuda.Device(1):` makes another current.
    dtype : str
        The name of a floating data type, one of `PRECISIONS`.

    Attributes
    ----------
    precision : str
        The name of the data type that layers compute in: what was asked for.
    dtype, dtype_name : data type of the library, and its name
        Of what is kept here: float32 or float64.
    is_mixed : bool
        Whether the two differ.

    Raises
    ------
    MissingExtraError, BackendError, NamespaceError
        As `namespace` raises them, and BackendError if the device does not exist.
    DTypeError
        If the library or the device has no such floating data type.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> place = pnn.Place("torch", "cpu", "bfloat16")
    >>> place.precision, place.dtype_name, place.computing.dtype
    ('bfloat16', 'float32', torch.bfloat16)
    """

    def __init__(self, xp: str | Namespace = "numpy", device: Any = None, dtype: str = "float32"):
        self.xp = namespace(xp)
        self.backend = backend_name(self.xp)
        self.precision = str(getattr(dtype, "__name__", dtype)).rpartition(".")[2]  # a dtype's class or its name
        if self.precision not in PRECISIONS:
            raise DTypeError(f"one of the dtypes {', '.join(PRECISIONS)} is needed, got {self.precision!r}")
        self.is_mixed = self.precision in _LOW
        self.dtype_name = "float32" if self.is_mixed else self.precision
        device = _find_device(self.backend, device)
        if self.backend == "torch" and str(device).partition(":")[0] == "meta":
            raise BackendError('torch\'s device "meta" holds no values: take "cpu" or "cuda"')
        try:
            probe = self.xp.zeros((1,), dtype=self.xp.float32, device=device)
            self.device = device_of(probe)
            self._kind: type[Any] = type(probe)
            self._layout: Any = probe.layout if self.backend == "torch" else None  # sparse tensors have another
        except Exception as error:  # each library raises its own
            raise BackendError(f"{self.backend} cannot make an array on the device {device!r}: {error}") from error
        if self.dtype_name not in self.xp.__array_namespace_info__().dtypes(device=self.device):
            hint = ': first call jax.config.update("jax_enable_x64", True)' if self.backend == "jax" else ""
            raise DTypeError(f"{self.backend} has no {self.dtype_name} on the device {self.device}{hint}")
        self.dtype = getattr(self.xp, self.dtype_name)
        self._dtype: Any = self.xp.zeros((1,), dtype=self.dtype, device=device).dtype  # as arrays have it
        self._shardings: dict[int, Any] | None = {} if self.backend == "jax" else None
        self.index_dtype: Any = self.xp.__array_namespace_info__().default_dtypes(device=self.device)["integral"]
        """The data type of labels here: the library's default integer."""
        self._other = self._low() if self.is_mixed else self

    def _low(self) -> "Place":
        """Return the place of what is computed here."""
        if self.backend not in _COMPUTE_LOW:
            raise DTypeError(
                f"{self.backend} has no products of {self.precision} that are faster than those of float32: "
                f"take dtype float32 there, or one of {', '.join(_COMPUTE_LOW)}"
            )
        try:
            dtype = floating_dtype(self.xp, self.precision)
            one = self.xp.ones((1, 1), dtype=dtype, device=self.device)
            float((one @ one)[0, 0])
        except Exception as error:  # each library raises its own
            raise DTypeError(
                f"{self.backend} does not compute in {self.precision} on the device {self.device}: {error}"
            ) from error
        low = object.__new__(Place)
        vars(low).update(vars(self))
        low.dtype, low.dtype_name, low.is_mixed, low._other = dtype, self.precision, False, self
        low._dtype = one.dtype
        return low

    @property
    def computing(self) -> "Place":
        """Where layers compute: the same, but that its `dtype` is that of the `precision`."""
        return self._other if self.is_mixed else self

    @property
    def keeping(self) -> "Place":
        """Where what layers compute is kept: the same, but that its `dtype` is that of parameters and states."""
        return self if self.is_mixed else self._other

    @classmethod
    def of_precision(cls, xp: str | Namespace, device: Any, precision: str) -> "Place":
        """Return a place of this precision, or of float32 where a library does not compute in it."""
        low = precision in _LOW and backend_name(namespace(xp)) in _COMPUTE_LOW
        return cls(xp, device, precision if low or precision in FLOATING_DTYPES else "float32")

    def asarray(self, values: Any, dtype: Any = None) -> Any:
        """Return `values` (NumPy array, list or number) as a new array here, of the place's data type by default."""
        dtype = self.dtype if dtype is None else dtype
        if isinstance(values, numpy.ndarray | numpy.generic) and not values.shape:
            values = values.item()  # torch takes no 0-d arrays of another data type
        return self.xp.asarray(without_graph(values), dtype=dtype, device=self.device, copy=True)

    def is_ready(self, array: Any, dtype: Any = None) -> bool:
        """Tell, quickly, whether `array` is sure to need no move, nor a cast to `dtype` (the place's own by default).

        False may also mean that it is not known.
        """
        if type(array) is not self._kind or array.dtype != (self._dtype if dtype is None else dtype):
            return False
        shardings = self._shardings
        if shardings is not None:
            sharding = array.sharding
            return shardings.get(id(sharding)) is sharding or self._is_sharded_here(array)
        return (
            array.device == self.device
            and (self._layout is None or array.layout == self._layout)
            and not getattr(array, "requires_grad", False)
        )

    def _is_sharded_here(self, array: Any) -> bool:
        """Tell whether an array of JAX is on the device, and remember its sharding, which many arrays share, if so.

        To ask for the device takes longer.
        """
        if array.device != self.device:
            return False
        known = self._shardings or {}
        self._shardings = {**(known if len(known) < _SHARDINGS else {}), id(array.sharding): array.sharding}
        return True

    def holds(self, array: Any) -> bool:
        """Tell whether `array` is of this namespace and on this device, whatever its data type."""
        if backend_name(namespace_of(array)) != self.backend:
            return False
        device = device_of(array)
        return device is None or device == self.device  # a tracer is on no device yet

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def without_precision(self) -> tuple[str, str, str]:
        """Return what two places have in common that keep the same arrays."""
        return self.backend, str(self.device), self.dtype_name

    def _key(self) -> tuple[str, str, str, bool]:
        return self.backend, str(self.device), self.precision, self.keeping is self

    def __repr__(self) -> str:
        return f"{self.backend} on {self.device}, {self.precision}"

    def __deepcopy__(self, memo: Any) -> "Place":
        return self  # a value; modules and devices cannot be copied

    def __reduce__(self) -> Any:
        if self.keeping is not self:
            return getattr, (self.keeping, "computing")
        return Place, self._key()[:3]


def _find_device(backend: str, device: Any) -> Any:
    """Return the device that a string names; torch and NumPy take the string themselves."""
    if backend == "cupy" and device is not None:
        return _cuda_device(device)
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
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise BackendError(f"{backend} has no device {device!r}: {error}") from error
    return device


def _cuda_device(device: Any) -> Any:
    """Return the device of CuPy that a string, a number or another device stands for: the current one, or an error.

    CuPy makes arrays on the current device, and computes with those on it alone.
    """
    cuda: Any = importlib.import_module("cupy").cuda
    named = re.fullmatch(r"(?:cuda|gpu|<CUDA Device )?:?(\d*)>?", str(device))
    number, current = int(named[1] or 0) if named else -1, cuda.runtime.getDevice()
    count: int = cuda.runtime.getDeviceCount()
    if not 0 <= number < count:
        known = ", ".join(f"cuda:{k}" for k in range(count))
        raise BackendError(f"cupy has no device {str(device)!r}: there are {known}")
    if number != current:
        raise BackendError(
            f"cupy computes on its current device, cuda:{current}, and not on {str(device)!r}: enter that first, with "
            f"cupy.cuda.Device({number}), or set CUDA_VISIBLE_DEVICES={number} and take cuda:0"
        )
    return cuda.Device(number)


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
        array = without_graph(array)
        return array if array.dtype == dtype else place.xp.astype(array, dtype)
    source = backend_name(namespace_of(array))
    if source == "numpy":
        # Not every library takes other byte orders, negative strides, or 0-d arrays of another data type.
        host = numpy.array(array, dtype=array.dtype.newbyteorder("="), order="C", ndmin=1, copy=None)
        return place.xp.reshape(place.asarray(host, dtype), array.shape)
    if source == place.backend:
        raise NamespaceError(f"{name} is on the device {device_of(array)}, the network on {place.device}: move one")
    raise NamespaceError(
        f"{name} is an array of {source}, the network is on {place.backend}: "
        f'move the network with .to("{source}"), or the array with portable_nn.to_numpy({name})'
    )


def indices_beside(array: Any, indices: Any) -> Any:
    """Return indices, a NumPy array or a list, in the namespace of `array`, on its device."""
    xp, device = namespace_of(array), device_of(array)
    integer = xp.__array_namespace_info__().default_dtypes(device=device)["integral"]
    return xp.asarray(indices, dtype=integer, device=device)
