"""New arrays, and arrays of what is on the host."""

import numpy as np

from cupy import _ledger, _shapes, _work
from cupy._array import ndarray


def empty(shape, dtype=float, order="C"):
    """Return memory in which every read of what was not written shows."""
    return ndarray(shape, dtype, order=order)


def zeros(shape, dtype=float, order="C"):
    """Return zeros, by no launch."""
    result = _work.adopt(np.zeros(shape, _work.checked_dtype(dtype), order))
    if result.size:
        _ledger.total.memory_operations["memset"] += 1
        _work.launch("cupy_memset", (), [result], launches=0)
    return result


def ones(shape, dtype=float, order="C"):
    """Return ones."""
    return full(shape, 1, dtype, order)


def full(shape, fill_value, dtype=None, order="C"):
    """Return a number everywhere."""
    if dtype is None:
        dtype = fill_value.dtype if _work.is_array(fill_value) else np.array(fill_value).dtype
    result = empty(shape, dtype, order)
    result.fill(fill_value) if not _work.is_array(fill_value) else result.__setitem__(..., fill_value)
    return result


def _like(a, dtype, order, shape):
    """Return the values of an array of the layout of `a`."""
    _work.array(a)
    return np.empty_like(a._values, _work.checked_dtype(a.dtype if dtype is None else dtype), order or "K", shape=shape)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    """Return unwritten memory in the layout of another array."""
    values = _like(prototype, dtype, order, shape)
    values[...] = _work.unwritten((), values.dtype)
    return _work.adopt(values)


def zeros_like(a, dtype=None, order="K", subok=None, shape=None):
    """Return zeros in the layout of another array."""
    result = empty_like(a, dtype, order, subok, shape)
    result._values[...] = 0
    _ledger.total.memory_operations["memset"] += 1
    _work.launch("cupy_memset", (), [result], launches=0)
    return result


def ones_like(a, dtype=None, order="K", subok=None, shape=None):
    """Return ones in the layout of another array."""
    return full_like(a, 1, dtype, order, subok, shape)


def full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None):
    """Return a number everywhere, in the layout of another array."""
    result = empty_like(a, dtype, order, subok, shape)
    result[...] = fill_value
    return result


def arange(start, stop=None, step=1, dtype=None):
    """Return numbers at equal distances; none of them may be on a device."""
    start, stop = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    if any(map(_work.is_array, (start, stop, step))):
        raise TypeError("arange takes numbers of the host")
    return _work.made("cupy_arange", np.arange(start, stop, step, dtype))


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    """Return so many numbers at equal distances."""
    if retstep:
        raise NotImplementedError("linspace(retstep=True) is not in the stand-in")
    return _work.made("cupy_linspace", np.linspace(start, stop, num, endpoint, False, dtype, axis))


def eye(N, M=None, k=0, dtype=float, order="C"):
    """Return ones on a diagonal."""
    return _work.made("cupy_eye", np.eye(N, M, k, dtype, order))


def identity(n, dtype=float):
    """Return the identity."""
    return eye(n, dtype=dtype)


def tri(N, M=None, k=0, dtype=float):
    """Return ones below a diagonal."""
    return _work.made("cupy_tri", np.tri(N, M, k, dtype))


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """Return an array on the current device."""
    if subok:
        raise NotImplementedError("subok is not in the stand-in")
    result = _from_array(obj, dtype, copy, order) if _work.is_array(obj) else _from_host(obj, dtype, copy, order)
    return result if result.ndim >= ndmin else result.reshape((1,) * (ndmin - result.ndim) + result.shape)


def _from_array(a, dtype, copy, order):
    dtype = a.dtype if dtype is None else _work.checked_dtype(dtype)
    if a._memory.device_id != _work.current_device():
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        return _work.from_peer(a, order or "K").astype(dtype, copy=False)
    result = a.astype(dtype, order or "K", copy=bool(copy))
    if copy is False and result is not a:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    return result


def _from_host(obj, dtype, copy, order):
    if copy is False:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    if isinstance(obj, list | tuple) and _arrays_within(obj):
        stacked = _shapes.stack([_from_parts(each) for each in obj])
        return stacked if dtype is None else stacked.astype(dtype, copy=False)
    dtype = None if dtype is None else _work.checked_dtype(dtype)
    with np.errstate(all="ignore"):
        host = np.array(obj, dtype, order=order or "K", copy=None)
        host = host.astype(_work.checked_dtype(host.dtype).newbyteorder("="), copy=False)
    result = _work.adopt(_work.unwritten(host.shape, host.dtype) if not host.flags.fnc else np.empty_like(host))
    if not host.ndim:
        result.fill(host)
    elif host.size:
        result._copy_in(host)
    return result


def _arrays_within(lists):
    """Tell whether nested lists end in arrays of this library alone."""
    ends = [_arrays_within(each) if isinstance(each, list | tuple) else _work.is_array(each) for each in lists]
    return bool(ends) and all(ends)


def _from_parts(part):
    return part if _work.is_array(part) else _shapes.stack([_from_parts(each) for each in part])


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """Return an array on the current device: itself where nothing has to change."""
    return array(a, dtype, copy, order or "K", blocking=blocking)


def asanyarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """Return the same."""
    return asarray(a, dtype, order, copy=copy, blocking=blocking)


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """Return a NumPy array, when all work before is done."""
    return a.get(stream, order, out, blocking) if _work.is_array(a) else np.asarray(a, order=order)


def from_dlpack(array, *, device=None, copy=None):
    """Return an array of another library, which shares its memory."""
    if device is not None:
        raise NotImplementedError("from_dlpack() does not support `device` yet.")
    kind, _ = array.__dlpack_device__()
    if kind == 1:
        raise TypeError(
            "CPU arrays cannot be directly imported to CuPy. Use `cupy.array(numpy.from_dlpack(input))` instead."
        )
    source = array.__dlpack__(stream=1).array
    return source.copy() if copy else _work.view(source, source._values)
