"""Rows of a matrix by their numbers, and the sums that are the gradient.

n = uses of rows, E = size of a row; ... = any axes, whose sizes multiply to n.
"""

import math

from portable_nn.arrays import Array, as_dtype_of, device_of, floating_dtype, namespace_of, widened

__all__ = ["as_floating", "embedding", "embedding_gradient"]


def as_floating(x: Array, dtype: str) -> Array:
    """Return x in the floating dtype of this name: itself where it has it."""
    xp = namespace_of(x)
    return xp.astype(x, floating_dtype(xp, dtype), copy=False)


def embedding(W: Array, x: Array) -> Array:
    """Return the rows of W (count, E) whose numbers are x (...): (..., E)."""
    xp = namespace_of(W)
    rows = xp.take(W, xp.reshape(x, (math.prod(x.shape),)), axis=0)
    return xp.reshape(rows, (*x.shape, W.shape[1]))


def embedding_gradient(dy: Array, x: Array, count: int, padding: int | None) -> Array:
    """Return dW (count, E), for each row the sum of dy (..., E) over its uses in x (...); 0 for the row `padding`.

    The uses are sorted by row. Then each adds to itself the sum of the one before it, of the two before that, of four,
    ... as long as they are of the same row, so that the last use of a row has the sum of all: nothing is subtracted, no
    row's numbers come near another's, and the order depends on x alone. Source: Hillis and Steele, Data parallel
    algorithms (CACM 29, 1986), p. 1173; with segments as in Blelloch (IEEE Trans. Comput. 38, 1989), section 2.
    """
    given, dy = dy, widened(dy)
    xp, device = namespace_of(dy), device_of(dy)
    n, size = math.prod(x.shape), dy.shape[-1]
    if n == 0:
        return xp.zeros((count, size), dtype=given.dtype, device=device)
    rows = xp.reshape(x, (n,))
    order = xp.argsort(rows, stable=True)
    rows, sums = xp.take(rows, order, axis=0), xp.take(xp.reshape(dy, (n, size)), order, axis=0)
    step = 1
    while step < n:
        before = xp.concat([xp.zeros((step, size), dtype=dy.dtype, device=device), sums[:-step, :]], axis=0)
        first = xp.zeros((step,), dtype=xp.bool, device=device)
        is_same = xp.concat([first, rows[step:] == rows[:-step]], axis=0)
        sums = xp.where(is_same[:, None], sums + before, sums)
        step *= 2
    numbers = xp.arange(count, dtype=rows.dtype, device=device)
    end = xp.searchsorted(rows, numbers, side="right")
    is_used = end > xp.searchsorted(rows, numbers, side="left")
    if padding is not None:
        is_used = is_used & (numbers != padding)
    sums = xp.where(is_used[:, None], xp.take(sums, xp.where(is_used, end - 1, 0), axis=0), 0.0)
    return as_dtype_of(given, sums)
