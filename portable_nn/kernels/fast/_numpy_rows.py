"""NumPy: rows of a matrix by their numbers, and the sums that are the gradient. The maths stands in `portable`."""

import math

import numpy as np

from portable_nn.kernels.fast._numpy_memory import rows

__all__ = ["embedding", "embedding_gradient"]

_Array = np.ndarray
_Out = np.ndarray | None


def embedding(W: _Array, x: _Array, out: _Out = None) -> _Array:
    """Return the rows of W whose numbers are x."""
    return rows(W, x, out)


def embedding_gradient(dy: _Array, x: _Array, count: int, padding: int | None, out: _Out = None) -> _Array:
    """Return for each row the sum of dy over its uses in x, one run of sorted uses after the other."""
    dW = np.empty((count, dy.shape[-1]), dy.dtype) if out is None else out
    dW[...] = 0
    if x.size:
        numbers = x.reshape(-1)
        order = numbers.argsort(kind="stable")
        numbers = numbers[order]
        starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
        dW[numbers[starts]] = np.add.reduceat(dy.reshape(math.prod(x.shape), dy.shape[-1])[order], starts, axis=0)
    if padding is not None:
        dW[padding] = 0
    return dW
