"""A stand-in for `cupyx` on the CPU: page-locked memory."""

import math as _math

import numpy as _numpy  # noqa: ICN001  (CuPy has no name `np` of its own)
from cupy._ufuncs import rsqrt
from cupy.cuda import _host

__all__ = ["empty_like_pinned", "empty_pinned", "rsqrt", "zeros_like_pinned", "zeros_pinned"]


def empty_pinned(shape, dtype=float, order="C"):
    """Return a NumPy array in page-locked memory; what it holds is NaN or nonsense."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = _numpy.dtype(dtype)
    count = _math.prod(shape)
    return _numpy.frombuffer(_host.page_locked(count * dtype.itemsize), dtype, count).reshape(shape, order=order)


def empty_like_pinned(a, dtype=None, order="K", subok=None, shape=None):
    """Return the same for the shape of another array."""
    return empty_pinned(a.shape if shape is None else shape, a.dtype if dtype is None else dtype)


def zeros_pinned(shape, dtype=float, order="C"):
    """Return zeros in page-locked memory."""
    array = empty_pinned(shape, dtype, order)
    array[...] = 0
    return array


def zeros_like_pinned(a, dtype=None, order="K", subok=None, shape=None):
    """Return the same for the shape of another array."""
    array = empty_like_pinned(a, dtype, order, subok, shape)
    array[...] = 0
    return array
