"""Counting right answers. N = batch, C = classes, weight = of the samples (N,)."""

from portable_nn.arrays import Array, namespace_of

__all__ = ["all_finite", "count_correct", "count_correct_signs", "count_labels"]


def all_finite(x: Array) -> Array:
    """Return whether no element of x is NaN or infinite; 0-d truth value."""
    xp = namespace_of(x)
    return xp.all(xp.isfinite(x))


def count_correct(y: Array, t: Array, weight: Array | None = None) -> Array:
    """Return how many rows of y (N, C) are largest at their class: t labels (N,) or one-hot (N, C); 0-d integer.

    With weights, the sum of theirs. A row with NaN counts as wrong, and so does one whose label is negative.
    """
    xp = namespace_of(y)
    labels = t if t.ndim == 1 else xp.argmax(t, axis=-1)
    right = (xp.argmax(y, axis=-1) == labels) & ~xp.any(xp.isnan(y), axis=-1)
    return _count(right, weight)


def count_correct_signs(y: Array, t: Array, weight: Array | None = None) -> Array:
    """Return how many elements of y (N, ...) are positive where t (N, ...) is above 1/2 and only there; 0-d integer.

    With weights, of the samples or elements, the sum of theirs. NaN counts as wrong.
    """
    return _count(((y > 0) == (t > 0.5)) & ~namespace_of(y).isnan(y), weight)


def count_labels(t: Array) -> Array:
    """Return how many integer labels t are not negative; 0-d integer."""
    xp = namespace_of(t)
    return xp.sum(xp.astype(t >= 0, xp.int32))


def _count(right: Array, weight: Array | None) -> Array:
    xp = namespace_of(right)
    if weight is None:
        return xp.sum(xp.astype(right, xp.int32))
    if weight.ndim < right.ndim:
        weight = xp.reshape(weight, (-1,) + (1,) * (right.ndim - 1))
    return xp.sum(xp.where(right, weight, xp.zeros_like(weight)))
