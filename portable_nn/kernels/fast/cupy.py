"""CuPy: kernels of CUDA C++ that do in one launch, and one pass over memory, what takes CuPy's own functions several.

A launch costs more than the arithmetic of a small network. Nothing here waits for the device. N = batch, I = inputs,
O = outputs, C = classes. The texts of the kernels are in `_cuda`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import cupy

from portable_nn.kernels.fast import _cuda, _cupy_memory, _cupy_updates
from portable_nn.kernels.fast._cupy_activations import ActivationKernels
from portable_nn.kernels.fast._cupy_feeding import CupyCopier
from portable_nn.kernels.fast._cupy_losses import LossKernels
from portable_nn.kernels.fast._cupy_norms import NormKernels
from portable_nn.kernels.fast._cupy_rows import RowKernels
from portable_nn.kernels.fast._feeding import Feeder
from portable_nn.random import Key, first_row

__all__ = [
    "absolute_error",
    "absolute_error_gradient",
    "affine",
    "affine_gradient_W",
    "affine_gradient_b",
    "affine_gradient_x",
    "batch_norm",
    "batch_norm_gradient",
    "celu",
    "celu_gradient",
    "class_share",
    "class_total",
    "dropout_mask",
    "elu",
    "elu_gradient",
    "embedding",
    "embedding_gradient",
    "feeder",
    "gather",
    "gaussian_noise",
    "gelu",
    "gelu_gradient",
    "gelu_tanh",
    "gelu_tanh_gradient",
    "group_norm",
    "group_norm_gradient",
    "hard_sigmoid",
    "hard_sigmoid_gradient",
    "hard_swish",
    "hard_swish_gradient",
    "hard_tanh",
    "hard_tanh_gradient",
    "hinge_loss",
    "hinge_loss_gradient",
    "huber_error",
    "huber_error_gradient",
    "layer_norm",
    "layer_norm_gradient",
    "leaky_relu",
    "leaky_relu_gradient",
    "log_cosh_error",
    "log_cosh_error_gradient",
    "mean_scale",
    "mish",
    "mish_gradient",
    "normalize",
    "poisson_error",
    "poisson_error_gradient",
    "quantile_error",
    "quantile_error_gradient",
    "relu",
    "relu_gradient",
    "rms_norm",
    "rms_norm_gradient",
    "selu",
    "selu_gradient",
    "sigmoid",
    "sigmoid_focal_loss",
    "sigmoid_focal_loss_gradient",
    "sigmoid_gradient",
    "sigmoid_loss",
    "sigmoid_loss_gradient",
    "silu",
    "silu_gradient",
    "softmax_loss",
    "softmax_loss_gradient",
    "softplus",
    "softplus_gradient",
    "softsign",
    "softsign_gradient",
    "squared_error",
    "squared_error_gradient",
    "squared_hinge_loss",
    "squared_hinge_loss_gradient",
    "tanh",
    "tanh_gradient",
    "total",
]

OVERWRITES = frozenset(name + end for name in _cuda.ACTIVATIONS for end in ("", "_gradient"))

WIDE_ONLY = OVERWRITES | {
    *("affine", "affine_gradient_W", "affine_gradient_b", "affine_gradient_x"),
    *("dropout_mask", "embedding", "embedding_gradient", "gaussian_noise", "normalize"),
    *("batch_norm", "batch_norm_gradient", "group_norm", "group_norm_gradient"),
    *("layer_norm", "layer_norm_gradient", "rms_norm", "rms_norm_gradient"),
}

_device = _cuda.Launcher(cupy)
_Out = Any  # an array of what was returned before, whose memory is given away, or None


def feeder(device: Any) -> Callable[[Any, Any], Any]:
    """Return the function (x, indices) -> the rows of x, on the GPU already while the steps before still run there."""
    with device:
        feed = Feeder(CupyCopier(cupy))

    def feed_device(x: Any, indices: Any) -> Any:
        with device:
            return feed(x, indices)

    return feed_device


gather = partial(_cupy_memory.gather, _device)

_rows = RowKernels(cupy, _device)
embedding, embedding_gradient = _rows.embedding, _rows.embedding_gradient

_norms = NormKernels(_device)
batch_norm, batch_norm_gradient, normalize = _norms.batch_norm, _norms.batch_norm_gradient, _norms.normalize
group_norm, group_norm_gradient = _norms.group_norm, _norms.group_norm_gradient
layer_norm, layer_norm_gradient = _norms.layer_norm, _norms.layer_norm_gradient
rms_norm, rms_norm_gradient = _norms.rms_norm, _norms.rms_norm_gradient

_activations = ActivationKernels(_device)
relu, relu_gradient = _activations.relu, _activations.relu_gradient
leaky_relu, leaky_relu_gradient = _activations.leaky_relu, _activations.leaky_relu_gradient
sigmoid, sigmoid_gradient = _activations.sigmoid, _activations.sigmoid_gradient
tanh, tanh_gradient = _activations.tanh, _activations.tanh_gradient
softplus, softplus_gradient = _activations.softplus, _activations.softplus_gradient
elu, elu_gradient = _activations.elu, _activations.elu_gradient
silu, silu_gradient = _activations.silu, _activations.silu_gradient
gelu, gelu_gradient = _activations.gelu, _activations.gelu_gradient
selu, selu_gradient = _activations.selu, _activations.selu_gradient
celu, celu_gradient = _activations.celu, _activations.celu_gradient
mish, mish_gradient = _activations.mish, _activations.mish_gradient
softsign, softsign_gradient = _activations.softsign, _activations.softsign_gradient
gelu_tanh, gelu_tanh_gradient = _activations.gelu_tanh, _activations.gelu_tanh_gradient
hard_tanh, hard_tanh_gradient = _activations.hard_tanh, _activations.hard_tanh_gradient
hard_sigmoid, hard_sigmoid_gradient = _activations.hard_sigmoid, _activations.hard_sigmoid_gradient
hard_swish, hard_swish_gradient = _activations.hard_swish, _activations.hard_swish_gradient


def dropout_mask(x: Any, rate: float, key: Key, layer: int, out: _Out = None) -> Any:
    """Return a mask for x: 0 with probability rate, else 1 / (1 - rate), the same as on every backend."""
    mask = _device.memory(out, x.shape, x.dtype)
    numbers = (*_counters(x, key, layer), round(rate * 2**24), 1.0 / (1.0 - rate))
    _device.launch("dropout_mask", _cuda.flat_launch(x.size), x.dtype, mask, x.size, *numbers)
    return mask


def gaussian_noise(x: Any, std: float, key: Key, layer: int, out: _Out = None) -> Any:
    """Return x plus std times normal numbers, the same as on every backend but for rounding."""
    y = _device.memory(out, x.shape, x.dtype)
    arrays = (_device.contiguous(x, x.dtype), y)
    _device.launch(
        "gaussian_noise", _cuda.flat_launch(x.size), x.dtype, *arrays, x.size, *_counters(x, key, layer), float(std)
    )
    return y


def _counters(x: Any, key: Key, layer: int) -> tuple[int, ...]:
    """Return the width of a row, the number of the first, and what else draws depend on."""
    rows = x.shape[0] if x.ndim else 1
    return x.size // max(rows, 1), first_row(rows, key), *key[:2], layer


def affine(x: Any, W: Any, b: Any, out: _Out = None) -> Any:
    """Return x W + b."""
    y = _device.product(x, W, (x.shape[0], W.shape[1]), out)
    return y if b is None else _device.add_bias("affine", y, b)


def _affine_activation(activation: str, x: Any, W: Any, b: Any, *numbers: float, out: _Out = None) -> Any:
    """Return an activation of x W + b."""
    y = _device.product(x, W, (x.shape[0], W.shape[1]), out)
    if b is None:
        return _device.elementwise(activation, (y,), y, *numbers)
    return _device.add_bias(f"affine_{activation}", y, b, *numbers)


def affine_gradient_x(dy: Any, W: Any, shape: tuple[int, ...], out: _Out = None) -> Any:
    """Return dx = dy W^T in the shape of x."""
    return _device.product(dy, W.T, shape, out)


def affine_gradient_W(dy: Any, x: Any, out: _Out = None) -> Any:
    """Return dW = x^T dy."""
    x = x if x.ndim == 2 else x.reshape(x.shape[0], math.prod(x.shape[1:]))
    return _device.product(x.T, dy, (x.shape[1], dy.shape[1]), out)


def affine_gradient_b(dy: Any, out: _Out = None) -> Any:
    """Return db, the sum of dy (N, O) over the batch: (O,)."""
    return _device.column_sums("column_sums", (_device.contiguous(dy, dy.dtype),), out)


def _gradient_and_sums(
    activation: str, dy: Any, saved: Any, *numbers: float, factors: Any = None, out: _Out = None
) -> tuple[Any, Any]:
    """Return dx, the gradient of an activation, and its sum over the batch; dy is multiplied by factors first."""
    dx, sums = out or (None, None)
    dx, dtype = _device.memory(dx, dy.shape, dy.dtype), dy.dtype
    arrays = (_device.contiguous(dy, dtype), _device.contiguous(factors, dtype), _device.contiguous(saved, dtype), dx)
    return dx, _device.column_sums(f"{activation}_gradient_and_sums", arrays, sums, *numbers)


def _product_gradient_and_sums(
    activation: str, dy: Any, factors: Any, saved: Any, *numbers: float, out: _Out = None
) -> tuple[Any, Any]:
    """Return the same for dy times factors, such as a dropout mask."""
    if dy.shape != saved.shape or getattr(factors, "shape", None) != saved.shape:
        return _gradient_and_sums(activation, dy * factors, saved, *numbers, out=out)
    return _gradient_and_sums(activation, dy, saved, *numbers, factors=factors, out=out)


_losses = LossKernels(_device)
absolute_error, absolute_error_gradient = _losses.absolute_error, _losses.absolute_error_gradient
huber_error, huber_error_gradient = _losses.huber_error, _losses.huber_error_gradient
poisson_error, poisson_error_gradient = _losses.poisson_error, _losses.poisson_error_gradient
sigmoid_loss, sigmoid_loss_gradient = _losses.sigmoid_loss, _losses.sigmoid_loss_gradient
softmax_loss, softmax_loss_gradient = _losses.softmax_loss, _losses.softmax_loss_gradient
class_share, class_total = _losses.class_share, _losses.class_total
mean_scale, total = _losses.mean_scale, _losses.total
squared_error, squared_error_gradient = _losses.squared_error, _losses.squared_error_gradient
hinge_loss, hinge_loss_gradient = _losses.hinge_loss, _losses.hinge_loss_gradient
log_cosh_error, log_cosh_error_gradient = _losses.log_cosh_error, _losses.log_cosh_error_gradient
quantile_error, quantile_error_gradient = _losses.quantile_error, _losses.quantile_error_gradient
sigmoid_focal_loss, sigmoid_focal_loss_gradient = _losses.sigmoid_focal_loss, _losses.sigmoid_focal_loss_gradient
squared_hinge_loss, squared_hinge_loss_gradient = _losses.squared_hinge_loss, _losses.squared_hinge_loss_gradient

FUSED = (
    _losses.fused
    | {("affine", name): partial(_affine_activation, name) for name in _cuda.ACTIVATIONS}
    | {
        ("multiply", f"{name}_gradient_affine_gradient_b"): partial(_product_gradient_and_sums, name)
        for name in _cuda.ACTIVATIONS
    }
)

PAIRED = _losses.paired | {
    (f"{name}_gradient", "affine_gradient_b"): partial(_gradient_and_sums, name) for name in _cuda.ACTIVATIONS
}

ROUNDS_APART = frozenset(pair for pair in _losses.paired if pair[1] == "affine_gradient_b")  # sums in another order

CHAINABLE, CHAIN_FIRST, CHAIN_LAST = _cuda.CHAINABLE, _cuda.CHAIN_FIRST, _cuda.CHAIN_LAST

CHAINED = partial(_cuda.chained, _device)

IN_PLACE = _cupy_updates.in_place(_device)

TOGETHER = partial(_cupy_updates.Together, _device)
