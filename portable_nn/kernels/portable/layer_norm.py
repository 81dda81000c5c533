"""Normalization of each sample, or position, over its last axes. F = the axes of gamma, over which means go.

Sources: Ba, Kiros, Hinton, Layer normalization (arXiv 1607.06450), equation 4; Zhang, Sennrich, Root mean square layer
normalization (NeurIPS 2019), equation 4. The variance in two passes, around a mean of which rounding has left nothing:
Chan, Golub, LeVeque, The American Statistician 37 (1983), equation 1.7. Statistics of half precision are float32.
"""

import math
from typing import Any

from portable_nn.arrays import Array, as_dtype_of, namespace_of, widened

__all__ = ["layer_norm", "layer_norm_gradient", "rms_norm", "rms_norm_gradient"]


def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Any, Any, Any]:
    """Return y = gamma (x - m) / sqrt(v + epsilon) + beta, the mean m and 1 / sqrt(v + epsilon), v the biased variance.

    x and y (..., *F), gamma and beta (F), m and v (..., 1) with size 1 along the axes of F.
    """
    xp, rows = namespace_of(x), _rows(x, gamma)
    rough = _mean(rows)
    centered = rows - rough
    rest = _mean(centered)
    centered = centered - rest
    inverse = 1.0 / xp.sqrt(_mean(centered * centered) + epsilon)
    y = centered * inverse * _rows(gamma, gamma) + _rows(beta, gamma)
    return _like(y, x), _of_rows(rough + rest, x, gamma), _of_rows(inverse, x, gamma)


def layer_norm_gradient(dy: Array, x: Array, center: Array, inverse: Array, gamma: Array) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta for what `layer_norm` returned: dy, x and dx (..., *F), dgamma and dbeta (F)."""
    d, inverse = _rows(dy, gamma), _flat(inverse)
    centered = _rows(x, gamma) - _flat(center)
    normal = (centered - _mean(centered)) * inverse  # what rounding the mean has left is much where that is far from 0
    scaled = d * _rows(gamma, gamma)
    dx = (scaled - _mean(scaled) - normal * _mean(scaled * normal)) * inverse
    return _like(dx, x), _summed(d * normal, gamma), _summed(d, gamma)


def rms_norm(x: Array, gamma: Array, epsilon: float) -> tuple[Any, Any]:
    """Return y = gamma x / sqrt(mean(x^2) + epsilon), and what x is multiplied by: (..., *F), gamma (F), (..., 1)."""
    xp, rows = namespace_of(x), _rows(x, gamma)
    inverse = 1.0 / xp.sqrt(_mean(rows * rows) + epsilon)
    return _like(rows * inverse * _rows(gamma, gamma), x), _of_rows(inverse, x, gamma)


def rms_norm_gradient(dy: Array, x: Array, inverse: Array, gamma: Array) -> tuple[Any, Any]:
    """Return dx and dgamma for what `rms_norm` returned: dy, x and dx (..., *F), inverse (..., 1), dgamma (F)."""
    d, inverse = _rows(dy, gamma), _flat(inverse)
    normal, scaled = _rows(x, gamma) * inverse, d * _rows(gamma, gamma)
    dx = (scaled - normal * _mean(scaled * normal)) * inverse
    return _like(dx, x), _summed(d * normal, gamma)


def _rows(x: Array, gamma: Array) -> Any:
    """Return x (..., *F) as rows, as long as gamma is large."""
    shape = math.prod(x.shape[: x.ndim - gamma.ndim]), math.prod(gamma.shape)
    return namespace_of(x).reshape(widened(x), shape)


def _flat(statistics: Array) -> Any:
    """Return one number a row (..., 1) as a column."""
    return namespace_of(statistics).reshape(statistics, (math.prod(statistics.shape), 1))


def _of_rows(column: Array, x: Array, gamma: Array) -> Any:
    """Return one number a row, a column, in the shape (..., 1)."""
    leading = x.shape[: x.ndim - gamma.ndim]
    return namespace_of(column).reshape(column, (*leading, *(1,) * gamma.ndim))


def _like(rows: Array, x: Array) -> Any:
    """Return rows in the shape and data type of x."""
    return as_dtype_of(x, namespace_of(rows).reshape(rows, x.shape))


def _mean(rows: Array) -> Any:
    return namespace_of(rows).mean(rows, axis=1, keepdims=True)


def _summed(rows: Array, gamma: Array) -> Any:
    """Return the sum of the rows in the shape and data type of gamma."""
    return _like(namespace_of(rows).sum(rows, axis=0), gamma)
