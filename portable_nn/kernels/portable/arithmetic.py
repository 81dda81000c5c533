"""Arithmetic as NumPy broadcasts it, and its gradients.

A gradient takes dy, the derivative of the loss by y, and gives the derivative by one input in the shape of that input:
where an element was used many times, its derivatives add.
"""

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.reductions import sum_along

__all__ = [
    "add",
    "add_scaled",
    "divide",
    "divide_gradient_a",
    "divide_gradient_b",
    "exp",
    "exp_gradient",
    "log",
    "log_gradient",
    "multiply",
    "multiply_gradient",
    "negative",
    "negative_gradient",
    "power",
    "power_gradient",
    "rescale",
    "rescale_gradient",
    "subtract",
    "subtract_gradient_b",
    "unbroadcast",
]


def unbroadcast(dy: Array, shape: tuple[int, ...]) -> Array:
    """Return dy summed over the axes along which an array of `shape` was broadcast to the shape of dy."""
    if dy.shape == shape:
        return dy
    xp = namespace_of(dy)
    sizes = (1,) * (dy.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, size in enumerate(sizes) if size != dy.shape[i])
    return xp.reshape(sum_along(dy, axes, keepdims=False) if axes else dy, shape)


def add(a: Array, b: Array) -> Array:
    """Return a + b."""
    return a + b


def add_scaled(a: Array, b: Array, factor: float | Array) -> Array:
    """Return a + factor b, with a number or a 0-d array as factor."""
    return a + factor * b


def subtract(a: Array, b: Array) -> Array:
    """Return a - b."""
    return a - b


def subtract_gradient_b(dy: Array, shape: tuple[int, ...]) -> Array:
    """Return db = -dy, for b of `shape`; da is `unbroadcast` alone, as in the sum."""
    return -unbroadcast(dy, shape)


def multiply(a: Array, b: Array) -> Array:
    """Return a * b, element by element."""
    return a * b


def multiply_gradient(dy: Array, other: Array, shape: tuple[int, ...]) -> Array:
    """Return the derivative by the factor of `shape` that was multiplied by `other`: dy other."""
    return unbroadcast(dy * other, shape)


def divide(a: Array, b: Array) -> Array:
    """Return a / b."""
    return a / b


def divide_gradient_a(dy: Array, b: Array, shape: tuple[int, ...]) -> Array:
    """Return da = dy / b, for a of `shape`."""
    return unbroadcast(dy / b, shape)


def divide_gradient_b(dy: Array, a: Array, b: Array) -> Array:
    """Return db = -dy a / b^2."""
    return unbroadcast(-dy * (a / b) / b, b.shape)


def power(x: Array, exponent: float) -> Array:
    """Return x to a constant power; 0 to the power of 0 is 1."""
    return namespace_of(x).pow(x, exponent)


def power_gradient(dy: Array, x: Array, exponent: float) -> Array:
    """Return dy n x^(n - 1); 0 for n = 0, also at x = 0."""
    xp = namespace_of(x)
    return xp.zeros_like(dy) if exponent == 0 else dy * (exponent * xp.pow(x, exponent - 1))


def negative(x: Array) -> Array:
    """Return -x."""
    return -x


def negative_gradient(dy: Array, y: Array) -> Array:
    """Return -dy."""
    return -dy


def exp(x: Array) -> Array:
    """Return e to the power of x."""
    return namespace_of(x).exp(x)


def exp_gradient(dy: Array, y: Array) -> Array:
    """Return dy y."""
    return dy * y


def log(x: Array) -> Array:
    """Return the natural logarithm of x."""
    return namespace_of(x).log(x)


def log_gradient(dy: Array, x: Array) -> Array:
    """Return dy / x."""
    return dy / x


def rescale(x: Array, scale: float, offset: float) -> Array:
    """Return scale x + offset."""
    return x * scale + offset


def rescale_gradient(dy: Array, x: Array, scale: float, offset: float) -> Array:
    """Return dx = scale dy."""
    return dy * scale
