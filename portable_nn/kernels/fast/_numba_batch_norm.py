"""NumPy: normalization of batches in as few passes as there are sums that wait for one another, compiled by numba.

The maths and its sources stand in `kernels/portable`. Sums are of float64, so that a mean has all digits of float32 and
what is left of numbers far from 0 is right. N = batch, C = channels, S = positions.
"""

from typing import Any

import numpy as np

from portable_nn.kernels.fast._numba_arrays import channels, loop, memory, whole
from portable_nn.kernels.portable import normalization as portable

__all__ = ["KERNELS"]

_Array = np.ndarray
_Out = tuple[np.ndarray | None, ...] | None


@loop
def _moments_of_channels(x: Any, mean: Any, variance: Any) -> None:
    """Write mean and variance of each channel of x (N, C, S)."""
    count = x.shape[0] * x.shape[2]
    for c in range(x.shape[1]):
        total, squares = 0.0, 0.0
        for n in range(x.shape[0]):
            for s in range(x.shape[2]):
                total += x[n, c, s]
        m = total / count
        for n in range(x.shape[0]):
            for s in range(x.shape[2]):
                squares += (x[n, c, s] - m) ** 2
        mean[c], variance[c] = m, squares / count


@loop
def _moments_of_columns(x: Any, mean: Any, variance: Any) -> None:
    """Write mean and variance of each column of x (N, C): zeros are there."""
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            mean[c] += x[n, c]
    for c in range(x.shape[1]):
        mean[c] /= x.shape[0]
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            variance[c] += (x[n, c] - mean[c]) ** 2
    for c in range(x.shape[1]):
        variance[c] /= x.shape[0]


@loop
def _apply_to_channels(x: Any, center: Any, factor: Any, offset: Any, y: Any) -> None:
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            mean, scale, more = center[c], factor[c], offset[c]
            for s in range(x.shape[2]):
                y[n, c, s] = (x[n, c, s] - mean) * scale + more


@loop
def _apply_to_columns(x: Any, center: Any, factor: Any, offset: Any, y: Any) -> None:
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            y[n, c] = (x[n, c] - center[c]) * factor[c] + offset[c]


@loop
def _sums_of_channels(dy: Any, x: Any, center: Any, moved: Any, total: Any, product: Any) -> None:
    """Write the sums of x - center, dy and dy (x - center) of each channel (N, C, S)."""
    for c in range(x.shape[1]):
        mean, one, two, three = float(center[c]), 0.0, 0.0, 0.0
        for n in range(x.shape[0]):
            for s in range(x.shape[2]):
                d = x[n, c, s] - mean
                one, two, three = one + d, two + dy[n, c, s], three + dy[n, c, s] * d
        moved[c], total[c], product[c] = one, two, three


@loop
def _sums_of_columns(dy: Any, x: Any, center: Any, moved: Any, total: Any, product: Any) -> None:
    """Add the sums of x - center, dy and dy (x - center) of each column (N, C): zeros are there."""
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            d = x[n, c] - float(center[c])
            moved[c] += d
            total[c] += dy[n, c]
            product[c] += dy[n, c] * d


@loop
def _gradient_of_channels(dy: Any, x: Any, center: Any, mean: Any, share: Any, factor: Any, dx: Any) -> None:
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            m, a, b, f = center[c], mean[c], share[c], factor[c]
            for s in range(x.shape[2]):
                dx[n, c, s] = (dy[n, c, s] - a - (x[n, c, s] - m) * b) * f


@loop
def _gradient_of_columns(dy: Any, x: Any, center: Any, mean: Any, share: Any, factor: Any, dx: Any) -> None:
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            dx[n, c] = (dy[n, c] - mean[c] - (x[n, c] - center[c]) * share[c]) * factor[c]


