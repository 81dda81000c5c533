"""NumPy: activations, in few passes over memory, in memory that is given."""

import math
import threading
from contextvars import Context

import numpy as np

__all__ = [
    "gelu_tanh",
    "gelu_tanh_gradient",
    "mish",
    "mish_gradient",
    "relu",
    "relu_gradient",
    "sigmoid",
    "sigmoid_gradient",
    "sigmoid_of_negated",
    "tanh",
    "tanh_gradient",
]

_Array = np.ndarray
_Out = np.ndarray | None
_INTEGERS = {2: np.int16, 4: np.int32, 8: np.int64}


def relu(x: _Array, out: _Out = None) -> _Array:
    """Return max(x, 0)."""
    return np.maximum(x, 0.0, out=out)


def relu_gradient(dy: _Array, y: _Array, out: _Out = None) -> _Array:
    """Return dy where y > 0, else 0: the bits of dy, as an integer, times 1 or 0.

    `numpy.where` branches at every element; this does not, and unlike a product of floats it gives 0 where dy is
    infinite.
    """
    integer = _INTEGERS[dy.itemsize]
    if out is None:
        out = np.empty_like(y)
    np.multiply(dy.view(integer), y > 0, out=out.view(integer))
    return out


class _Unreported(threading.local):
    """Calls functions of NumPy where overflow is not reported; `numpy.errstate` takes twenty times as long."""

    def __init__(self) -> None:
        self.run = Context().run
        self.run(np.seterr, over="ignore")


_unreported = _Unreported()


def sigmoid(x: _Array, out: _Out = None) -> _Array:
    """Return 1 / (1 + exp(-x))."""
    return sigmoid_of_negated(np.negative(x, out=np.empty_like(x) if out is None else out))


def sigmoid_of_negated(y: _Array) -> _Array:
    """Write 1 / (1 + exp(y)) over y, and return it: where exp overflows to infinity, 0 is right."""
    _unreported.run(np.exp, y, y)
    y += 1.0
    return np.divide(1.0, y, out=y)  # the reciprocal takes twice as long


def sigmoid_gradient(dy: _Array, y: _Array, out: _Out = None) -> _Array:
    """Return dy y (1 - y)."""
    slope = 1.0 - y
    slope *= y
    return np.multiply(dy, slope, out=out)


def tanh(x: _Array, out: _Out = None) -> _Array:
    """Return the hyperbolic tangent."""
    return np.tanh(x, out=out)


def tanh_gradient(dy: _Array, y: _Array, out: _Out = None) -> _Array:
    """Return dy (1 - y^2)."""
    slope = np.square(y, out=np.empty_like(y))
    np.subtract(1.0, slope, out=slope)
    return np.multiply(dy, slope, out=out)


_REACH = 40.0
_LINEAR = 2.0 * math.sqrt(2.0 / math.pi)
_CUBIC = _LINEAR * 0.044715


def gelu_tanh(x: _Array, out: _Out = None) -> _Array:
    """Return x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3)."""
    _, gate = _gate(x)
    return np.multiply(x, gate, out=out)


def gelu_tanh_gradient(dy: _Array, x: _Array, out: _Out = None) -> _Array:
    """Return dy (g + x g (1 - g) 2 du/dx), with g = sigmoid(2 u)."""
    z, gate = _gate(x)
    slope = np.square(z, out=np.empty_like(z))
    slope *= 3.0 * _CUBIC
    slope += _LINEAR
    slope *= z
    slope *= np.subtract(1.0, gate, out=z)
    slope += 1.0
    slope *= gate
    return np.multiply(dy, slope, out=out)


def _gate(x: _Array) -> tuple[_Array, _Array]:
    """Return new memory of x where the gate is neither 0 nor 1, and that."""
    z = np.maximum(x, -_REACH, out=np.empty_like(x))
    np.minimum(z, _REACH, out=z)
    gate = np.square(z, out=np.empty_like(z))
    gate *= -_CUBIC
    gate -= _LINEAR
    gate *= z
    return z, sigmoid_of_negated(gate)


_NEARLY_ONE = 20.0
"""From here on tanh(softplus(x)) is 1 to the last bit of float64, and the square of exp(x) is far from overflow."""


def mish(x: _Array, out: _Out = None) -> _Array:
    """Return x tanh(softplus(x))."""
    return np.multiply(x, _tanh_of_softplus(_exp(x)), out=out)


def mish_gradient(dy: _Array, x: _Array, out: _Out = None) -> _Array:
    """Return dy (w + x (1 - w^2) sigmoid(x)), with w = tanh(softplus(x))."""
    e = _exp(x)
    slope = np.add(e, 1.0, out=np.empty_like(e))
    np.divide(e, slope, out=slope)
    w = _tanh_of_softplus(e)
    rest = np.square(w, out=np.empty_like(w))
    slope *= np.subtract(1.0, rest, out=rest)
    slope *= x
    slope += w
    return np.multiply(dy, slope, out=out)


def _exp(x: _Array) -> _Array:
    e = np.minimum(x, _NEARLY_ONE, out=np.empty_like(x))
    return np.exp(e, out=e)


def _tanh_of_softplus(e: _Array) -> _Array:
    """Return n / (n + 2) with n = e (e + 2) for e = exp(x), written over e."""
    more = np.add(e, 2.0, out=np.empty_like(e))
    e *= more
    np.add(e, 2.0, out=more)
    e /= more
    return e
