"""Activations, element by element: each function, and the gradient beside it.

A gradient takes dy, the derivative of the loss by y, and what the forward pass kept: x, or y where y is enough.
"""

import math

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.special import erf

__all__ = [
    "elu",
    "elu_gradient",
    "gelu",
    "gelu_gradient",
    "leaky_relu",
    "leaky_relu_gradient",
    "relu",
    "relu_gradient",
    "sigmoid",
    "sigmoid_gradient",
    "silu",
    "silu_gradient",
    "softplus",
    "softplus_gradient",
    "tanh",
    "tanh_gradient",
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


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), written so that exp never overflows: exp(-|x|) is at most 1."""
    xp = namespace_of(x)
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1.0, e) / (1.0 + e)


def sigmoid_gradient(dy: Array, y: Array) -> Array:
    """Return dy y (1 - y)."""
    return dy * y * (1.0 - y)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent of x."""
    return namespace_of(x).tanh(x)


def tanh_gradient(dy: Array, y: Array) -> Array:
    """Return dy (1 - y^2)."""
    return dy * (1.0 - y * y)


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)). Source: Dugas et al. (NIPS 2000)."""
    xp = namespace_of(x)
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


def softplus_gradient(dy: Array, x: Array) -> Array:
    """Return dy sigmoid(x)."""
    return dy * sigmoid(x)


def elu(x: Array, alpha: float) -> Array:
    """Return x where x > 0, else alpha (exp(x) - 1). Source: Clevert, Unterthiner, Hochreiter (ICLR 2016), eq. 15."""
    xp = namespace_of(x)
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0.0)))


def elu_gradient(dy: Array, x: Array, alpha: float) -> Array:
    """Return dy where x > 0, else dy alpha exp(x)."""
    xp = namespace_of(x)
    return dy * xp.where(x > 0, 1.0, alpha * xp.exp(xp.minimum(x, 0.0)))


def silu(x: Array) -> Array:
    """Return x sigmoid(x). Source: Elfwing, Uchibe, Doya (Neural Networks 107, 2018), eq. 5."""
    return x * sigmoid(x)


def silu_gradient(dy: Array, x: Array) -> Array:
    """Return dy s (1 + x (1 - s)) with s = sigmoid(x)."""
    s = sigmoid(x)
    return dy * s * (1.0 + x * (1.0 - s))


def gelu(x: Array) -> Array:
    """Return x Phi(x), Phi the normal distribution function. Source: Hendrycks and Gimpel (arXiv 1606.08415)."""
    return x * _normal_distribution(x)


def gelu_gradient(dy: Array, x: Array) -> Array:
    """Return dy (Phi(x) + x phi(x)), phi the normal density."""
    density = namespace_of(x).exp(-0.5 * x * x) * (1.0 / math.sqrt(2.0 * math.pi))
    return dy * (_normal_distribution(x) + x * density)


def _normal_distribution(x: Array) -> Array:
    return 0.5 * (1.0 + erf(x * math.sqrt(0.5)))
