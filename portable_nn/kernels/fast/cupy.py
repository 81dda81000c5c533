"""CuPy: kernels of CUDA C++ that do in one launch, and one pass over memory, what takes CuPy's own functions several.

A launch costs more than the arithmetic of a small network. Nothing here waits for the device. N = batch, I = inputs,
O = outputs, C = classes. The texts of the kernels are in `_cuda`.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import cupy

from portable_nn.kernels.fast import _cuda
from portable_nn.kernels.fast._cupy_feeding import CupyCopier
from portable_nn.kernels.fast._feeding import Feeder
from portable_nn.kernels.portable import updates
from portable_nn.random import Key, first_element

__all__ = [
    "affine",
    "affine_gradient_W",
    "affine_gradient_b",
    "affine_gradient_x",
    "dropout_mask",
    "elu",
    "elu_gradient",
    "feeder",
    "gelu",
    "gelu_gradient",
    "leaky_relu",
    "leaky_relu_gradient",
    "relu",
    "relu_gradient",
    "sigmoid",
    "sigmoid_gradient",
    "sigmoid_loss",
    "sigmoid_loss_gradient",
    "silu",
    "silu_gradient",
    "softmax_loss",
    "softmax_loss_gradient",
    "softplus",
    "softplus_gradient",
    "squared_error",
    "squared_error_gradient",
    "tanh",
    "tanh_gradient",
]

OVERWRITES = frozenset(name + end for name in _cuda.ACTIVATIONS for end in ("", "_gradient"))

_device = _cuda.Launcher(cupy)
_Out = Any  # an array of what was returned before, whose memory is given away, or None


def feeder(device: Any) -> Callable[[Any, Any], Any]:
    """Return the function (x, indices) -> the rows of x, on the GPU already while the steps before still run there."""
    return Feeder(CupyCopier(cupy, device))


def relu(x: Any, out: _Out = None) -> Any:
    """Return max(x, 0)."""
    return _device.elementwise("relu", (x,), out)


def relu_gradient(dy: Any, y: Any, out: _Out = None) -> Any:
    """Return dy where y > 0, else 0."""
    return _device.elementwise("relu_gradient", (dy, y), out)


def leaky_relu(x: Any, slope: float, out: _Out = None) -> Any:
    """Return x where x > 0, else slope x."""
    return _device.elementwise("leaky_relu", (x,), out, slope)


def leaky_relu_gradient(dy: Any, x: Any, slope: float, out: _Out = None) -> Any:
    """Return dy where x > 0, else slope dy."""
    return _device.elementwise("leaky_relu_gradient", (dy, x), out, slope)


def sigmoid(x: Any, out: _Out = None) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return _device.elementwise("sigmoid", (x,), out)


def sigmoid_gradient(dy: Any, y: Any, out: _Out = None) -> Any:
    """Return dy y (1 - y)."""
    return _device.elementwise("sigmoid_gradient", (dy, y), out)


def tanh(x: Any, out: _Out = None) -> Any:
    """Return the hyperbolic tangent of x."""
    return _device.elementwise("tanh", (x,), out)


def tanh_gradient(dy: Any, y: Any, out: _Out = None) -> Any:
    """Return dy (1 - y^2)."""
    return _device.elementwise("tanh_gradient", (dy, y), out)


def softplus(x: Any, out: _Out = None) -> Any:
    """Return log(1 + exp(x))."""
    return _device.elementwise("softplus", (x,), out)


def softplus_gradient(dy: Any, x: Any, out: _Out = None) -> Any:
    """Return dy sigmoid(x)."""
    return _device.elementwise("softplus_gradient", (dy, x), out)


def elu(x: Any, alpha: float, out: _Out = None) -> Any:
    """Return x where x > 0, else alpha (exp(x) - 1)."""
    return _device.elementwise("elu", (x,), out, alpha)


def elu_gradient(dy: Any, x: Any, alpha: float, out: _Out = None) -> Any:
    """Return dy where x > 0, else dy alpha exp(x)."""
    return _device.elementwise("elu_gradient", (dy, x), out, alpha)


def silu(x: Any, out: _Out = None) -> Any:
    """Return x sigmoid(x)."""
    return _device.elementwise("silu", (x,), out)


def silu_gradient(dy: Any, x: Any, out: _Out = None) -> Any:
    """Return dy s (1 + x (1 - s)) with s = sigmoid(x)."""
    return _device.elementwise("silu_gradient", (dy, x), out)


def gelu(x: Any, out: _Out = None) -> Any:
    """Return x Phi(x)."""
    return _device.elementwise("gelu", (x,), out)


def gelu_gradient(dy: Any, x: Any, out: _Out = None) -> Any:
    """Return dy (Phi(x) + x phi(x))."""
    return _device.elementwise("gelu_gradient", (dy, x), out)


def dropout_mask(x: Any, rate: float, key: Key, layer: int, out: _Out = None) -> Any:
    """Return a mask for x: 0 with probability rate, else 1 / (1 - rate), the same as on every backend."""
    mask = _device.memory(out, x.shape, x.dtype)
    numbers = (first_element(x.size, key), *key[:2], layer, round(rate * 2**24), 1.0 / (1.0 - rate))
    _device.launch("dropout_mask", _cuda.flat_launch(x.size), x.dtype, mask, x.size, *numbers)
    return mask


def affine(x: Any, W: Any, b: Any, out: _Out = None) -> Any:
    """Return x W + b."""
    y = _product(_rows(x), W, (x.shape[0], W.shape[1]), out)
    return y if b is None else _device.add_bias("affine", y, b)


def _affine_activation(activation: str, x: Any, W: Any, b: Any, *numbers: float, out: _Out = None) -> Any:
    """Return an activation of x W + b."""
    y = _product(_rows(x), W, (x.shape[0], W.shape[1]), out)
    if b is None:
        return _device.elementwise(activation, (y,), y, *numbers)
    return _device.add_bias(f"affine_{activation}", y, b, *numbers)


def affine_gradient_x(dy: Any, W: Any, shape: tuple[int, ...], out: _Out = None) -> Any:
    """Return dx = dy W^T in the shape of x."""
    return _product(dy, W.T, shape, out)


def affine_gradient_W(dy: Any, x: Any, out: _Out = None) -> Any:
    """Return dW = x^T dy."""
    x = _rows(x)
    return _product(x.T, dy, (x.shape[1], dy.shape[1]), out)


def affine_gradient_b(dy: Any, out: _Out = None) -> Any:
    """Return db, the sum of dy (N, O) over the batch: (O,)."""
    return _device.column_sums("column_sums", (_device.contiguous(dy, dy.dtype),), out)


def _gradient_and_sums(activation: str, dy: Any, kept: Any, *numbers: float, out: _Out = None) -> tuple[Any, Any]:
    """Return dx, the gradient of an activation, and its sum over the batch."""
    dx, sums = out or (None, None)
    dx = _device.memory(dx, dy.shape, dy.dtype)
    arrays = (_device.contiguous(dy, dy.dtype), _device.contiguous(kept, dy.dtype), dx)
    return dx, _device.column_sums(f"{activation}_gradient_and_sums", arrays, sums, *numbers)


def softmax_loss(
    y: Any, t: Any, scale: Any, class_weight: Any, smoothing: float, out: _Out = None
) -> tuple[Any, tuple[Any, ...]]:
    """Return the cross-entropy of softmax(y), and its gradient for dout = 1: from one launch."""
    loss, (dy,) = out or (None, (None,))
    dtype, (rows, columns) = y.dtype, y.shape
    dy = _device.memory(dy, y.shape, dtype)
    labels, targets = (_device.contiguous(t, "int64"), None) if t.ndim == 1 else (None, _device.contiguous(t, dtype))
    weights = None if class_weight is None else _device.contiguous(class_weight, dtype)
    numbers = (rows, columns, 1.0 - smoothing, smoothing / max(columns, 1), *_scaling(scale, dtype), weights)
    arrays = (_device.contiguous(y, dtype), labels, targets, dy)
    return _device.total("softmax_loss", _cuda.row_launch(rows, columns), arrays, loss, *numbers), (dy,)


def softmax_loss_gradient(dout: Any, kept: tuple[Any, ...]) -> Any:
    """Return dy, the gradient that `softmax_loss` kept, times dout."""
    (dy,) = kept
    return dy if isinstance(dout, float | int) and dout == 1 else dy * dout


def sigmoid_loss(y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
    """Return the cross-entropy of sigmoid(y), one question an output."""
    return _error("sigmoid_loss", y, t, scale, out)


def sigmoid_loss_gradient(dout: Any, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
    """Return dy = dout s_n (sigmoid(y) - t)."""
    return _error_gradient("sigmoid_loss_gradient", dout, y, t, scale, out)


def squared_error(y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
    """Return the squared error."""
    return _error("squared_error", y, t, scale, out)


def squared_error_gradient(dout: Any, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
    """Return dy = dout s_n 2 (y - t)."""
    return _error_gradient("squared_error_gradient", dout, y, t, scale, out)


def _error(name: str, y: Any, t: Any, scale: Any, out: _Out) -> Any:
    factor, scales = _scaling(scale, y.dtype)
    arrays = (_device.contiguous(y, y.dtype), _device.contiguous(t, y.dtype))
    numbers = (y.size, math.prod(y.shape[1:]), factor, scales)
    return _device.total(name, _cuda.sum_launch(y.size), arrays, out, *numbers)


def _error_gradient(name: str, dout: Any, y: Any, t: Any, scale: Any, out: _Out) -> Any:
    factor, scales = _scaling(scale, y.dtype)
    outer, douts = _scaling(dout, y.dtype)
    dy = _device.memory(out, y.shape, y.dtype)
    arrays = (_device.contiguous(y, y.dtype), _device.contiguous(t, y.dtype), dy)
    numbers = (y.size, math.prod(y.shape[1:]), outer * factor, scales, douts)
    _device.launch(name, _cuda.flat_launch(y.size), y.dtype, *arrays, *numbers)
    return dy


def _scaling(scale: Any, dtype: Any) -> tuple[float, Any]:
    """Return a scale as a number and an array or None."""
    return (float(scale), None) if isinstance(scale, float | int) else (1.0, _device.contiguous(scale, dtype))


def _rows(x: Any) -> Any:
    return x if x.ndim == 2 else x.reshape(x.shape[0], math.prod(x.shape[1:]))


def _product(a: Any, b: Any, shape: tuple[int, ...], out: _Out) -> Any:
    """Return the product of two matrices in another shape."""
    y = _device.memory(out, shape, a.dtype)
    a.dot(b, y.reshape(a.shape[0], b.shape[1]))  # `dot` writes to `out` without a copy; `matmul` has more overhead
    return y


def _in_place(name: str) -> Callable[..., Any]:
    """Return the update of this name, done in the arrays that it is given."""
    rule = _cuda.RULES[name]

    @wraps(getattr(updates, name))
    def update(*arguments: Any) -> Any:
        lists, numbers = arguments[: len(rule.written)], [float(number) for number in arguments[len(rule.written) :]]
        for arrays in zip(*lists, strict=True):
            _device.update(name, arrays, rule.written, *numbers)
        results = [list(arrays) for arrays, changed in zip(lists, rule.written, strict=True) if changed]
        return tuple(results) if len(results) > 1 else results[0]

    return update


def _clip_by_global_norm(grads: Sequence[Any], limit: float) -> list[Any]:
    """Return the gradients, scaled in place so that the norm of all of them together is at most limit."""
    totals = _device.sum_of_squares(grads) if grads else None
    for g in grads:
        _device.update("clip_to_norm", (g, totals), (True, False), float(limit), len(grads))
    return list(grads)


FUSED = {("affine", name): partial(_affine_activation, name) for name in _cuda.ACTIVATIONS}

PAIRED = {(f"{name}_gradient", "affine_gradient_b"): partial(_gradient_and_sums, name) for name in _cuda.ACTIVATIONS}

IN_PLACE = {name: _in_place(name) for name in _cuda.RULES} | {"clip_by_global_norm": _clip_by_global_norm}
