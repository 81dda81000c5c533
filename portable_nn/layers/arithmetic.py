"""Arithmetic, element by element, on arrays of any shapes that NumPy broadcasts to each other, 0-d ones too.

Each names its kernels; the maths stands in `kernels/portable/arithmetic.py`.
"""

import math
from typing import Any

from portable_nn.errors import ShapeError
from portable_nn.layers.activations import Activation
from portable_nn.layers.layer import Arrays, Layer, Run

__all__ = ["Add", "Div", "Exp", "Log", "Mul", "Neg", "Power", "Rescale", "Sub", "broadcast"]


def broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape to which a and b broadcast, None if they do not."""
    ndim = max(len(a), len(b))
    sizes = list(zip((1,) * (ndim - len(a)) + a, (1,) * (ndim - len(b)) + b, strict=True))
    if any(n != m and 1 not in (n, m) for n, m in sizes):
        return None
    return tuple(m if n == 1 else n for n, m in sizes)


class _Arithmetic(Layer):
    def output_shape(self, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape to which a and b broadcast."""
        shape = broadcast(a, b)
        if shape is None:
            raise ShapeError(f"{self} needs shapes that broadcast to each other, got {a} and {b}")
        return shape


class Add(_Arithmetic):
    """a + b."""

    def forward_pass(self, run: Run, params: Arrays, a: Any, b: Any) -> tuple[Any, Any]:
        """Return y; keeps the shapes."""
        return run.kernels.add(a, b), (a.shape, b.shape)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return da and db."""
        a, b = saved
        return (run.kernels.unbroadcast(dy, a), run.kernels.unbroadcast(dy, b)), {}


class Sub(_Arithmetic):
    """a - b."""

    def forward_pass(self, run: Run, params: Arrays, a: Any, b: Any) -> tuple[Any, Any]:
        """Return y; keeps the shapes."""
        return run.kernels.subtract(a, b), (a.shape, b.shape)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return da and db."""
        a, b = saved
        return (run.kernels.unbroadcast(dy, a), run.kernels.subtract_gradient_b(dy, b)), {}


class Mul(_Arithmetic):
    """The product a b, element by element."""

    def forward_pass(self, run: Run, params: Arrays, a: Any, b: Any) -> tuple[Any, Any]:
        """Return y; keeps a and b."""
        return run.kernels.multiply(a, b), (a, b)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return da and db."""
        a, b = saved
        return (run.kernels.multiply_gradient(dy, b, a.shape), run.kernels.multiply_gradient(dy, a, b.shape)), {}


class Div(_Arithmetic):
    """a / b."""

    def forward_pass(self, run: Run, params: Arrays, a: Any, b: Any) -> tuple[Any, Any]:
        """Return y; keeps a and b."""
        return run.kernels.divide(a, b), (a, b)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return da and db."""
        a, b = saved
        return (run.kernels.divide_gradient_a(dy, b, a.shape), run.kernels.divide_gradient_b(dy, a, b)), {}


class Power(Activation):
    """x to a constant power.

    Parameters
    ----------
    exponent : float

    Raises
    ------
    ValueError
        If it is not finite.
    """

    kernel, options, weights_before = "power", ("exponent",), None

    def __init__(self, exponent: float):
        super().__init__()
        number = float(exponent)
        if not math.isfinite(number):
            raise ValueError(f"Power needs a finite exponent, got {exponent}")
        self.exponent = int(number) if number.is_integer() else number  # libraries multiply for whole numbers


class Rescale(Activation):
    """scale x + offset, with two constant numbers.

    Parameters
    ----------
    scale, offset : float

    Raises
    ------
    ValueError
        If one is not finite.
    """

    kernel, options, weights_before = "rescale", ("scale", "offset"), None

    def __init__(self, scale: float, offset: float = 0.0):
        super().__init__()
        self.scale, self.offset = float(scale), float(offset)
        if not (math.isfinite(self.scale) and math.isfinite(self.offset)):
            raise ValueError(f"Rescale needs finite numbers, got {scale} and {offset}")


class Neg(Activation):
    """-x."""

    kernel, keeps_output, weights_before = "negative", True, None


class Exp(Activation):
    """e to the power of x."""

    kernel, keeps_output, weights_before = "exp", True, None


class Log(Activation):
    """The natural logarithm of x."""

    kernel, weights_before = "log", None
