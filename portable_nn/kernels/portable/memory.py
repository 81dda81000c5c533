"""How arrays lie in memory."""

from collections.abc import Callable, Sequence
from typing import Any

from portable_nn.arrays import Array, namespace_of

__all__ = ["feeder", "pack", "rows"]


def pack(arrays: Sequence[Array]) -> tuple[Array, list[Any]]:
    """Return copies of arrays of one data type in one array of shape (size,), and its parts in their shapes.

    The parts are views of it on backends whose arrays can be written. Between them there may be gaps, of zeros.
    """
    xp = namespace_of(arrays[0])
    flat: list[Any] = [xp.reshape(array, (-1,)) for array in arrays]
    whole = xp.concat(flat)
    parts: list[Any] = []
    start = 0
    for vector, array in zip(flat, arrays, strict=True):
        stop = start + vector.shape[0]
        parts.append(xp.reshape(whole[start:stop], array.shape))
        start = stop
    return whole, parts


def rows(x: Array, indices: Array) -> Array:
    """Return the rows of x (N, ...) at integer indices (n,): (n, ...)."""
    return namespace_of(x).take(x, indices, axis=0)


def feeder(device: Any) -> Callable[[Any, Any], Any]:
    """Return the function (x, indices) -> the rows of x, both NumPy arrays, on `device` if it pays to begin the move.

    What it returns may be written over by the call after the next.
    """
    return rows
