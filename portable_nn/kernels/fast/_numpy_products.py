"""NumPy: products with weights, in BLAS.

How a product is computed depends on shapes and layouts alone, not on times, so that a run rounds alike each time.
"""

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np

from portable_nn.kernels.fast import _mkl, _openblas
from portable_nn.kernels.fast._numpy_memory import empty

__all__ = ["affine", "affine_gradient_W", "affine_gradient_b", "affine_gradient_x", "ones"]

_Array = np.ndarray
_Out = np.ndarray | None

_TINY = 262_144
"""Multiplications up to which a product is best left alone, and OpenBLAS keeps to one thread."""

_SMALL = 1_000_000
"""Multiplications up to which OpenBLAS takes kernels that do not repack the factors first."""

_WITH_SMALL_KERNELS = "SkylakeX", "Cooperlake", "SapphireRapids"
"""The kinds of processors, all with AVX-512, for which OpenBLAS has such kernels."""

_LARGE = 5_000_000
"""Multiplications from which on repacking pays, and two threads gain by sharing a product."""

_SMALL_OF_DOTS = 1200
"""Elements of the result up to which it does so where both factors lie along the axis that is summed."""

_LONG = 8
"""How many times as long as the shorter side of the result that axis is at least if such products are worth a cut."""

_MANY = 1024
"""Rows of a result beyond which products go faster by rows."""

_LEAST = 16
"""Rows or columns, for other products also a quarter of those not cut, that a part needs to be worth a call."""


def _product(a: _Array, b: _Array, out: _Array) -> _Array:
    """Return a b in `out`: a middling product as small ones, cut along the longer side of the result; others by MKL.

    Source of the limits: OpenBLAS, kernel/x86_64/sgemm_small_kernel_permit_skylakex.c. Its kernels for other processors
    know no small products: there a cut makes them slower.
    """
    (rows, columns), inner = out.shape, a.shape[1]
    if not _cuts_pay():
        large = rows * columns * inner >= _LARGE
        return out if large and _mkl.product(a, b, out) else _whole_product(a, b, out)
    longer, shorter = max(rows, columns), min(rows, columns)
    multiplications = rows * columns * inner
    dots = a.flags.c_contiguous and b.flags.f_contiguous and rows * columns > _SMALL_OF_DOTS
    if multiplications <= (_TINY if dots else _SMALL):
        return _whole_product(a, b, out)
    size = min(_SMALL // inner, _SMALL_OF_DOTS if dots else _SMALL) // shorter
    worth = inner >= _LONG * shorter if dots else size >= shorter // 4
    if multiplications >= _LARGE or size < _LEAST or not worth:
        if multiplications <= _SMALL:  # one copy, and they are no dots any more
            by_rows = out.flags.c_contiguous
            return _whole_product(a, b.copy("C"), out) if by_rows else _whole_product(a.copy("F"), b, out)
        return out if _mkl.product(a, b, out) else _whole_product(a, b, out)
    unit = 16 if size >= 64 else 4  # what the kernels compute at a time; 16 is also a cache line
    size = -(-longer // -(-longer // (size // unit * unit)))  # parts as even as possible
    size += -size % unit
    for start in range(0, longer, size):
        part = slice(start, start + size)
        if rows >= columns:
            _whole_product(a[part], b, out[part])
        else:
            _whole_product(a, b[:, part], out[:, part])
    return out


@cache
def _cuts_pay() -> bool:
    return _openblas.core() in _WITH_SMALL_KERNELS


def _whole_product(a: _Array, b: _Array, out: _Array) -> _Array:
    """Return a b in `out`. `numpy.dot` has less overhead than `numpy.matmul`, but writes to contiguous memory alone."""
    if out.flags.c_contiguous:
        return np.dot(a, b, out)
    if out.flags.f_contiguous:
        np.dot(b.T, a.T, out.T)
        return out
    return np.matmul(a, b, out)


def _beside(x: _Array, W: _Array) -> _Array:
    """Return memory for y = x W, by rows or by columns; dy lies likewise, unless it comes from a loss.

    Of the products dy W^T and x^T dy, those of middling size are slow where both factors lie along the axis that is
    summed: where dy and W lie by rows, or x and dy by columns. Large ones are fastest where all lie as W.
    """
    (samples, inputs), outputs = x.shape, W.shape[1]
    multiplications = samples * inputs * outputs
    rows = W.flags.c_contiguous
    if _TINY < multiplications < _LARGE:
        rows = not (rows and x.flags.c_contiguous and outputs < _LONG * min(samples, inputs))
    return np.empty((samples, outputs), W.dtype, order="C" if rows or samples > _MANY else "F")


def affine(x: _Array, W: _Array, b: _Out, out: _Out = None) -> _Array:
    """Return x W + b."""
    if x.ndim != 2:
        x = x.reshape(x.shape[0], W.shape[0])
    if out is None and x.shape[0] != 1:
        out = _beside(x, W)
    y = np.dot(x, W) if out is None else _product(x, W, out)  # one row lies both ways
    return y if b is None else np.add(y, b, y)


def affine_gradient_x(dy: _Array, W: _Array, shape: tuple[int, ...], out: _Out = None) -> _Array:
    """Return dy W^T in the shape of x."""
    if out is None or len(shape) != 2:
        out = np.empty((dy.shape[0], W.shape[0]), dy.dtype)
    return _product(dy, W.T, out).reshape(shape)


def affine_gradient_W(dy: _Array, x: _Array, out: _Out = None) -> _Array:
    """Return x^T dy, in memory as W is."""
    if x.ndim != 2:
        x = x.reshape(x.shape[0], math.prod(x.shape[1:]))
    return _product(x.T, dy, empty((x.shape[1], dy.shape[1]), dy.dtype) if out is None else out)


def affine_gradient_b(dy: _Array, out: _Out = None) -> _Array:
    """Return the column sums of dy, as a product with ones: BLAS sums faster than `numpy.sum` along the first axis.

    Long sums are left to MKL not for their own sake: OpenBLAS would share them between threads, which then, waiting for
    more, get in the way of those of MKL.
    """
    row = ones(dy.shape[0], dy.dtype)
    if dy.size <= _TINY:
        return np.dot(row, dy, out)
    total = empty((dy.shape[1],), dy.dtype) if out is None else out
    return total if _mkl.product(row.reshape(1, -1), dy, total.reshape(1, -1)) else np.dot(row, dy, total)


@lru_cache(maxsize=16)
def ones(size: int, dtype: Any) -> _Array:
    """Return ones, to be read only."""
    return np.ones(size, dtype)
