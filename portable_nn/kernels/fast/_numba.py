"""NumPy: what takes several passes over memory, in one, compiled by numba.

The maths and its sources stand in `kernels/portable`. Each loop takes arrays without gaps and numbers, of one data
type; what lies in memory otherwise is left to NumPy.
"""

import math
from collections.abc import Callable
from typing import Any

import numba as _numba
import numpy as np

from portable_nn.kernels.fast import _numba_batch_norm, _numba_norms, _numpy_updates, numpy

__all__ = ["FUSED", "IN_PLACE", "KERNELS"]

_Array = np.ndarray
_Out = np.ndarray | None

numba: Any = _numba  # it declares no types

_loop = numba.njit(cache=True, error_model="numpy", fastmath={"contract"}, nogil=True)


@_loop
def _sgd(p: Any, g: Any, lr: Any) -> None:
    for i in range(p.size):
        p[i] -= lr * g[i]


@_loop
def _momentum(p: Any, g: Any, v: Any, lr: Any, momentum: Any) -> None:
    for i in range(p.size):
        v[i] = momentum * v[i] - lr * g[i]
        p[i] += v[i]


@_loop
def _nesterov(p: Any, g: Any, v: Any, lr: Any, momentum: Any) -> None:
    for i in range(p.size):
        v[i] = momentum * v[i] - lr * g[i]
        p[i] += momentum * v[i] - lr * g[i]


@_loop
def _adagrad(p: Any, g: Any, h: Any, lr: Any, epsilon: Any) -> None:
    for i in range(p.size):
        h[i] += g[i] * g[i]
        p[i] -= lr * g[i] / (math.sqrt(h[i]) + epsilon)


@_loop
def _rmsprop(p: Any, g: Any, h: Any, lr: Any, decay: Any, rest: Any, epsilon: Any) -> None:
    for i in range(p.size):
        h[i] = decay * h[i] + rest * (g[i] * g[i])
        p[i] -= lr * g[i] / (math.sqrt(h[i]) + epsilon)


@_loop
def _adam(
    p: Any, g: Any, m: Any, v: Any, lr: Any, beta1: Any, rest1: Any, beta2: Any, rest2: Any, epsilon: Any
) -> None:
    for i in range(p.size):
        m[i] = beta1 * m[i] + rest1 * g[i]
        v[i] = beta2 * v[i] + rest2 * (g[i] * g[i])
        p[i] -= lr * m[i] / (math.sqrt(v[i]) + epsilon)


def _updates(loop: Any, arrays: int, numbers: Callable[..., Any] = lambda *numbers: numbers) -> Callable[..., Any]:
    """Return the kernel that runs `loop` over lists of so many arrays, with what `numbers` makes of its own numbers."""
    otherwise: Callable[..., Any] = _numpy_updates.IN_PLACE[loop.__name__[1:]]

    def kernel(*arguments: Any) -> Any:
        lists, plain = arguments[:arrays], arguments[arrays:]
        for row in zip(*lists, strict=True):
            if all(array.ndim == 1 and array.flags.c_contiguous for array in row):
                loop(*row, *map(row[0].dtype.type, numbers(*plain)))
            else:
                otherwise(*([array] for array in row), *plain)
        params, _, *slots = lists
        return (params, *slots) if slots else params

    return kernel


def _with_rests(lr: float, *numbers: float) -> tuple[float, ...]:
    """Return each decay d with 1 - d beside it, which in float32 would lose digits."""
    *decays, epsilon = numbers
    return lr, *(number for decay in decays for number in (decay, 1.0 - decay)), epsilon


IN_PLACE = _numpy_updates.IN_PLACE | {
    "sgd": _updates(_sgd, 2),
    "momentum": _updates(_momentum, 3),
    "nesterov": _updates(_nesterov, 3),
    "adagrad": _updates(_adagrad, 3),
    "rmsprop": _updates(_rmsprop, 3, _with_rests),
    "adam": _updates(_adam, 4, _with_rests),
}


@_loop
def _add_relu_rows(y: Any, b: Any) -> None:
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            value = y[n, o] + b[o]
            y[n, o] = 0 if value <= 0 else value  # NaN stays


@_loop
def _add_relu_columns(y: Any, b: Any) -> None:
    for o in range(y.shape[0]):
        for n in range(y.shape[1]):
            value = y[o, n] + b[o]
            y[o, n] = 0 if value <= 0 else value


