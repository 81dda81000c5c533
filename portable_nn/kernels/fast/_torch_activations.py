"""PyTorch: activations and softmax in its own operators, where these are right in the tails."""

import math
from typing import Any, TypeAlias

import torch as _torch

from portable_nn.kernels.portable import softmax as portable

__all__ = [
    "gelu_tanh",
    "gelu_tanh_gradient",
    "glu",
    "log_softmax",
    "log_softmax_gradient",
    "mish",
    "mish_gradient",
    "softmax",
    "softmax_gradient",
]

torch: Any = _torch  # its types are in part unknown
_aten = torch.ops.aten

Tensor: TypeAlias = Any

_REACH = 40.0
_LINEAR = 2.0 * math.sqrt(2.0 / math.pi)
_CUBIC = _LINEAR * 0.044715


def gelu_tanh(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return x (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3); torch's own loses the digits of 1 + tanh(u)."""
    return torch.mul(x, _gate(x.clamp(-_REACH, _REACH)), out=out)


def gelu_tanh_gradient(dy: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return dy (g + x g (1 - g) 2 du/dx), with g = sigmoid(2 u)."""
    z = x.clamp(-_REACH, _REACH)
    gate = _gate(z)
    slope = torch.square(z).mul_(3.0 * _CUBIC).add_(_LINEAR).mul_(z).mul_(torch.rsub(gate, 1.0)).add_(1.0).mul_(gate)
    return torch.mul(dy, slope, out=out)


def _gate(z: Tensor) -> Tensor:
    """Return sigmoid(2 u) for z within its reach."""
    return torch.square(z).mul_(_CUBIC).add_(_LINEAR).mul_(z).sigmoid_()


def mish(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return x tanh(softplus(x))."""
    return _aten.mish(x) if out is None else _aten.mish.out(x, out=out)


def mish_gradient(dy: Tensor, x: Tensor) -> Tensor:
    """Return dy (w + x (1 - w^2) sigmoid(x)), with w = tanh(softplus(x))."""
    return _aten.mish_backward(dy, x)


def glu(x: Tensor, axis: int) -> Tensor:
    """Return a sigmoid(b), with a the first half of x along an axis and b the second."""
    return _aten.glu(x, axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return log(exp(x_c) / sum_k exp(x_k)) over an axis."""
    if _is_narrow(x, axis):
        return _aten._log_softmax(x.t(), 0, False).t().contiguous()
    return _aten._log_softmax(x, axis, False)


def log_softmax_gradient(dy: Tensor, y: Tensor, axis: int = -1) -> Tensor:
    """Return dy - exp(y) times the sum of dy over the axis."""
    if _is_narrow(y, axis):
        return portable.log_softmax_gradient(dy, y, axis)
    return _aten._log_softmax_backward_data(dy, y, axis, y.dtype)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return exp(x_c) / sum_k exp(x_k) over an axis."""
    if _is_narrow(x, axis):
        return _aten._softmax(x.t(), 0, False).t().contiguous()
    return _aten._softmax(x, axis, False)


def softmax_gradient(dy: Tensor, y: Tensor, axis: int = -1) -> Tensor:
    """Return (diag(y) - y y^T) dy over the axis."""
    if _is_narrow(y, axis):
        return portable.softmax_gradient(dy, y, axis)
    return _aten._softmax_backward_data(dy, y, axis, y.dtype)


def _is_narrow(x: Tensor, axis: int) -> bool:
    """Tell whether these are many rows of less than 16 numbers, for which torch's own takes longer on the CPU."""
    return x.is_cpu and x.ndim == 2 and axis in (-1, 1) and x.shape[1] < 16 and x.numel() > 400
