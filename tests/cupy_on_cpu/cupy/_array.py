"""The array: NumPy's values within, and no way to them but the ones that CuPy has."""

import numpy as np

from cupy import _indexing, _ledger, _operators, _products, _reductions, _shapes, _work
from cupy._flags import Flags
from cupy._ufuncs import UFUNCS
from cupy.cuda import _host
from cupy.cuda import device as _device
from cupy.cuda import memory as _memory
from cupy.cuda import stream as _stream

_COMPARISONS = {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal"}


class ndarray:
    """An array on a device. It wraps NumPy's; NumPy itself refuses it."""

    __slots__ = ("__weakref__", "_memory", "_values", "base")
    __array_priority__ = 100
    __hash__ = None
    _is_a_cupy_array = True

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        dtype = _work.checked_dtype(dtype)
        self.base = None
        if memptr is None:
            self._values = _work.unwritten(shape, dtype, order or "C")
            self._memory = _memory.Memory(self._values)
        else:
            source = memptr.mem.values.reshape(-1).view(np.uint8)
            self._values = np.ndarray(shape, dtype, source, memptr._offset, strides, order or "C")
            self._memory = memptr.mem

    @classmethod
    def _of(cls, values, memory, base=None):
        array = object.__new__(cls)
        array._values, array._memory, array.base = values, memory, base
        return array

    # What it is

    @property
    def shape(self):
        return self._values.shape

    @shape.setter
    def shape(self, shape):
        self._values = _shapes.without_copy(self, shape)._values

    @property
    def dtype(self):
        return self._values.dtype

    @property
    def ndim(self):
        return self._values.ndim

    @property
    def size(self):
        return self._values.size

    @property
    def itemsize(self):
        return self._values.itemsize

    @property
    def nbytes(self):
        return self._values.nbytes

    @property
    def strides(self):
        """In bytes; all 0 where there is nothing."""
        return self._values.strides if self.size else (0,) * self.ndim

    @property
    def flags(self):
        """As CuPy's: nothing of `writeable`."""
        flags = self._values.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, self.base is None)

    @property
    def device(self):
        """Where the array is."""
        return _device.Device(self._memory.device_id)

    @property
    def data(self):
        """Where its first element is."""
        return _memory.MemoryPointer(self._memory, self._address() - self._memory.ptr if self.size else 0)

    def _address(self):
        return self._values.__array_interface__["data"][0]

    @property
    def __cuda_array_interface__(self):
        stream = _stream.get_current_stream()
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": self.dtype.descr,
            "version": 3,
            "stream": stream.ptr or 1,
            "strides": None if self.flags.c_contiguous else self.strides,
            "data": (self._address() if self.size else 0, False),
        }

    def __len__(self):
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    # What NumPy must not do with it

    def __array__(self, dtype=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        import cupy

        function = getattr(cupy, ufunc.__name__, None)
        taken = (ndarray, np.ndarray, *_work.NUMBERS)
        if method != "__call__" or function is None or not all(isinstance(each, taken) for each in inputs):
            return NotImplemented
        if isinstance(options.get("out"), tuple):
            (options["out"],) = options["out"]
        if ufunc.__name__ in _COMPARISONS:
            inputs = [each.item() if isinstance(each, np.ndarray) and not each.ndim else each for each in inputs]
        return function(*inputs, **options)

    def __array_function__(self, function, types, arguments, options):
        import cupy

        found = cupy
        for name in [*function.__module__.split(".")[1:], function.__name__]:
            found = getattr(found, name, None)
        if found is None or found is function or not all(issubclass(t, ndarray | np.ndarray) for t in types):
            return NotImplemented
        return found(*arguments, **options)

    # From the device to the host, which waits

    def get(self, stream=None, order="C", out=None, blocking=True):
        """Return a NumPy array, when all work before is done."""
        if not blocking:
            raise NotImplementedError("get(blocking=False) is not in the stand-in")
        if out is not None:
            if not isinstance(out, np.ndarray):
                raise TypeError("Only numpy.ndarray can be obtained from cupy.ndarray")
            if self.dtype != out.dtype:
                raise TypeError(f"{out.dtype} array cannot be obtained from {self.dtype} array")
            if self.shape != out.shape:
                raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual shape: {out.shape}")
        with self.device:
            stream = _stream.get_current_stream() if stream is None else stream
            if not self._values.flags.forc and self.size:
                _work.launch("cupy_copy", [self])
            _memory.work("get", [self._memory], stream=stream)
            _ledger.total.reads += 1
            _stream.wait_for(stream._line())
        if out is None:
            order = ("F" if self._values.flags.fnc else "C") if order == "A" else order
            return np.array(self._values, order=order)
        out[...] = self._values
        return out

    def set(self, arr, stream=None):
        """Copy a NumPy array of the same data type and shape into this one; nobody waits for page-locked memory."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != arr.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if self.shape != arr.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if self.flags.c_contiguous:
            arr = np.asarray(arr, order="C")
        elif self.flags.f_contiguous:
            arr = np.asarray(arr, order="F")
        else:
            raise RuntimeError("Cannot set to non-contiguous array")
        stream = _stream.get_current_stream() if stream is None else stream
        if stream.device_id not in (-1, self._memory.device_id):
            raise RuntimeError(f"a copy to device {self._memory.device_id} on a stream of device {stream.device_id}")
        with self.device:
            self._copy_in(arr, stream)

    def _copy_in(self, host, stream=None):
        self._values[...] = host
        stamp = _memory.work("set", (), [self._memory], stream)
        _ledger.total.copies_in += 1
        if host.size and _host.is_pinned(host):
            _host.copying(host, stamp)

    def item(self):
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def tobytes(self, order="C"):
        return self.get().tobytes(order)

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __complex__(self):
        return complex(self.get())

    def __repr__(self):
        return repr(self.get())

    def __str__(self):
        return str(self.get())

    def __format__(self, spec):
        return format(self.get(), spec)

    def __contains__(self, value):
        return any(bool(each == value) for each in self)

    def __bytes__(self):
        return bytes(self.get())

    def __reduce__(self):
        from cupy import array

        return array, (self.get(),)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        from cupy import array

        with self.device:
            return array(self.get())

    # Indices

    def __getitem__(self, slices):
        return _indexing.get(self, slices)

    def __setitem__(self, slices, value):
        _indexing.put(self, slices, value)

    # Copies and views

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        """Return a copy of another data type, or itself where that is allowed and nothing changes."""
        for name, value in (("casting", casting), ("subok", subok)):
            if value is not None:
                raise TypeError(f"{name} is not supported yet")
        dtype = _work.checked_dtype(dtype)
        fits = order in ("K", "A") or self._values.flags["C" if order == "C" else "F"]
        if not copy and dtype == self.dtype and fits:
            return self
        _work.on_this_device(self)
        with np.errstate(all="ignore"):
            real = self._values.real if self.dtype.kind == "c" and dtype.kind in "biuf" else self._values
            values = real.astype(dtype, order)
        if dtype == self.dtype and self._values.flags.forc and values.strides == self._values.strides:
            _ledger.total.memory_operations["memcpy"] += 1
            return _work.made("cupy_copy", values, [self], launches=0)
        return _work.made("cupy_copy", values, [self])

    def copy(self, order="C"):
        """Return a copy, on the current device."""
        if self._memory.device_id == _device.current.number:
            return self.astype(self.dtype, order)
        return _work.from_peer(self, order)

    def view(self, dtype=None, type=None):
        """Return the same memory as another data type."""
        if type is not None and type is not ndarray:
            raise NotImplementedError("view(type=) is not in the stand-in")
        return _work.view(self, self._values if dtype is None else self._values.view(_work.checked_dtype(dtype)))

    def fill(self, value):
        """Put a number everywhere."""
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        _work.written("cupy_fill", self, value if isinstance(value, np.ndarray) else _work.operand(value), [value])

    @property
    def real(self):
        return _work.view(self, self._values.real) if self.dtype.kind == "c" else self

    @property
    def imag(self):
        return _work.view(self, self._values.imag) if self.dtype.kind == "c" else _work.made("fill", self._values.imag)

    def conj(self):
        return UFUNCS["conjugate"](self) if self.dtype.kind == "c" else self

    conjugate = conj

    @property
    def T(self):
        return self if self.ndim < 2 else _work.view(self, self._values.T)

    @property
    def mT(self):
        if self.ndim < 2:
            raise ValueError("matrix transpose with ndim < 2 is undefined")
        return _work.view(self, self._values.mT)

    @property
    def flat(self):
        """Nobody asks for this."""
        raise NotImplementedError("flat is not in the stand-in")

    # To other libraries

    def __dlpack_device__(self):
        return 2, self._memory.device_id  # kDLCUDA

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if dl_device is not None and dl_device[0] == 1:  # kDLCPU
            if copy is False:
                raise ValueError("GPU to CPU copy is required")
            return self.get().__dlpack__(max_version=max_version)
        if copy and (dl_device is None or dl_device[0] == 2):
            raise BufferError("copying to a CUDA device is not supported")
        return _work.Capsule(self)

    def toDlpack(self):
        return self.__dlpack__()


_METHODS = {
    _shapes: "reshape ravel flatten transpose swapaxes squeeze repeat diagonal",
    _reductions: "sum max min mean std var all any cumsum cumprod ptp argsort nonzero round",
    _indexing: "take compress searchsorted trace",
    _products: "dot",
}
for _module, _names in _METHODS.items():
    for _name in _names.split():
        setattr(ndarray, _name, getattr(_module, _name))
ndarray.clip = lambda self, min=None, max=None, out=None: _reductions.clip(self, min, max, out)
ndarray.argmax = lambda self, axis=None, out=None, dtype=None, keepdims=False: _reductions.argmax(
    self, axis, dtype, out, keepdims
)
ndarray.argmin = lambda self, axis=None, out=None, dtype=None, keepdims=False: _reductions.argmin(
    self, axis, dtype, out, keepdims
)
ndarray.prod = lambda self, axis=None, dtype=None, out=None, keepdims=None: _reductions.prod(
    self, axis, dtype, out, bool(keepdims)
)
ndarray.sort = _reductions.sort_in_place
for _name, _operator in _operators.OPERATORS.items():
    setattr(ndarray, _name, _operator)
