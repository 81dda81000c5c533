"""NumPy: results in memory that is given, no temporaries where they can be avoided, sums and products in BLAS."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from portable_nn.kernels.fast import _numpy_updates
from portable_nn.kernels.fast._numpy_activations import (
    gelu_tanh,
    gelu_tanh_gradient,
    mish,
    mish_gradient,
    relu,
    relu_gradient,
    sigmoid,
    sigmoid_gradient,
    sigmoid_of_negated,
    tanh,
    tanh_gradient,
)
from portable_nn.kernels.fast._numpy_memory import gather, pack, rows
from portable_nn.kernels.fast._numpy_products import (
    affine,
    affine_gradient_b,
    affine_gradient_W,
    affine_gradient_x,
    ones,
)
from portable_nn.kernels.fast._numpy_rows import embedding, embedding_gradient
from portable_nn.kernels.fast._numpy_threads import limited_threads
from portable_nn.kernels.portable import losses_of_classes as portable

__all__ = [
    "add",
    "add_scaled",
    "affine",
    "affine_gradient_W",
    "affine_gradient_b",
    "affine_gradient_x",
    "all_finite",
    "embedding",
    "embedding_gradient",
    "gather",
    "gelu_tanh",
    "gelu_tanh_gradient",
    "half_squares",
    "mish",
    "mish_gradient",
    "multiply",
    "pack",
    "relu",
    "relu_gradient",
    "rows",
    "sigmoid",
    "sigmoid_gradient",
    "softmax_loss",
    "softmax_loss_gradient",
    "squared_error",
    "squared_error_gradient",
    "tanh",
    "tanh_gradient",
]

OVERWRITES = frozenset(
    {
        "add",
        "add_scaled",
        "multiply",
        "relu",
        "relu_gradient",
        "sigmoid",
        "sigmoid_gradient",
        "tanh",
        "tanh_gradient",
        "gelu_tanh",
        "gelu_tanh_gradient",
        "mish",
        "mish_gradient",
    }
)

IN_PLACE = _numpy_updates.IN_PLACE

COMPILED = "numba"

LIMITED_THREADS = limited_threads

_Array = np.ndarray
_Out = np.ndarray | None


def add(a: _Array, b: _Array, out: _Out = None) -> _Array:
    """Return a + b."""
    return np.add(a, b, out=out)


def add_scaled(a: _Array, b: _Array, factor: Any, out: _Out = None) -> _Array:
    """Return a + factor b."""
    if out is None or out is a:
        return np.add(a, factor * b, out=out)
    np.multiply(b, factor, out=out)
    out += a
    return out


def all_finite(x: _Array) -> Any:
    """Return whether no element is NaN or infinite: a product of one half of them with the other tells it fastest.

    Memory is read at two places then. A product overflows at times where no element is infinite; hence the second look.
    """
    vector = x.ravel("K")
    half = vector.size // 2
    with np.errstate(all="ignore"):
        total = np.dot(vector[:half], vector[half : 2 * half]) + vector[2 * half :].sum()
        return np.isfinite(total) or np.isfinite(x).all()


def half_squares(W: _Array) -> Any:
    """Return sum W^2 / 2, as a product: without a square in memory."""
    vector = W.ravel("K")
    return 0.5 * np.dot(vector, vector)


def multiply(a: _Array, b: _Array, out: _Out = None) -> _Array:
    """Return a * b."""
    return np.multiply(a, b, out=out)


def softmax_loss(
    y: _Array, t: _Array, scale: Any, class_weight: _Out, smoothing: float, out: Any = None
) -> tuple[Any, Any]:
    """Return the cross-entropy, and dy for a derivative of 1 by it.

    Plain labels are used as indices, and all is done on y^T (C, N), so that maxima and sums run along the long axis.
    Where labels are negative, the scale is an array with zeros there.
    """
    if t.ndim == 2 or class_weight is not None or smoothing:
        loss, saved = portable.softmax_loss(y, t, scale, class_weight, smoothing)
        return loss, portable.softmax_loss_gradient(1.0, saved)
    samples, classes = y.shape
    z = y.T.copy()
    z -= np.maximum.reduce(z, axis=0)
    labels = t * samples  # below 0 for a label of -1, and an index of the last class
    labels += _range(samples)
    right = z.take(labels)
    np.exp(z, out=z)
    total = np.dot(ones(classes, z.dtype), z)
    z *= scale / total
    z.reshape(-1)[labels] -= scale
    np.log(total, out=total)
    total -= right
    if isinstance(scale, float):
        return scale * np.dot(total, ones(samples, z.dtype)), z.T
    total[t < 0] = 0.0  # what stands at such a label, the last by Python's rules, may be infinite
    return np.dot(scale, total), z.T


@lru_cache(maxsize=16)
def _range(size: int) -> _Array:
    return np.arange(size)


def softmax_loss_gradient(dout: Any, saved: _Array) -> _Array:
    """Return dout dy, which is what was kept for a dout of 1."""
    return saved if isinstance(dout, float) and dout == 1.0 else saved * dout


def squared_error(y: _Array, t: _Array, scale: Any) -> Any:
    """Return the sum of scale (y - t)^2."""
    d = y - t
    d *= d
    if isinstance(scale, float):
        return scale * d.sum()
    if scale.ndim > 1:
        return np.dot(scale.ravel(), d.ravel())
    return np.dot(scale, d.reshape(d.shape[0], math.prod(d.shape[1:])).sum(axis=1))


def squared_error_gradient(dout: Any, y: _Array, t: _Array, scale: Any, out: _Out = None) -> _Array:
    """Return dout scale 2 (y - t)."""
    dy = np.subtract(y, t, out=out)
    if not isinstance(scale, float) and scale.ndim < y.ndim:
        scale = scale.reshape((y.shape[0],) + (1,) * (y.ndim - 1))
    dy *= (2.0 * dout) * scale
    return dy


def _affine_sigmoid(x: _Array, W: _Array, b: _Out, out: _Out = None) -> _Array:
    """Return the sigmoid of x W + b: -b - x W is negated without a pass over memory of its own."""
    y = affine(x, W, None, out)
    return sigmoid_of_negated(np.negative(y, out=y) if b is None else np.subtract(-b, y, out=y))


def _gradient_x_then(activation_gradient: Callable[..., _Array]) -> Callable[..., _Array]:
    """Return the kernel for the gradient by the outputs y of an activation, which lies in memory as y does."""

    def fused(dy: _Array, W: _Array, shape: tuple[int, ...], y: _Array, out: _Out = None) -> _Array:
        out = np.empty_like(y) if out is None else out
        dx = affine_gradient_x(dy, W, shape, out)
        return activation_gradient(dx, y, out=dx)

    return fused


FUSED = {("affine", "sigmoid"): _affine_sigmoid} | {
    ("affine_gradient_x", gradient.__name__): _gradient_x_then(gradient)
    for gradient in (relu_gradient, sigmoid_gradient, tanh_gradient)
}
