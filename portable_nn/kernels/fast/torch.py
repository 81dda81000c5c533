"""PyTorch: its fused operators, written into donated memory. None of them waits for the device.

N = batch, I = inputs, O = outputs. `out` is memory that the same call returned before.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch as _torch

from portable_nn.kernels.fast import _torch_norms, _torch_updates
from portable_nn.kernels.fast._torch_activations import (
    gelu_tanh,
    gelu_tanh_gradient,
    glu,
    log_softmax,
    log_softmax_gradient,
    mish,
    mish_gradient,
    softmax,
    softmax_gradient,
)
from portable_nn.kernels.fast._torch_compilation import compile_step
from portable_nn.kernels.fast._torch_feeding import feeder
from portable_nn.kernels.fast._torch_losses import (
    sigmoid_loss,
    sigmoid_loss_gradient,
    softmax_loss,
    softmax_loss_gradient,
    squared_error,
    squared_error_gradient,
)
from portable_nn.kernels.fast._torch_rows import embedding, embedding_gradient

__all__ = [
    "affine",
    "affine_gradient_W",
    "affine_gradient_b",
    "affine_gradient_x",
    "batch_norm",
    "batch_norm_gradient",
    "compile_step",
    "elu",
    "elu_gradient",
    "embedding",
    "embedding_gradient",
    "feeder",
    "gelu",
    "gelu_gradient",
    "gelu_tanh",
    "gelu_tanh_gradient",
    "glu",
    "group_norm",
    "group_norm_gradient",
    "layer_norm",
    "layer_norm_gradient",
    "leaky_relu",
    "leaky_relu_gradient",
    "log_softmax",
    "log_softmax_gradient",
    "mish",
    "mish_gradient",
    "normalize",
    "normalize_gradient",
    "relu",
    "relu_gradient",
    "rms_norm",
    "rms_norm_gradient",
    "sigmoid",
    "sigmoid_gradient",
    "sigmoid_loss",
    "sigmoid_loss_gradient",
    "silu",
    "silu_gradient",
    "softmax",
    "softmax_gradient",
    "softmax_loss",
    "softmax_loss_gradient",
    "softplus",
    "softplus_gradient",
    "squared_error",
    "squared_error_gradient",
    "tanh_gradient",
]

batch_norm, batch_norm_gradient = _torch_norms.batch_norm, _torch_norms.batch_norm_gradient
group_norm, group_norm_gradient = _torch_norms.group_norm, _torch_norms.group_norm_gradient
layer_norm, layer_norm_gradient = _torch_norms.layer_norm, _torch_norms.layer_norm_gradient
normalize, normalize_gradient = _torch_norms.normalize, _torch_norms.normalize_gradient
rms_norm, rms_norm_gradient = _torch_norms.rms_norm, _torch_norms.rms_norm_gradient

IN_PLACE = _torch_updates.IN_PLACE

OVERWRITES = frozenset(__all__) - {
    *_torch_norms.__all__,
    *("affine", "affine_gradient_W", "affine_gradient_b", "affine_gradient_x"),
    *("sigmoid_loss", "sigmoid_loss_gradient", "softmax_loss", "softmax_loss_gradient"),
    *("glu", "log_softmax", "log_softmax_gradient", "mish_gradient", "softmax", "softmax_gradient"),
    *("compile_step", "embedding", "embedding_gradient", "feeder", "squared_error", "squared_error_gradient"),
}

torch: Any = _torch  # its types are in part unknown
_aten, _nn = torch.ops.aten, torch._C._nn  # where operators take memory for their results, as torch.nn does not

Tensor: TypeAlias = Any


def affine(x: Tensor, W: Tensor, b: Tensor | None, out: Tensor | None = None) -> Tensor:
    """Return y = x W + b: x (N, ...), W (I, O), b (O,) or None, y (N, O)."""
    x = x if x.ndim == 2 else x.reshape(x.shape[0], W.shape[0])
    return torch.mm(x, W, out=out) if b is None else torch.addmm(b, x, W, out=out)


def affine_gradient_x(dy: Tensor, W: Tensor, shape: tuple[int, ...], out: Tensor | None = None) -> Tensor:
    """Return dx = dy W^T in the shape of x: dy (N, O), W (I, O), dx (N, ...)."""
    if len(shape) == 2:
        return torch.mm(dy, W.t(), out=out)
    return torch.mm(dy, W.t()).view(shape)


def affine_gradient_W(dy: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return dW = x^T dy: dy (N, O), x (N, ...), dW (I, O)."""
    x = x if x.ndim == 2 else x.reshape(x.shape[0], math.prod(x.shape[1:]))
    return torch.mm(x.t(), dy, out=out)