@_loop
def _relu_gradient(dy: Any, y: Any) -> None:
    for i in range(y.size):
        dy[i] = dy[i] if y[i] > 0 else 0


@_loop
def _sigmoid_gradient(dy: Any, y: Any) -> None:
    for i in range(y.size):
        dy[i] *= y[i] * (1 - y[i])


@_loop
def _tanh_gradient(dy: Any, y: Any) -> None:
    for i in range(y.size):
        dy[i] *= 1 - y[i] * y[i]


@_loop
def _softmax_loss(y: Any, t: Any, scale: Any, dy: Any) -> Any:
    """Write scale (softmax(y) - one-hot t) to dy, and return the cross-entropy."""
    loss = 0.0
    for n in range(y.shape[0]):
        most = y[n, 0]
        for c in range(1, y.shape[1]):
            most = max(most, y[n, c])
        total = scale - scale  # zero, of the same type
        for c in range(y.shape[1]):
            e = math.exp(y[n, c] - most)
            dy[n, c] = e
            total += e
        factor = scale / total
        for c in range(y.shape[1]):
            dy[n, c] *= factor
        dy[n, t[n]] -= scale
        loss += math.log(total) - (y[n, t[n]] - most)
    return scale * loss


@_loop
def _add_to_rows(dW: Any, x: Any, dy: Any) -> None:
    for i in range(x.size):
        for c in range(dy.shape[1]):
            dW[x[i], c] += dy[i, c]


def embedding_gradient(dy: _Array, x: _Array, count: int, padding: int | None, out: _Out = None) -> _Array:
    """Return for each row the sum of dy over its uses in x."""
    dW = np.empty((count, dy.shape[-1]), dy.dtype) if out is None else out
    dW[...] = 0
    _add_to_rows(dW, np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(dy).reshape(x.size, dy.shape[-1]))
    if padding is not None:
        dW[padding] = 0
    return dW


def affine_relu(x: _Array, W: _Array, b: _Out, out: _Out = None) -> _Array:
    """Return max(x W + b, 0)."""
    y = numpy.affine(x, W, None, out)
    if b is None:
        return numpy.relu(y, out=y)
    if y.flags.c_contiguous:
        _add_relu_rows(y, b)
    elif y.flags.f_contiguous:
        _add_relu_columns(y.T, b)
    else:
        numpy.relu(np.add(y, b, y), out=y)
    return y


def softmax_loss(
    y: _Array, t: _Array, scale: Any, class_weight: _Out, smoothing: float, out: Any = None
) -> tuple[Any, Any]:
    """Return the cross-entropy of plain labels, and dy; all else is left to NumPy."""
    if t.ndim == 2 or class_weight is not None or smoothing or not isinstance(scale, float) or not y.size:
        return numpy.softmax_loss(y, t, scale, class_weight, smoothing)
    dy = np.empty_like(y) if out is None or out[1] is None else out[1]
    return y.dtype.type(_softmax_loss(y, t, y.dtype.type(scale), dy)), dy


def _gradient_x_then(activation_gradient: str, loop: Any) -> Callable[..., _Array]:
    """Return the kernel for the gradient by the outputs y of an activation."""
    otherwise: Callable[..., _Array] = getattr(numpy, activation_gradient)

    def fused(dy: _Array, W: _Array, shape: tuple[int, ...], y: _Array, out: _Out = None) -> _Array:
        out = np.empty_like(y) if out is None else out
        dx = numpy.affine_gradient_x(dy, W, shape, out)
        if dx.strides != y.strides or not (y.flags.c_contiguous or y.flags.f_contiguous):
            return otherwise(dx, y, out=dx)
        loop(dx.ravel("K"), y.ravel("K"))  # views
        return dx

    return fused


KERNELS = (
    {"embedding_gradient": embedding_gradient, "softmax_loss": softmax_loss}
    | _numba_batch_norm.KERNELS
    | _numba_norms.KERNELS
)

FUSED = numpy.FUSED | {
    ("affine", "relu"): affine_relu,
    ("affine_gradient_x", "relu_gradient"): _gradient_x_then("relu_gradient", _relu_gradient),
    ("affine_gradient_x", "sigmoid_gradient"): _gradient_x_then("sigmoid_gradient", _sigmoid_gradient),
    ("affine_gradient_x", "tanh_gradient"): _gradient_x_then("tanh_gradient", _tanh_gradient),
}
