"""NumPy: arrays that begin at cache lines, and lie as BLAS reads them fastest."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["empty", "gather", "pack", "rows"]

_Array = np.ndarray
_Out = np.ndarray | None

_CACHE_LINE = 64
"""Bytes. Where NumPy puts an array is a multiple of 16 only; products of small matrices then take up to half as long
again."""


def pack(arrays: Sequence[_Array], unit: int = 0) -> tuple[_Array, list[_Array]]:
    """Return copies of arrays in one array, and its parts in their shapes.

    A matrix lies by columns unless it has more columns than rows, and every part begins at a cache line.
    """
    dtype = arrays[0].dtype
    line = _CACHE_LINE // dtype.itemsize
    starts = [0]
    for array in arrays:
        starts.append(starts[-1] + -(-array.size // line) * line)
    whole = _memory(starts[-1], dtype)
    whole[...] = 0
    parts: list[_Array] = []
    for start, array in zip(starts, arrays, strict=False):
        vector = whole[start : start + array.size]
        part = vector.reshape(array.shape[::-1]).T if _by_columns(array.shape) else vector.reshape(array.shape)
        part[...] = array
        parts.append(part)
    return whole, parts


def empty(shape: tuple[int, ...], dtype: Any) -> _Array:
    """Return memory that lies as `pack` lays it."""
    return np.empty(shape, dtype, order="F" if _by_columns(shape) else "C")


def _by_columns(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[1] <= shape[0]


def rows(x: _Array, indices: _Array, out: _Out = None) -> _Array:
    """Return the rows of x at indices, beginning at a cache line."""
    if out is None:
        shape = indices.shape + x.shape[1:]
        out = _memory(math.prod(shape), x.dtype).reshape(shape)
    if not x.flags.c_contiguous:  # `numpy.take` would copy all of x first
        out[...] = x[indices]
        return out
    # Any mode but "raise", under which NumPy fills another array first; the indices are ours.
    return x.take(indices, 0, out, "clip")


def gather(arrays: Sequence[_Array], indices: _Array, out: Sequence[_Array] | None = None) -> list[_Array]:
    """Return the rows of each array at indices."""
    return [rows(x, indices, old) for x, old in zip(arrays, out or [None] * len(arrays), strict=True)]


def _memory(size: int, dtype: Any) -> _Array:
    """Return memory that begins at a cache line."""
    spare = _CACHE_LINE // dtype.itemsize
    memory = np.empty(size + spare, dtype)
    first = -memory.__array_interface__["data"][0] % _CACHE_LINE // dtype.itemsize
    return memory[first : first + size]
