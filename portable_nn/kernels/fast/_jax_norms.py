"""JAX: gradients of norms of each sample, whose sums over the samples are products with ones.

Where samples are large, XLA's own sums over them take most of the time of the whole gradient on the CPU.
"""

import math
from typing import Any

import jax.numpy as _numpy

from portable_nn.arrays import as_dtype_of, widened

__all__ = ["layer_norm_gradient", "rms_norm_gradient"]

numpy: Any = _numpy  # its types are in part unknown


def layer_norm_gradient(dy: Any, x: Any, center: Any, inverse: Any, gamma: Any) -> tuple[Any, Any, Any]:
    """Return dx, dgamma and dbeta for what `layer_norm` returned."""
    d, inverse = _rows(dy, gamma), inverse.reshape(-1, 1)
    centered = _rows(x, gamma) - center.reshape(-1, 1)
    normal = (centered - _mean(centered)) * inverse
    scaled = d * _rows(gamma, gamma)
    dx = (scaled - _mean(scaled) - normal * _mean(scaled * normal)) * inverse
    return _like(dx, x), _summed(d * normal, gamma), _summed(d, gamma)


def rms_norm_gradient(dy: Any, x: Any, inverse: Any, gamma: Any) -> tuple[Any, Any]:
    """Return dx and dgamma for what `rms_norm` returned."""
    d, inverse = _rows(dy, gamma), inverse.reshape(-1, 1)
    normal, scaled = _rows(x, gamma) * inverse, d * _rows(gamma, gamma)
    dx = (scaled - normal * _mean(scaled * normal)) * inverse
    return _like(dx, x), _summed(d * normal, gamma)


def _rows(x: Any, gamma: Any) -> Any:
    """Return x (..., *F) as rows, as long as gamma is large."""
    return widened(x).reshape(math.prod(x.shape[: x.ndim - gamma.ndim]), gamma.size)


def _like(rows: Any, x: Any) -> Any:
    return as_dtype_of(x, rows.reshape(x.shape))


def _mean(rows: Any) -> Any:
    return rows.mean(axis=1, keepdims=True)


def _summed(rows: Any, gamma: Any) -> Any:
    """Return the sum of the rows, without rounding to fewer digits first as GPUs do in products."""
    return _like(numpy.matmul(numpy.ones(rows.shape[0], rows.dtype), rows, precision="highest"), gamma)
