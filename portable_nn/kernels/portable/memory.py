"""How arrays lie in memory."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from portable_nn.arrays import Array, device_of, namespace_of

__all__ = ["feeder", "gather", "pack", "rows"]


def pack(arrays: Sequence[Array], unit: int = 0) -> tuple[Array, list[Any]]:
    """Return copies of arrays of one data type in one array of shape (size,), and its parts in their shapes.

    The parts are views of it on backends whose arrays can be written. Each begins at a multiple of 16 bytes, as the
    fastest products want it, or of as many elements as `unit` says; the gaps are zeros.
    """
    xp = namespace_of(arrays[0])
    unit = unit or 128 // xp.finfo(arrays[0].dtype).bits
    vectors: list[Any] = []
    for array in arrays:
        vectors.append(xp.reshape(array, (-1,)))
        gap = -vectors[-1].shape[0] % unit
        if gap:
            vectors.append(xp.zeros((gap,), dtype=array.dtype, device=device_of(array)))
    whole = xp.concat(vectors)
    parts: list[Any] = []
    start = 0
    for array in arrays:
        size = math.prod(array.shape)
        parts.append(xp.reshape(whole[start : start + size], array.shape))
        start += -(-size // unit) * unit
    return whole, parts


def gather(arrays: Sequence[Array], indices: Array) -> list[Array]:
    """Return the rows of each array (N, ...) at integer indices (n,): (n, ...)."""
    return [rows(x, indices) for x in arrays]


def rows(x: Array, indices: Array) -> Array:
    """Return the rows of x (N, ...) at integer indices (n,): (n, ...)."""
    return namespace_of(x).take(x, indices, axis=0)


def feeder(device: Any) -> Callable[[Any, Any], Any]:
    """Return the function (x, indices) -> the rows of x, both NumPy arrays, on `device` if it pays to begin the move.

    What it returns may be written over by the call after the next.
    """
    return rows
