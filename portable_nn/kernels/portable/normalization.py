"""Normalization of batches. N = batch, C = channels; `...` stands for any further axes, over which means go, too.

Sources: Ioffe, Szegedy, Batch normalization (ICML 2015), algorithm 1 and the gradients of section 3. The variance in
two passes, corrected by what rounding has left in the mean: Chan, Golub, LeVeque, The American Statistician 37 (1983),
equation 1.7.
"""

import math
from typing import Any

from portable_nn.arrays import Array, as_dtype_of, namespace_of, widened

__all__ = ["batch_norm", "batch_norm_gradient", "normalize", "normalize_gradient"]


def batch_norm(
    x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, momentum: float, epsilon: float
) -> tuple[Any, Any, Any, Any, Any]:
    """Return y, the mean and 1 / sqrt(variance + epsilon) of the batch, and the running mean and variance after it.

    y = gamma (x - m) / sqrt(v + epsilon) + beta, with m and v the mean and the biased variance of each channel. The
    running ones are (1 - momentum) times those given plus momentum times those of the batch: the unbiased variance.
    x and y (N, C, ...), all others (C,); each channel has two elements at least.
    """
    xp, axes, count, wide = namespace_of(x), _axes(x), _count(x), widened(x)
    rough = xp.mean(wide, axis=axes)
    centered = wide - _along(rough, x)
    rest = xp.mean(centered, axis=axes)
    of_batch = xp.mean(centered * centered, axis=axes) - rest * rest
    inverse = 1.0 / xp.sqrt(of_batch + epsilon)
    y = (centered - _along(rest, x)) * _along(gamma * inverse, x) + _along(beta, x)
    center = rough + rest
    new_mean = (1.0 - momentum) * mean + momentum * center
    new_variance = (1.0 - momentum) * variance + (momentum * count / (count - 1)) * of_batch
    return as_dtype_of(x, y), center, inverse, new_mean, new_variance


def batch_norm_gradient(dy: Array, x: Array, center: Array, inverse: Array, gamma: Array) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta for what `batch_norm` returned: dy, x and dx (N, C, ...), all others (C,)."""
    xp, axes, count, wide_dy = namespace_of(dy), _axes(x), _count(x), widened(dy)
    centered = widened(x) - _along(center, x)
    rest = xp.mean(centered, axis=axes)  # of rounding the mean: much where that is far from 0
    normal = (centered - _along(rest, x)) * _along(inverse, x)
    dbeta = xp.sum(wide_dy, axis=axes)
    dgamma = xp.sum(wide_dy * normal, axis=axes)
    dx = (wide_dy - _along(dbeta / count, x) - normal * _along(dgamma / count, x)) * _along(gamma * inverse, x)
    return as_dtype_of(x, dx), dgamma, dbeta


def normalize(x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float) -> Array:
    """Return y = gamma (x - mean) / sqrt(variance + epsilon) + beta: x and y (N, C, ...), all others (C,)."""
    scale = gamma / namespace_of(x).sqrt(variance + epsilon)
    return as_dtype_of(x, (widened(x) - _along(mean, x)) * _along(scale, x) + _along(beta, x))


def normalize_gradient(
    dy: Array, x: Array, gamma: Array, mean: Array, variance: Array, epsilon: float
) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta for `normalize`: dy, x and dx (N, C, ...), all others (C,)."""
    xp, axes, wide_dy = namespace_of(dy), _axes(x), widened(dy)
    inverse = 1.0 / xp.sqrt(variance + epsilon)
    dgamma = xp.sum(wide_dy * (widened(x) - _along(mean, x)), axis=axes) * inverse
    return as_dtype_of(x, wide_dy * _along(gamma * inverse, x)), dgamma, xp.sum(wide_dy, axis=axes)


def _axes(x: Array) -> tuple[int, ...]:
    """Return all axes but that of the channels."""
    return (0, *range(2, x.ndim))


def _count(x: Array) -> int:
    """Return how many elements of x (N, C, ...) are in each channel."""
    return x.shape[0] * math.prod(x.shape[2:])


def _along(values: Array, x: Array) -> Any:
    """Return values (C,) so that they broadcast to x (N, C, ...)."""
    return values if x.ndim == 2 else namespace_of(values).reshape(values, (-1,) + (1,) * (x.ndim - 2))
