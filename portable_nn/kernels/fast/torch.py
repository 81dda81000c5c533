"""PyTorch: its fused operators, written into donated memory. None of them waits for the device.

N = batch, I = inputs, O = outputs, C = classes. `out` is memory that the same call returned before.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch as _torch

from portable_nn.kernels.fast import _torch_updates
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
from portable_nn.kernels.fast._torch_rows import embedding, embedding_gradient
from portable_nn.kernels.portable import losses_of_answers, losses_of_classes, losses_of_numbers

__all__ = [
    "affine",
    "affine_gradient_W",
    "affine_gradient_b",
    "affine_gradient_x",
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
    "leaky_relu",
    "leaky_relu_gradient",
    "log_softmax",
    "log_softmax_gradient",
    "mish",
    "mish_gradient",
    "relu",
    "relu_gradient",
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

IN_PLACE = _torch_updates.IN_PLACE

OVERWRITES = frozenset(__all__) - {
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
    """Return x Phi(x); torch's own overflows for large x, as it multiplies by 2 Phi first."""
    if x.dtype.itemsize == 2:  # Phi of rounded numbers is far off where it is small
        return gelu(x.float()).to(x.dtype)
    distribution = torch.mul(x, math.sqrt(0.5), out=_apart(out, x)).erf_().add_(1.0).mul_(0.5)
    return torch.mul(x, distribution, out=out)


def gelu_gradient(dy: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return dy (Phi(x) + x phi(x))."""
    return _gradient(_aten.gelu_backward, out, dy, x)


def softmax_loss(
    y: Tensor,
    t: Tensor,
    scale: float | Tensor,
    class_weight: Tensor | None,
    smoothing: float,
    out: tuple[Tensor, tuple[Any, ...]] | None = None,
) -> tuple[Tensor, tuple[Any, ...]]:
    """Return the cross-entropy of softmax(y), and what its gradient needs: log-probabilities, labels, scale, smoothing.

    Labels t (N,) without class weights are picked out; where they are negative, the scale is an array with zeros there.
    All else is left to the portable kernel.
    """
    if t.ndim != 1 or class_weight is not None:
        return losses_of_classes.softmax_loss(y, t, scale, class_weight, smoothing)
    log_p, t = _log_softmax(y, None if out is None else out[1][0]), t.long()
    if isinstance(scale, float):
        loss = _nn.nll_loss(log_p, t, None, 2).mul_((1.0 - smoothing) * scale)  # 2: the sum over the samples
        if smoothing:
            loss.sub_(log_p.sum(), alpha=smoothing / y.shape[1] * scale)
    else:
        each = _nn.nll_loss(log_p, t, None, 0, -1)
        if smoothing:
            each = each.mul_(1.0 - smoothing).sub_(log_p.sum(1), alpha=smoothing / y.shape[1]).masked_fill_(t < 0, 0)
        loss, t = torch.dot(scale, each), t.clamp_min(0)
    return loss, (log_p, t, scale, smoothing)


def softmax_loss_gradient(dout: float | Tensor, saved: tuple[Any, ...], out: Tensor | None = None) -> Tensor:
    """Return dy = dout s_n (p_nc - q_nc), p the softmax, q the smoothed targets: (N, C)."""
    log_p, t, scale = saved[:3]
    if t.ndim != 1:
        return losses_of_classes.softmax_loss_gradient(dout, saved)
    smoothing, weight = saved[3], dout * scale
    dy = torch.exp(log_p, out=out)
    if smoothing:
        dy.sub_(smoothing / dy.shape[1])
    if isinstance(weight, float):
        at_label = dy.new_full((t.shape[0], 1), (smoothing - 1.0) * weight)
    else:
        weight = weight.reshape(-1, 1)
        at_label = (weight * (smoothing - 1.0)).expand(t.shape[0], 1)
    return dy.mul_(weight).scatter_add_(1, t.unsqueeze(1), at_label)


def sigmoid_loss(y: Tensor, t: Tensor, scale: float | Tensor, positive: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of sigmoid(y), one question an output: l = log(1 + exp(y)) - t y. y, t (N, ...)."""
    return losses_of_answers.sigmoid_loss(y, t, scale, positive)


def sigmoid_loss_gradient(
    dout: float | Tensor,
    y: Tensor,
    t: Tensor,
    scale: float | Tensor,
    positive: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Return dy = dout s_n (sigmoid(y) - t)."""
    if positive is not None:
        return losses_of_answers.sigmoid_loss_gradient(dout, y, t, scale, positive)
    return torch.sigmoid(y, out=out).sub_(t).mul_(dout * _spread(scale, y))


def squared_error(y: Tensor, t: Tensor, scale: float | Tensor) -> Tensor:
    """Return the squared error, l = (y - t)^2: y, t (N, ...)."""
    if not isinstance(scale, float):
        return losses_of_numbers.squared_error(y, t, scale)
    return _nn.mse_loss(y, t, 2).mul_(scale)  # 2: the sum


def squared_error_gradient(
    dout: float | Tensor, y: Tensor, t: Tensor, scale: float | Tensor, out: Tensor | None = None
) -> Tensor:
    """Return dy = dout s_n 2 (y - t)."""
    return torch.sub(y, t, out=out).mul_(2.0).mul_(dout * _spread(scale, y))


def _apart(out: Tensor | None, argument: Tensor) -> Tensor | None:
    """Return `out` if a first result may be put there while `argument` is still needed."""
    return None if out is None or out.data_ptr() == argument.data_ptr() else out


def _gradient(operator: Any, out: Tensor | None, *arguments: Any) -> Tensor:
    return operator.default(*arguments) if out is None else operator.grad_input(*arguments, grad_input=out)


def _log_softmax(y: Tensor, out: Tensor) -> Tensor:
    """Return log_softmax(y) of y (N, C). On the CPU many rows of less than 16 numbers go faster as a few columns."""
    if y.is_cpu and y.shape[1] < 16 and y.numel() > 400:
        columns = torch._log_softmax(y.t(), 0, False).t()
        return columns.contiguous() if out is None else out.copy_(columns)
    if out is None or not out.is_contiguous():  # into other memory torch 2.13 writes wrong results
        return torch._log_softmax(y, 1, False)
    return torch._log_softmax(y, 1, False, out=out)


def _spread(scale: Any, values: Tensor) -> Any:
    """Return a scale of shape (N,) as (N, 1, ...), to multiply values (N, ...); others fit as they are."""
    return (
        scale if isinstance(scale, float) or scale.ndim == values.ndim else scale.reshape(-1, *(1,) * (values.ndim - 1))
    )


def _affine_then(activation: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def fused(x: Tensor, W: Tensor, b: Tensor | None, out: Tensor | None = None) -> Tensor:
        return activation(affine(x, W, b, out))

    return fused


FUSED: dict[tuple[str, str], Callable[..., Any]] = {
    ("affine", "relu"): _affine_then(torch.relu_),
    ("affine", "sigmoid"): _affine_then(torch.sigmoid_),
    ("affine", "tanh"): _affine_then(torch.tanh_),
}
