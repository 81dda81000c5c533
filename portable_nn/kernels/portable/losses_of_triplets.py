"""The triplet loss, its triplets mined among the rows of a batch. N = batch, E = features of an embedding, R = rows.

Rows are taken R at a time, as all differences of rows at once would be N N E numbers, and all triplets N N N.
"""

import math
from typing import Any

from portable_nn.arrays import Array, as_dtype_of, device_of, floating_dtype, namespace_of, widened
from portable_nn.kernels.portable.scales import Scale

__all__ = ["each_triplet_loss", "triplet_count", "triplet_loss", "triplet_loss_gradient"]

_AT_ONCE = 1 << 22
"""Numbers that are in memory at a time, at most, if one row does not take more."""


def triplet_count(t: Array, hardest: bool, dtype: str) -> Array:
    """Return how many triplets the labels t (N,) have, 0-d: one an anchor that has any if only the `hardest` count."""
    xp = namespace_of(t)
    same, positive = _relations(t)
    dtype = floating_dtype(xp, dtype)
    counts = [xp.sum(xp.astype(mask, dtype), axis=1) for mask in (positive, ~same)]
    if hardest:
        counts = [xp.astype(count > 0, dtype) for count in counts]
    return xp.sum(counts[0] * counts[1])


def triplet_loss(y: Array, t: Array, margin: float, hardest: bool, mean: bool) -> tuple[Array, tuple[Array, Array]]:
    """Return the sum of `each_triplet_loss`, divided by the number of triplets for a `mean`, and what it keeps."""
    xp = namespace_of(y)
    losses, (_, slope) = each_triplet_loss(widened(y), t, margin, hardest)
    loss = xp.sum(losses)
    if mean:
        count = triplet_count(t, hardest, "float64" if slope.dtype == xp.float64 else "float32")
        share = 1.0 / xp.where(count > 0, count, 1.0)
        loss, slope = loss * share, slope * share
    return as_dtype_of(y, loss), (y, as_dtype_of(y, slope))


def each_triplet_loss(y: Array, t: Array, margin: float, hardest: bool) -> tuple[Array, tuple[Array, Array]]:
    """Return the loss of each row a of y (N, E) as the anchor, (N,), and y with its slopes by the distances D, (N, N).

    If only the `hardest` count, [margin + max_p D(a, p) - min_n D(a, n)]_+ over the other rows p of its label in t (N,)
    and those n of others (Hermans, Beyer and Leibe, arXiv 1703.07737, eq. 5), else, in their "batch all",
    sum_p,n [margin + D(a, p) - D(a, n)]_+; 0 where there is no p or no n.
    """
    xp, wide = namespace_of(y), widened(y)
    if not y.shape[0]:
        return xp.sum(y, axis=1), (y, xp.zeros((0, 0), dtype=y.dtype, device=device_of(y)))
    same, positive = _relations(t)
    distances = xp.concat([_norms(_differences(wide, rows)) for rows in _blocks(y.shape[0], math.prod(y.shape))])
    if hardest:
        losses, slope = _hardest(distances, same, positive, margin)
    else:
        blocks = _blocks(y.shape[0], y.shape[0] ** 2)
        parts = [_all(distances[rows, ...], same[rows, ...], positive[rows, ...], margin) for rows in blocks]
        losses, slope = (xp.concat(part) for part in zip(*parts, strict=True))
    return as_dtype_of(y, losses), (y, as_dtype_of(y, slope))


