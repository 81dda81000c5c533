"""NumPy: normalization of samples in as few passes as there are sums that wait for one another, compiled by numba.

The maths and its sources stand in `kernels/portable`. Sums, but for those over rows, are of float64, and a mean is two
numbers, so that what is left of numbers far from 0 is right. M = rows, F = numbers in a row, P = kinds of rows, which
follow one another again and again: one for a layer norm, the groups for a group norm without positions. N = batch,
C = channels, S = positions.
"""

import math
from typing import Any

import numpy as np

from portable_nn.kernels.fast._numba_arrays import channels, loop, memory, whole
from portable_nn.kernels.portable import group_norm as by_groups
from portable_nn.kernels.portable import layer_norm as by_rows

__all__ = ["KERNELS"]

_Array = np.ndarray
_Out = tuple[np.ndarray | None, ...] | None


@loop
def _moments(x: Any) -> Any:
    """Return mean and variance of x (F,)."""
    total, squares = 0.0, 0.0
    for f in range(x.size):
        total += x[f]
    mean = total / x.size
    for f in range(x.size):
        squares += (x[f] - mean) ** 2
    return mean, squares / x.size


@loop
def _normalize_rows(x: Any, gamma: Any, beta: Any, epsilon: float, y: Any, center: Any, inverse: Any) -> None:
    """Write y, mean and 1 / sqrt(variance + epsilon) of x (M, F): gamma and beta (P, F)."""
    for m in range(x.shape[0]):
        p = m % gamma.shape[0]
        mean, variance = _moments(x[m])
        center[m], inverse[m] = mean, 1.0 / math.sqrt(variance + epsilon)
        c, scale = center[m], inverse[m]
        rest = y.dtype.type(mean - c)
        for f in range(x.shape[1]):
            y[m, f] = ((x[m, f] - c) - rest) * scale * gamma[p, f] + beta[p, f]


@loop
def _gradient_of_rows(
    dy: Any, x: Any, center: Any, inverse: Any, gamma: Any, dx: Any, dgamma: Any, dbeta: Any, centered: bool
) -> None:
    """Write dx, and add to dgamma and dbeta (P, F); if not `centered`, for rows of which no mean was taken."""
    size = x.shape[1]
    for m in range(x.shape[0]):
        p, c, scale, number = m % gamma.shape[0], center[m], inverse[m], x.dtype.type
        moved, total, product = 0.0, 0.0, 0.0
        for f in range(size):
            d, scaled = x[m, f] - c, dy[m, f] * gamma[p, f]
            moved, total, product = moved + d, total + scaled, product + float(scaled) * d
        moved, total = (moved / size, total / size) if centered else (0.0, 0.0)
        rest, mean = number(moved), number(total)
        share = number((product / size - moved * total) * float(scale) * scale)
        for f in range(size):
            d = (x[m, f] - c) - rest
            dx[m, f] = (dy[m, f] * gamma[p, f] - mean - d * share) * scale
            dgamma[p, f] += dy[m, f] * (d * scale)
            dbeta[p, f] += dy[m, f]


@loop
def _scale_rows(x: Any, gamma: Any, epsilon: float, y: Any, inverse: Any) -> None:
    for m in range(x.shape[0]):
        squares = 0.0
        for f in range(x.shape[1]):
            squares += float(x[m, f]) * x[m, f]
        inverse[m] = 1.0 / math.sqrt(squares / x.shape[1] + epsilon)
        scale = inverse[m]
        for f in range(x.shape[1]):
            y[m, f] = x[m, f] * scale * gamma[f]


@loop
def _normalize_groups(x: Any, gamma: Any, beta: Any, epsilon: float, y: Any, center: Any, inverse: Any) -> None:
    size = x.shape[1] // center.shape[1]
    for n in range(x.shape[0]):
        for g in range(center.shape[1]):
            first = g * size
            mean, variance = _moments(x[n, first : first + size].reshape(size * x.shape[2]))
            scale = 1.0 / math.sqrt(variance + epsilon)
            center[n, g], inverse[n, g] = mean, scale
            for c in range(first, first + size):
                factor, offset = scale * gamma[c], float(beta[c])
                for s in range(x.shape[2]):
                    y[n, c, s] = (x[n, c, s] - mean) * factor + offset


@loop
def _gradient_of_groups(
    dy: Any, x: Any, center: Any, inverse: Any, gamma: Any, dx: Any, dgamma: Any, dbeta: Any
) -> None:
    size = x.shape[1] // center.shape[1]
    count, totals = size * x.shape[2], np.empty(x.shape[1])
    for n in range(x.shape[0]):
        for g in range(center.shape[1]):
            c_mean, scale = float(center[n, g]), float(inverse[n, g])
            rest, mean, share = 0.0, 0.0, 0.0
            for c in range(g * size, (g + 1) * size):
                moved, total, product = 0.0, 0.0, 0.0
                for s in range(x.shape[2]):
                    d = x[n, c, s] - c_mean
                    moved, total, product = moved + d, total + dy[n, c, s], product + dy[n, c, s] * d
                rest, mean, share = rest + moved, mean + total * gamma[c], share + product * gamma[c]
                dgamma[c] += product * scale
                dbeta[c] += total
                totals[c] = total
            rest, mean = rest / count, mean / count
            share = (share / count - rest * mean) * scale * scale
            for c in range(g * size, (g + 1) * size):
                dgamma[c] -= totals[c] * rest * scale
                factor, offset = float(gamma[c]), c_mean + rest
                for s in range(x.shape[2]):
                    dx[n, c, s] = (dy[n, c, s] * factor - mean - (x[n, c, s] - offset) * share) * scale


