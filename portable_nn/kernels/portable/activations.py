"""Smooth activations, element by element: each function, and the gradient beside it.

A gradient takes dy, the derivative of the loss by y, and what the forward pass kept: x, or y where y is enough.
"""

import math

from portable_nn.arrays import Array, as_dtype_of, namespace_of, widened
from portable_nn.kernels.portable.special import mills_ratio

__all__ = [
    "celu",
    "celu_gradient",
    "elu",
    "elu_gradient",
    "gelu",
    "gelu_gradient",
    "gelu_tanh",
    "gelu_tanh_gradient",
    "mish",
    "mish_gradient",
    "selu",
    "selu_gradient",
    "sigmoid",
    "sigmoid_gradient",
    "silu",
    "silu_gradient",
    "softplus",
    "softplus_gradient",
    "softsign",
    "softsign_gradient",
    "tanh",
    "tanh_gradient",
]


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


_SELU_SCALE = 1.0507009873554804934
_SELU_ALPHA = 1.6732632423543772848
_SELU_FLOOR = _SELU_SCALE * _SELU_ALPHA


def selu(x: Array) -> Array:
    """Return s x where x > 0, else s alpha (exp(x) - 1), with the s and alpha that lead to mean 0 and variance 1.

    Source: Klambauer, Unterthiner, Mayr, Hochreiter, Self-normalizing neural networks (NIPS 2017), eq. 2.
    """
    xp = namespace_of(x)
    return xp.where(x > 0, _SELU_SCALE * x, _SELU_FLOOR * xp.expm1(xp.minimum(x, 0.0)))


def selu_gradient(dy: Array, x: Array) -> Array:
    """Return dy s where x > 0, else dy s alpha exp(x)."""
    xp = namespace_of(x)
    return dy * xp.where(x > 0, _SELU_SCALE, _SELU_FLOOR * xp.exp(xp.minimum(x, 0.0)))


def celu(x: Array, alpha: float) -> Array:
    """Return x where x > 0, else alpha (exp(x / alpha) - 1). Source: Barron (arXiv 1704.07483)."""
    xp = namespace_of(x)
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0.0) / alpha))


def celu_gradient(dy: Array, x: Array, alpha: float) -> Array:
    """Return dy where x > 0, else dy exp(x / alpha)."""
    xp = namespace_of(x)
    return dy * xp.where(x > 0, 1.0, xp.exp(xp.minimum(x, 0.0) / alpha))


def softsign(x: Array) -> Array:
    """Return x / (1 + |x|). Source: Bergstra, Desjardins, Lamblin, Bengio (technical report 1337, Montreal, 2009)."""
    return x / (1.0 + namespace_of(x).abs(x))


def softsign_gradient(dy: Array, x: Array) -> Array:
    """Return dy / (1 + |x|)^2, of which no square overflows."""
    bound = 1.0 + namespace_of(x).abs(x)
    return dy / bound / bound


def silu(x: Array) -> Array:
    """Return x sigmoid(x). Source: Elfwing, Uchibe, Doya (Neural Networks 107, 2018), eq. 5."""
    return x * sigmoid(x)


def silu_gradient(dy: Array, x: Array) -> Array:
    """Return dy s (1 + x (1 - s)) with s = sigmoid(x)."""
    s = sigmoid(x)
    return dy * s * (1.0 + x * (1.0 - s))


_REACH = 40.0
"""From here on the gates of GELU are 0 or 1 to the last bit, in float64 too; x^3 does not overflow before."""


def gelu(x: Array) -> Array:
    """Return x Phi(x), Phi the normal distribution function. Source: Hendrycks and Gimpel (arXiv 1606.08415).

    As max(x, 0) - |x| (1 - Phi(|x|)), of which the second term keeps its digits where Phi(x) vanishes.
    """
    wide = widened(x)
    size, density = _size_and_density(wide)
    return as_dtype_of(x, namespace_of(x).maximum(wide, 0.0) - size * (density * mills_ratio(size)))


def gelu_gradient(dy: Array, x: Array) -> Array:
    """Return dy (Phi(x) + x phi(x)), phi the normal density: for x < 0 as phi(x) (m - |x|), m Mills' ratio of |x|."""
    wide = widened(x)
    size, density = _size_and_density(wide)
    below = density * (mills_ratio(size) - size)
    return as_dtype_of(dy, widened(dy) * namespace_of(x).where(wide < 0, below, 1.0 - below))


def _size_and_density(x: Array) -> tuple[Array, Array]:
    """Return |x| within the reach of the gate, and phi of it."""
    xp = namespace_of(x)
    size = xp.minimum(xp.abs(x), _REACH)
    return size, xp.exp(-0.5 * size * size) * (1.0 / math.sqrt(2.0 * math.pi))


_LINEAR = 2.0 * math.sqrt(2.0 / math.pi)
_CUBIC = _LINEAR * 0.044715


def gelu_tanh(x: Array) -> Array:
    """Return x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), which is close to `gelu`.

    As x sigmoid(2 u): where tanh(u) is close to -1, the sum would lose its digits. Source: Hendrycks and Gimpel (arXiv
    1606.08415), section 2.
    """
    _, gate = _gate(x)
    return x * gate


def gelu_tanh_gradient(dy: Array, x: Array) -> Array:
    """Return dy (g + x g (1 - g) 2 du/dx), with g = sigmoid(2 u)."""
    x, gate = _gate(x)
    return dy * gate * (1.0 + (1.0 - gate) * (x * (_LINEAR + (3.0 * _CUBIC) * (x * x))))


def _gate(x: Array) -> tuple[Array, Array]:
    """Return x within the reach of the gate, and sigmoid(2 u) for it."""
    xp = namespace_of(x)
    x = xp.minimum(xp.maximum(x, -_REACH), _REACH)
    return x, sigmoid(x * (_LINEAR + _CUBIC * (x * x)))


def mish(x: Array) -> Array:
    """Return x tanh(softplus(x)). Source: Misra, Mish (BMVC 2020)."""
    return x * _tanh_of_softplus(x)


def mish_gradient(dy: Array, x: Array) -> Array:
    """Return dy (w + x (1 - w^2) sigmoid(x)), with w = tanh(softplus(x))."""
    w = _tanh_of_softplus(x)
    return dy * (w + x * (1.0 - w * w) * sigmoid(x))


def _tanh_of_softplus(x: Array) -> Array:
    """Return ((1 + exp(x))^2 - 1) / ((1 + exp(x))^2 + 1), its terms multiplied by exp(-2 x) where x >= 0."""
    xp = namespace_of(x)
    e = xp.exp(-xp.abs(x))
    above = xp.where(x >= 0, 1.0 + 2.0 * e, e * (2.0 + e))
    return above / (above + 2.0 * xp.where(x >= 0, e * e, 1.0))
