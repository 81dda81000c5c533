"""Activations made of pieces, each a polynomial: each function, and the gradient beside it. N = batch, C = channels.

A gradient takes dy, the derivative of the loss by y, and what the forward pass kept: x, or y where y is enough.
"""

from portable_nn.arrays import Array, as_dtype_of, device_of, namespace_of, widened

__all__ = [
    "hard_sigmoid",
    "hard_sigmoid_gradient",
    "hard_swish",
    "hard_swish_gradient",
    "hard_tanh",
    "hard_tanh_gradient",
    "leaky_relu",
    "leaky_relu_gradient",
    "maxout",
    "maxout_gradient",
    "prelu",
    "prelu_gradient",
    "relu",
    "relu_gradient",
]


def relu(x: Array) -> Array:
    """Return max(x, 0). Source: Nair and Hinton, Rectified linear units (ICML 2010)."""
    return namespace_of(x).maximum(x, 0.0)


def relu_gradient(dy: Array, y: Array) -> Array:
    """Return dy where y > 0, else 0."""
    return namespace_of(y).where(y > 0, dy, 0.0)


def leaky_relu(x: Array, slope: float) -> Array:
    """Return x where x > 0, else slope x. Source: Maas, Hannun, Ng, Rectifier nonlinearities (ICML 2013), eq. 2."""
    return namespace_of(x).where(x > 0, x, slope * x)


def leaky_relu_gradient(dy: Array, x: Array, slope: float) -> Array:
    """Return dy where x > 0, else slope dy."""
    return namespace_of(x).where(x > 0, dy, slope * dy)


def hard_tanh(x: Array, low: float, high: float) -> Array:
    """Return x, at least `low` and at most `high`. Source: Collobert (PhD thesis, Paris 2004), for -1 and 1."""
    xp = namespace_of(x)
    return xp.minimum(xp.maximum(x, low), high)


def hard_tanh_gradient(dy: Array, y: Array, low: float, high: float) -> Array:
    """Return dy where low < y < high, else 0."""
    return namespace_of(y).where((y > low) & (y < high), dy, 0.0)


def hard_sigmoid(x: Array) -> Array:
    """Return x / 6 + 1/2, at least 0 and at most 1. Source: Howard et al., MobileNetV3 (ICCV 2019), section 5.2."""
    return hard_tanh(x + 3.0, 0.0, 6.0) / 6.0


def hard_sigmoid_gradient(dy: Array, y: Array) -> Array:
    """Return dy / 6 where 0 < y < 1, else 0."""
    return namespace_of(y).where((y > 0) & (y < 1), dy / 6.0, 0.0)


def hard_swish(x: Array) -> Array:
    """Return x times its `hard_sigmoid`. Source: Howard et al., MobileNetV3 (ICCV 2019), section 5.2."""
    return x * hard_sigmoid(x)


def hard_swish_gradient(dy: Array, x: Array) -> Array:
    """Return dy where x >= 3, else dy (2 x + 3) / 6 where x > -3, else 0."""
    xp = namespace_of(x)
    return dy * xp.where(x >= 3, 1.0, xp.where(x > -3, (x + 1.5) / 3.0, 0.0))


def prelu(x: Array, slope: Array) -> Array:
    """Return x where x > 0, else slope x: x (N, C, ...), slope (C,), or (1,) for all.

    Source: He, Zhang, Ren, Sun, Delving deep into rectifiers (ICCV 2015), eq. 1.
    """
    return namespace_of(x).where(x > 0, x, _along(slope, x) * x)


def prelu_gradient(dy: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    """Return dx, which is dy where x > 0, else slope dy, and the sums of dy x over x <= 0. Source: eq. 2 and 3."""
    xp = namespace_of(x)
    dx = xp.where(x > 0, dy, _along(slope, x) * dy)
    terms = widened(xp.where(x > 0, 0.0, dy * x))
    axes = tuple(range(x.ndim)) if slope.shape == (1,) else (0, *range(2, x.ndim))
    return dx, as_dtype_of(slope, xp.reshape(xp.sum(terms, axis=axes), slope.shape))


def _along(slope: Array, x: Array) -> Array:
    """Return slopes (C,) or (1,) so that they broadcast to x (N, C, ...)."""
    shape = (1,) * x.ndim if slope.shape == (1,) else (-1,) + (1,) * (x.ndim - 2)
    return namespace_of(x).reshape(slope, shape)


def maxout(x: Array, pieces: int, axis: int) -> tuple[Array, Array]:
    """Return the largest of each `pieces` neighbours along an axis, and which of them it is, the first of several.

    x (..., C, ...), both results (..., C / pieces, ...); the axis is counted from the front. Source: Goodfellow,
    Warde-Farley, Mirza, Courville, Bengio, Maxout networks (ICML 2013), section 3.
    """
    xp, shape = namespace_of(x), x.shape
    groups = xp.reshape(x, (*shape[:axis], shape[axis] // pieces, pieces, *shape[axis + 1 :]))
    return xp.max(groups, axis=axis + 1), xp.argmax(groups, axis=axis + 1)


def maxout_gradient(dy: Array, which: Array, pieces: int, axis: int) -> Array:
    """Return dy at the largest of each group, else 0."""
    xp, shape = namespace_of(dy), dy.shape
    numbers = xp.arange(pieces, dtype=which.dtype, device=device_of(which))
    is_largest = xp.expand_dims(which, axis=axis + 1) == xp.reshape(numbers, (pieces,) + (1,) * (dy.ndim - axis - 1))
    dx = xp.where(is_largest, xp.expand_dims(dy, axis=axis + 1), 0.0)
    return xp.reshape(dx, (*shape[:axis], shape[axis] * pieces, *shape[axis + 1 :]))