def affine_gradient_b(dy: Tensor, out: Tensor | None = None) -> Tensor:
    """Return db, the sum of dy (N, O) over the batch: (O,)."""
    return torch.sum(dy, 0, out=out)


def relu(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return max(x, 0)."""
    return torch.clamp_min(x, 0, out=out)


def relu_gradient(dy: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """Return dy where y > 0, else 0: also where y is NaN, whose sign is 0 here."""
    sign = torch.sign(y, out=_apart(out, dy))
    return _gradient(_aten.threshold_backward, out, dy, sign, 0)


def leaky_relu(x: Tensor, slope: float, out: Tensor | None = None) -> Tensor:
    """Return x where x > 0, else slope x."""
    return _nn.leaky_relu(x, slope, out=out)


def leaky_relu_gradient(dy: Tensor, x: Tensor, slope: float, out: Tensor | None = None) -> Tensor:
    """Return dy where x > 0, else slope dy."""
    return _gradient(_aten.leaky_relu_backward, out, dy, x, slope, False)


def sigmoid(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return 1 / (1 + exp(-x))."""
    return torch.sigmoid(x, out=out)


def sigmoid_gradient(dy: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """Return dy y (1 - y)."""
    return _gradient(_aten.sigmoid_backward, out, dy, y)


def tanh_gradient(dy: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """Return dy (1 - y^2)."""
    return _gradient(_aten.tanh_backward, out, dy, y)


def softplus(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return log(1 + exp(x)), which is x beyond 40: exp(-40) is below the rounding of float64."""
    return _nn.softplus(x, 1, 40, out=out)


def softplus_gradient(dy: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return dy sigmoid(x)."""
    return torch.mul(dy, torch.sigmoid(x, out=_apart(out, dy)), out=out)


def elu(x: Tensor, alpha: float, out: Tensor | None = None) -> Tensor:
    """Return x where x > 0, else alpha (exp(x) - 1)."""
    return _nn.elu(x, alpha, out=out)


def elu_gradient(dy: Tensor, x: Tensor, alpha: float, out: Tensor | None = None) -> Tensor:
    """Return dy where x > 0, else dy alpha exp(x). Torch's own takes NaN for positive in some places."""
    slope = torch.clamp_max(x, 0, out=_apart(out, dy)).exp_().mul_(alpha)
    if alpha != 1:
        slope.add_(torch.clamp_min(x, 0).sign_(), alpha=1.0 - alpha)
    return torch.mul(dy, slope, out=out)


def silu(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return x sigmoid(x)."""
    return _aten.silu(x) if out is None else _aten.silu.out(x, out=out)


def silu_gradient(dy: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return dy s (1 + x (1 - s)) with s = sigmoid(x)."""
    return _gradient(_aten.silu_backward, out, dy, x)


def gelu(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return x Phi(x); torch's own overflows for large x, and loses the digits of a small Phi."""
    if x.dtype.itemsize == 2:  # Phi of rounded numbers is far off where it is small
        return gelu(x.float()).to(x.dtype)
    distribution = torch.mul(x, -math.sqrt(0.5), out=_apart(out, x)).erfc_().mul_(0.5)
    return torch.mul(x, distribution, out=out)


def gelu_gradient(dy: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return dy (Phi(x) + x phi(x)), to the precision of dy: where x < -3 fewer and fewer digits of the rest are left.

    With `erfc` they would stay, but in nine passes over memory instead of one.
    """
    return _gradient(_aten.gelu_backward, out, dy, x)


def _apart(out: Tensor | None, argument: Tensor) -> Tensor | None:
    """Return `out` if a first result may be put there while `argument` is still needed."""
    return None if out is None or out.data_ptr() == argument.data_ptr() else out


def _gradient(operator: Any, out: Tensor | None, *arguments: Any) -> Tensor:
    return operator.default(*arguments) if out is None else operator.grad_input(*arguments, grad_input=out)


def _affine_then(activation: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def fused(x: Tensor, W: Tensor, b: Tensor | None, out: Tensor | None = None) -> Tensor:
        return activation(affine(x, W, b, out))

    return fused


FUSED: dict[tuple[str, str], Callable[..., Any]] = {
    ("affine", "relu"): _affine_then(torch.relu_),
    ("affine", "sigmoid"): _affine_then(torch.sigmoid_),
    ("affine", "tanh"): _affine_then(torch.tanh_),
}
