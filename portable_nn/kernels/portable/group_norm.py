"""Normalization of each sample, group of channels by group. N = batch, C = channels, G = groups, M = numbers in one.

`...` stands for any further axes, over which means go, too. Source: Wu, He, Group normalization (ECCV 2018), equations
1 to 7. The variance, and half precision, as in `layer_norm`.
"""

import math
from typing import Any

from portable_nn.arrays import Array, as_dtype_of, namespace_of, widened

__all__ = ["group_norm", "group_norm_gradient"]


def group_norm(x: Array, gamma: Array, beta: Array, groups: int, epsilon: float) -> tuple[Any, Any, Any]:
    """Return y = gamma (x - m) / sqrt(v + epsilon) + beta, the mean m and 1 / sqrt(v + epsilon), v the biased variance.

    x and y (N, C, ...), gamma and beta (C,), m and v (N, G): of each group of C / G channels, one after the other.
    """
    xp, rows = namespace_of(x), _rows(widened(x), groups)
    rough = _mean(rows)
    centered = rows - rough
    rest = _mean(centered)
    centered = centered - rest
    inverse = 1.0 / xp.sqrt(_mean(centered * centered) + epsilon)
    y = xp.reshape(centered * inverse, x.shape) * _along(gamma, x) + _along(beta, x)
    return as_dtype_of(x, y), (rough + rest)[..., 0], inverse[..., 0]


def group_norm_gradient(dy: Array, x: Array, center: Array, inverse: Array, gamma: Array) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta for what `group_norm` returned: dy, x and dx (N, C, ...), dgamma and dbeta (C,)."""
    xp, groups, d = namespace_of(dy), center.shape[1], widened(dy)
    inverse = inverse[..., None]
    centered = _rows(widened(x), groups) - center[..., None]
    normal = (centered - _mean(centered)) * inverse  # what rounding the mean has left is much where that is far from 0
    scaled = _rows(d * _along(gamma, x), groups)
    dx = (scaled - _mean(scaled) - normal * _mean(scaled * normal)) * inverse
    axes = (0, *range(2, x.ndim))
    dgamma = as_dtype_of(gamma, xp.sum(d * xp.reshape(normal, x.shape), axis=axes))
    dbeta = as_dtype_of(gamma, xp.sum(d, axis=axes))
    return as_dtype_of(x, xp.reshape(dx, x.shape)), dgamma, dbeta


def _rows(x: Array, groups: int) -> Any:
    """Return x (N, C, ...) as (N, G, M)."""
    samples, channels, *rest = x.shape
    return namespace_of(x).reshape(x, (samples, groups, channels // groups * math.prod(rest)))


def _mean(rows: Array) -> Any:
    """Return the mean of each group (N, G, M) as (N, G, 1); 0 where there is nothing in it."""
    return namespace_of(rows).sum(rows, axis=-1, keepdims=True) / max(rows.shape[-1], 1)


def _along(values: Array, x: Array) -> Any:
    """Return values (C,) so that they broadcast to x (N, C, ...)."""
    return namespace_of(values).reshape(widened(values), (-1,) + (1,) * (x.ndim - 2))