def triplet_loss_gradient(dout: Scale, saved: tuple[Array, Array]) -> Array:
    """Return dy_a = sum_b (s_ab + s_ba) (y_a - y_b) / D(a, b), s dout times the slopes: 0 for rows that are equal.

    dout is the derivative by the sum, or (N,) by the losses of the anchors.
    """
    y, slope = saved
    xp, wide = namespace_of(y), widened(y)
    if not y.shape[0]:
        return xp.zeros_like(y)
    is_each = not isinstance(dout, float | int) and dout.ndim == 1
    slope = widened(slope * (xp.expand_dims(dout, axis=1) if is_each else dout))
    slope = slope + xp.matrix_transpose(slope)
    parts: list[Array] = []
    for rows in _blocks(y.shape[0], math.prod(y.shape)):
        difference = _differences(wide, rows)
        norm = xp.expand_dims(_norms(difference), axis=-1)
        unit = difference / xp.where(norm == 0, 1.0, norm)
        parts.append(xp.sum(xp.expand_dims(slope[rows, ...], axis=-1) * unit, axis=1))
    return as_dtype_of(y, xp.concat(parts))


def _hardest(distances: Array, same: Any, positive: Array, margin: float) -> tuple[Array, Array]:
    """Return the losses (N,) of the hardest triplet of each anchor, and their slopes by the distances (N, N)."""
    xp = namespace_of(distances)
    far, near = xp.where(positive, distances, -1.0), xp.where(same, math.inf, distances)
    exists = xp.any(positive, axis=1) & xp.any(~same, axis=1)
    over = margin + xp.max(far, axis=1) - xp.min(near, axis=1)
    active = xp.astype(exists & (over > 0), distances.dtype)
    chosen = [xp.expand_dims(place, axis=1) for place in (xp.argmax(far, axis=1), xp.argmin(near, axis=1))]
    places = xp.arange(distances.shape[0], dtype=chosen[0].dtype, device=device_of(distances))
    positives, negatives = (xp.astype(places[None, :] == place, distances.dtype) for place in chosen)
    # Not `over > 0`: NaN stays NaN.
    return xp.where(exists & ~(over <= 0), over, 0.0), xp.expand_dims(active, axis=1) * (positives - negatives)


def _all(distances: Array, same: Array, positive: Array, margin: float) -> tuple[Array, Array]:
    """Return the losses (R,) of all triplets of R anchors, and their slopes by the distances (R, N)."""
    xp = namespace_of(distances)
    exists = xp.expand_dims(positive, axis=2) & ~xp.expand_dims(same, axis=1)
    over = margin + xp.expand_dims(distances, axis=2) - xp.expand_dims(distances, axis=1)
    active = xp.astype(exists & (over > 0), distances.dtype)
    losses = xp.sum(xp.where(exists & ~(over <= 0), over, 0.0), axis=(1, 2))
    return losses, xp.sum(active, axis=2) - xp.sum(active, axis=1)


def _relations(t: Array) -> tuple[Any, Any]:
    """Return where rows have the same label, and where they do and are two: both (N, N)."""
    xp = namespace_of(t)
    places = xp.arange(t.shape[0], device=device_of(t))
    same = xp.expand_dims(t, axis=1) == xp.expand_dims(t, axis=0)
    return same, same & (xp.expand_dims(places, axis=1) != xp.expand_dims(places, axis=0))


def _blocks(rows: int, size: int) -> list[slice]:
    """Return slices of rows, each of which take `size` numbers, into blocks that fit in memory."""
    step = max(1, _AT_ONCE // max(size, 1))
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def _differences(y: Array, rows: slice) -> Array:
    """Return y_a - y_b for some rows a and all rows b: (R, N, E)."""
    xp = namespace_of(y)
    return xp.expand_dims(y[rows, ...], axis=1) - xp.expand_dims(y, axis=0)


def _norms(difference: Array) -> Array:
    """Return the Euclidean norms of vectors along the last axis, without overflow."""
    xp = namespace_of(difference)
    size = xp.max(xp.abs(difference), axis=-1, keepdims=True)
    scaled = difference / xp.where(size == 0, 1.0, size)
    squares = xp.sum(scaled * scaled, axis=-1)
    # So that the root has a derivative everywhere, where a library is to derive it.
    root = xp.sqrt(xp.where(squares == 0, 1.0, squares))
    return xp.where(squares == 0, 0.0, xp.squeeze(size, axis=-1) * root)
