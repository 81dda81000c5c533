"""PyTorch: losses and their gradients in few operators. N = batch, C = classes."""

from typing import Any, TypeAlias

import torch as _torch

from portable_nn.kernels.portable import losses_of_answers, losses_of_classes, losses_of_numbers

__all__ = [
    "sigmoid_loss",
    "sigmoid_loss_gradient",
    "softmax_loss",
    "softmax_loss_gradient",
    "squared_error",
    "squared_error_gradient",
]

torch: Any = _torch  # its types are in part unknown
_nn = torch._C._nn

Tensor: TypeAlias = Any


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