@whole(portable.batch_norm)
def batch_norm(
    x: _Array,
    gamma: _Array,
    beta: _Array,
    mean: _Array,
    variance: _Array,
    momentum: float,
    epsilon: float,
    out: _Out = None,
) -> tuple[Any, Any, Any, Any, Any]:
    """Return y, the mean and 1 / sqrt(variance + epsilon) of the batch, and the running mean and variance after it."""
    center, of_batch = np.zeros((2, x.shape[1]))
    sizes, count = channels(x), x.size // x.shape[1]
    if sizes[2] == 1:
        _moments_of_columns(x.reshape(sizes[:2]), center, of_batch)
    else:
        _moments_of_channels(x.reshape(sizes), center, of_batch)
    inverse = 1.0 / np.sqrt(of_batch + epsilon)
    y = _applied(x, center, gamma * inverse, beta, memory(out and out[0], x))
    mean = (1.0 - momentum) * mean + momentum * center
    variance = (1.0 - momentum) * variance + (momentum * count / (count - 1)) * of_batch
    dtype = x.dtype
    return y, center.astype(dtype), inverse.astype(dtype), mean.astype(dtype), variance.astype(dtype)


@whole(portable.batch_norm_gradient)
def batch_norm_gradient(
    dy: _Array, x: _Array, center: _Array, inverse: _Array, gamma: _Array, out: _Out = None
) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta."""
    count = x.size // x.shape[1]
    moved, total, product = _sums(dy, x, center)
    rest = moved / count  # of rounding the mean
    product -= rest * total
    share, dx, sizes = product / count * np.square(inverse, dtype="float64"), memory(out and out[0], x), channels(x)
    numbers = center + rest, total / count, share, np.multiply(gamma, inverse, dtype="float64")
    if sizes[2] == 1:
        _gradient_of_columns(dy.reshape(sizes[:2]), x.reshape(sizes[:2]), *numbers, dx.reshape(sizes[:2]))
    else:
        _gradient_of_channels(dy.reshape(sizes), x.reshape(sizes), *numbers, dx.reshape(sizes))
    return dx, (product * inverse).astype(gamma.dtype), total.astype(gamma.dtype)


@whole(portable.normalize)
def normalize(
    x: _Array,
    gamma: _Array,
    beta: _Array,
    mean: _Array,
    variance: _Array,
    epsilon: float,
    out: np.ndarray | None = None,
) -> Any:
    """Return y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    scale = gamma / np.sqrt(np.add(variance, epsilon, dtype="float64"))
    return _applied(x, mean.astype("float64"), scale, beta, memory(out, x))


@whole(portable.normalize_gradient)
def normalize_gradient(
    dy: _Array,
    x: _Array,
    gamma: _Array,
    mean: _Array,
    variance: _Array,
    epsilon: float,
    out: _Out = None,
) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta."""
    inverse = 1.0 / np.sqrt(np.add(variance, epsilon, dtype="float64"))
    _, total, product = _sums(dy, x, mean)
    zeros = np.zeros_like(inverse)
    dx = _applied(dy, zeros, gamma * inverse, zeros, memory(out and out[0], x))
    return dx, (product * inverse).astype(gamma.dtype), total.astype(gamma.dtype)


def _applied(x: _Array, center: _Array, factor: _Array, offset: _Array, y: _Array) -> _Array:
    """Write (x - center) factor + offset of each channel to y."""
    sizes, offset = channels(x), offset.astype("float64")
    if sizes[2] == 1:
        _apply_to_columns(x.reshape(sizes[:2]), center, factor, offset, y.reshape(sizes[:2]))
    else:
        _apply_to_channels(x.reshape(sizes), center, factor, offset, y.reshape(sizes))
    return y


def _sums(dy: _Array, x: _Array, center: _Array) -> _Array:
    """Return the sums of x - center, dy and dy (x - center) of each channel (3, C), in float64."""
    sizes, sums = channels(x), np.zeros((3, x.shape[1]))
    if sizes[2] == 1:
        _sums_of_columns(dy.reshape(sizes[:2]), x.reshape(sizes[:2]), center, *sums)
    else:
        _sums_of_channels(dy.reshape(sizes), x.reshape(sizes), center, *sums)
    return sums


KERNELS = {
    "batch_norm": batch_norm,
    "batch_norm_gradient": batch_norm_gradient,
    "normalize": normalize,
    "normalize_gradient": normalize_gradient,
}