def _normalized(x: _Array, gamma: _Array, beta: _Array, epsilon: float, y: _Array, shape: Any) -> tuple[Any, Any, Any]:
    """Return y, means and 1 / sqrt(variance + epsilon), of a shape, of rows that are as long as gamma (P, F)."""
    (center, inverse), rows = np.empty((2, *shape), x.dtype), (math.prod(shape), gamma.shape[1])
    _normalize_rows(x.reshape(rows), gamma, beta, epsilon, y.reshape(rows), center.reshape(-1), inverse.reshape(-1))
    return y, center, inverse


def _differentiated(
    dy: _Array, x: _Array, center: _Array, inverse: _Array, gamma: _Array, dx: _Array, *, centered: bool = True
) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta (P, F) of such rows."""
    rows, (dgamma, dbeta) = (center.size, gamma.shape[1]), np.zeros((2, *gamma.shape), gamma.dtype)
    given = dy.reshape(rows), x.reshape(rows), center.reshape(-1), inverse.reshape(-1), gamma
    _gradient_of_rows(*given, dx.reshape(rows), dgamma, dbeta, centered)
    return dx, dgamma, dbeta


def _statistics_shape(x: _Array, gamma: _Array) -> tuple[int, ...]:
    return *x.shape[: x.ndim - gamma.ndim], *(1,) * gamma.ndim


@whole(by_rows.layer_norm)
def layer_norm(x: _Array, gamma: _Array, beta: _Array, epsilon: float, out: _Out = None) -> tuple[Any, Any, Any]:
    """Return y, the mean and 1 / sqrt(variance + epsilon) of each row."""
    y, shape = memory(out and out[0], x), _statistics_shape(x, gamma)
    return _normalized(x, gamma.reshape(1, -1), beta.reshape(1, -1), epsilon, y, shape)


@whole(by_rows.layer_norm_gradient)
def layer_norm_gradient(
    dy: _Array, x: _Array, center: _Array, inverse: _Array, gamma: _Array, out: _Out = None
) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta."""
    dx = memory(out and out[0], x)
    dx, dgamma, dbeta = _differentiated(dy, x, center, inverse, gamma.reshape(1, -1), dx)
    return dx, dgamma.reshape(gamma.shape), dbeta.reshape(gamma.shape)


@whole(by_rows.rms_norm)
def rms_norm(x: _Array, gamma: _Array, epsilon: float, out: _Out = None) -> tuple[Any, Any]:
    """Return y, and what each row is multiplied by."""
    y, inverse = memory(out and out[0], x), np.empty(_statistics_shape(x, gamma), x.dtype)
    rows = inverse.size, gamma.size
    _scale_rows(x.reshape(rows), gamma.reshape(-1), epsilon, y.reshape(rows), inverse.reshape(-1))
    return y, inverse


@whole(by_rows.rms_norm_gradient)
def rms_norm_gradient(dy: _Array, x: _Array, inverse: _Array, gamma: _Array, out: _Out = None) -> tuple[Any, Any]:
    """Return dx and dgamma."""
    given = np.zeros_like(inverse), inverse, gamma.reshape(1, -1), memory(out and out[0], x)
    dx, dgamma, _ = _differentiated(dy, x, *given, centered=False)
    return dx, dgamma.reshape(gamma.shape)


@whole(by_groups.group_norm)
def group_norm(
    x: _Array, gamma: _Array, beta: _Array, groups: int, epsilon: float, out: _Out = None
) -> tuple[Any, Any, Any]:
    """Return y, the mean and 1 / sqrt(variance + epsilon) of each group."""
    if not x.size:
        return by_groups.group_norm(x, gamma, beta, groups, epsilon)
    y, sizes = memory(out and out[0], x), channels(x)
    if sizes[2] == 1:
        return _normalized(x, gamma.reshape(groups, -1), beta.reshape(groups, -1), epsilon, y, (x.shape[0], groups))
    center, inverse = np.empty((2, x.shape[0], groups), x.dtype)
    _normalize_groups(x.reshape(sizes), gamma, beta, epsilon, y.reshape(sizes), center, inverse)
    return y, center, inverse


@whole(by_groups.group_norm_gradient)
def group_norm_gradient(
    dy: _Array, x: _Array, center: _Array, inverse: _Array, gamma: _Array, out: _Out = None
) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta."""
    if not x.size:
        return by_groups.group_norm_gradient(dy, x, center, inverse, gamma)
    dx, sizes = memory(out and out[0], x), channels(x)
    if sizes[2] == 1:
        given = dy, x, center, inverse, gamma.reshape(center.shape[1], -1), dx
        dx, dgamma, dbeta = _differentiated(*given)
        return dx, dgamma.reshape(-1), dbeta.reshape(-1)
    sums = np.zeros((2, gamma.size))
    _gradient_of_groups(dy.reshape(sizes), x.reshape(sizes), center, inverse, gamma, dx.reshape(sizes), *sums)
    dgamma, dbeta = sums.astype(gamma.dtype)
    return dx, dgamma, dbeta


KERNELS = {
    "group_norm": group_norm,
    "group_norm_gradient": group_norm_gradient,
    "layer_norm": layer_norm,
    "layer_norm_gradient": layer_norm_gradient,
    "rms_norm": rms_norm,
    "rms_norm_gradient": rms_norm_gradient,
}
