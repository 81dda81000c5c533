"""What losses are summed with, so that a sum is a mean or a weighted one. N = batch, C = classes.

The scale s is a number, or an array of shape (N,). Of losses element by element it may also be of the shape of y.
"""

import math

from portable_nn.arrays import Array, namespace_of, widened

__all__ = [
    "class_share",
    "class_total",
    "mean_scale",
    "per_weight",
    "total",
]

Scale = float | Array


def class_share(t: Array, class_weight: Array, weight: Array | None = None) -> Array:
    """Return v_n sum_c w_c t_nc, what each sample (N,) counts by its class: nothing where its label is negative.

    t (N,) or (N, C), class_weight w (C,), weight v (N,) or None for ones.
    """
    xp = namespace_of(t)
    if t.ndim == 2:
        share = xp.sum(xp.astype(t, class_weight.dtype) * class_weight, axis=-1)
    else:
        counted = t >= 0
        share = xp.where(counted, xp.take(class_weight, xp.where(counted, t, 0), axis=0), 0.0)
    return share if weight is None else weight * share


def class_total(t: Array, class_weight: Array, weight: Array | None = None) -> Array:
    """Return the sum of what `class_share` returns, 0-d."""
    return total(class_share(t, class_weight, weight))


def mean_scale(weight: Array | None, total: Array, factor: float = 1.0) -> Array:
    """Return factor times weight divided by the sum of total, of the same shape, or zeros where all of them are zero.

    Weights that are None are ones.
    """
    xp = namespace_of(total)
    whole = xp.sum(total)
    scale = (xp.ones_like(total) if weight is None else weight) / xp.where(whole == 0, 1.0, whole)
    return scale if factor == 1.0 else factor * scale


def per_weight(number: float, weight: Array) -> Array:
    """Return number divided by the sum of weights (N,), or zero where that sum is zero, 0-d."""
    xp = namespace_of(weight)
    whole = xp.sum(weight)
    return xp.where(whole == 0, 0.0, number / xp.where(whole == 0, 1.0, whole))


def total(weight: Array, factor: float = 1.0) -> Array:
    """Return factor times the sum of weights, 0-d."""
    whole = namespace_of(weight).sum(weight)
    return whole if factor == 1.0 else factor * whole


def scaled_sum(values: Array, scale: Scale) -> Array:
    """Return sum_n s_n sum(values_n), summed up in float32 at least."""
    xp, dtype, wide = namespace_of(values), values.dtype, widened(values)
    if isinstance(scale, float | int):
        whole = scale * xp.sum(wide)
    elif scale.ndim > 1:
        whole = xp.sum(widened(scale) * wide)
    else:
        rows = xp.reshape(wide, (values.shape[0], math.prod(values.shape[1:])))
        whole = xp.sum(widened(scale) * xp.sum(rows, axis=1))
    return whole if wide is values else xp.astype(whole, dtype)


def spread(scale: Scale, values: Array) -> Scale:
    """Return a scale of shape (N,) as (N, 1, ...), to multiply values (N, ...); others fit as they are."""
    if isinstance(scale, float | int) or scale.ndim == values.ndim:
        return scale
    return namespace_of(values).reshape(scale, (values.shape[0],) + (1,) * (values.ndim - 1))
