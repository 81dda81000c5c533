"""Gates: one half of x lets the other half through. Axes are counted from the front; C = channels of x along one.

A gradient takes dy, the derivative of the loss by y, and x.
"""

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.activations import sigmoid, silu, silu_gradient

__all__ = ["glu", "glu_gradient", "swiglu", "swiglu_gradient"]


def glu(x: Array, axis: int) -> Array:
    """Return a sigmoid(b), with a the first half of x along an axis and b the second: y (..., C / 2, ...).

    Source: Dauphin, Fan, Auli, Grangier, Language modeling with gated convolutional networks (ICML 2017), eq. 1.
    """
    a, b = _halves(x, axis)
    return a * sigmoid(b)


def glu_gradient(dy: Array, x: Array, axis: int) -> Array:
    """Return da = dy sigmoid(b) and db = dy a sigmoid(b) sigmoid(-b), joined as x is."""
    xp = namespace_of(x)
    a, b = _halves(x, axis)
    return xp.concat((dy * sigmoid(b), dy * a * (sigmoid(b) * sigmoid(-b))), axis=axis)


def swiglu(x: Array, axis: int) -> Array:
    """Return a silu(b), with a the first half of x along an axis and b the second: y (..., C / 2, ...).

    Source: Shazeer, GLU variants improve transformer (arXiv 2002.05202), eq. 5; there it is the first that is gated.
    """
    a, b = _halves(x, axis)
    return a * silu(b)


def swiglu_gradient(dy: Array, x: Array, axis: int) -> Array:
    """Return da = dy silu(b) and db = dy a silu'(b), joined as x is."""
    xp = namespace_of(x)
    a, b = _halves(x, axis)
    return xp.concat((dy * silu(b), silu_gradient(dy * a, b)), axis=axis)


def _halves(x: Array, axis: int) -> tuple[Array, Array]:
    half, before = x.shape[axis] // 2, (slice(None),) * axis
    return x[(*before, slice(None, half), ...)], x[(*before, slice(half, None), ...)]
