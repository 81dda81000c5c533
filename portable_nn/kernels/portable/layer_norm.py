"""Normalization of each sample, or position, over its last axes. F = the axes of gamma, over which means go.

Sources: Ba, Kiros, Hinton, Layer normalization (arXiv 1607.06450), equation 4; Zhang, Sennrich, Root mean square layer
normalization (NeurIPS 2019), equation 4. The variance in two passes, around a mean of which rounding has left nothing:
Chan, Golub, LeVeque, The American Statistician 37 (1983), equation 1.7. Statistics of half precision are float32.
"""

import math
from typing import Any

from portable_nn.arrays import Array, namespace_of, widened

__all__ = ["layer_norm", "layer_norm_gradient", "rms_norm", "rms_norm_gradient"]


def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Any, Any, Any]:
    """Return y = gamma (x - m) / sqrt(v + epsilon) + beta, the mean m and 1 / sqrt(v + epsilon), v the biased variance.

    x and y (..., *F), gamma and beta (F), m and v (..., 1) with size 1 along the axes of F.
    """
    xp, axes, wide = namespace_of(x), _last(x, gamma), widened(x)
    rough = xp.mean(wide, axis=axes, keepdims=True)
    centered = wide - rough
    rest = xp.mean(centered, axis=axes, keepdims=True)
    centered = centered - rest
    inverse = 1.0 / xp.sqrt(xp.mean(centered * centered, axis=axes, keepdims=True) + epsilon)
    y = centered * inverse * widened(gamma) + widened(beta)
    return xp.astype(y, x.dtype, copy=False), rough + rest, inverse


def layer_norm_gradient(dy: Array, x: Array, center: Array, inverse: Array, gamma: Array) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta for what `layer_norm` returned: dy, x and dx (..., *F), dgamma and dbeta (F)."""
    xp, axes, d = namespace_of(dy), _last(x, gamma), widened(dy)
    normal = _normal(widened(x) - center, axes) * inverse
    scaled = d * widened(gamma)
    share = xp.mean(scaled * normal, axis=axes, keepdims=True)
    dx = (scaled - xp.mean(scaled, axis=axes, keepdims=True) - normal * share) * inverse
    return xp.astype(dx, x.dtype, copy=False), _summed(d * normal, gamma), _summed(d, gamma)


def rms_norm(x: Array, gamma: Array, epsilon: float) -> tuple[Any, Any]:
    """Return y = gamma x / sqrt(mean(x^2) + epsilon), and what x is multiplied by: (..., *F), gamma (F), (..., 1)."""
    xp, axes, wide = namespace_of(x), _last(x, gamma), widened(x)
    inverse = 1.0 / xp.sqrt(xp.mean(wide * wide, axis=axes, keepdims=True) + epsilon)
    return xp.astype(wide * inverse * widened(gamma), x.dtype, copy=False), inverse


def rms_norm_gradient(dy: Array, x: Array, inverse: Array, gamma: Array) -> tuple[Any, Any]:
    """Return dx and dgamma for what `rms_norm` returned: dy, x and dx (..., *F), inverse (..., 1), dgamma (F)."""
    xp, axes, d = namespace_of(dy), _last(x, gamma), widened(dy)
    normal = widened(x) * inverse
    scaled = d * widened(gamma)
    dx = (scaled - normal * xp.mean(scaled * normal, axis=axes, keepdims=True)) * inverse
    return xp.astype(dx, x.dtype, copy=False), _summed(d * normal, gamma)


def _last(x: Array, gamma: Array) -> tuple[int, ...]:
    """Return the axes of x along which gamma lies."""
    return tuple(range(x.ndim - gamma.ndim, x.ndim))


def _normal(centered: Array, axes: tuple[int, ...]) -> Any:
    """Return x - m without what rounding m has left, which is much where m is far from 0."""
    return centered - namespace_of(centered).mean(centered, axis=axes, keepdims=True)


def _summed(values: Array, gamma: Array) -> Any:
    """Return the sum of values (..., *F) over all axes but those of gamma (F), in its data type."""
    xp = namespace_of(values)
    rows = math.prod(values.shape[: values.ndim - gamma.ndim])
    return xp.astype(xp.sum(xp.reshape(values, (rows, *gamma.shape)), axis=0), gamma.dtype, copy=False)
