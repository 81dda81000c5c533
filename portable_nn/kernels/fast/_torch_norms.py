"""PyTorch: its native normalizations, and what it has no quick ones for.

Where the mean is far from 0, native ones are as wrong as x is after a few more roundings. Half precision is left to the
portable kernels: on the CPU the native ones would round its statistics. N = batch, C = channels. `out` is memory that
the same call returned before.
"""

import math
from typing import Any, TypeAlias

import torch as _torch

from portable_nn.kernels.portable import group_norm as by_groups
from portable_nn.kernels.portable import layer_norm as by_rows
from portable_nn.kernels.portable import normalization as by_channels

__all__ = [
    "batch_norm",
    "batch_norm_gradient",
    "group_norm",
    "group_norm_gradient",
    "layer_norm",
    "layer_norm_gradient",
    "normalize",
    "normalize_gradient",
    "rms_norm",
    "rms_norm_gradient",
]

torch: Any = _torch  # its types are in part unknown
_aten = torch.ops.aten

Tensor: TypeAlias = Any

_ALL = [True, True, True]
"""Which gradients are asked for."""
_POSITIONS = 64
"""From so many on, sums over the positions of each channel apart are quicker on the CPU than torch's own loop."""


def batch_norm(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    epsilon: float,
    out: Any = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return y, the mean and 1 / sqrt(variance + epsilon) of the batch, and the running mean and variance after it.

    On the CPU torch's own means lose digits of numbers far from 0; they are moved near to it first.
    """
    if x.dtype.itemsize == 2:
        return by_channels.batch_norm(x, gamma, beta, mean, variance, momentum, epsilon)
    if not x.is_cpu:
        mean, variance = mean.clone(), variance.clone()
        return *torch.native_batch_norm(x, gamma, beta, mean, variance, True, momentum, epsilon), mean, variance
    along, count = (-1, *(1,) * (x.ndim - 2)), x.numel() // x.shape[1]
    shape = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    if not x.is_contiguous() or shape[2] < _POSITIONS:
        rough, unused, variance = x.mean((0, *range(2, x.ndim))), torch.empty_like(mean), variance.clone()
        given = x - rough.view(along), gamma, beta, unused, variance
        y, center, inverse = torch.native_batch_norm(*given, True, momentum, epsilon)
        return y, center.add_(rough), inverse, torch.lerp(mean, center, momentum), variance
    rough = x.view(shape).sum(2).sum(0).div_(count)
    y = torch.sub(x, rough.view(along), out=None if out is None else out[0])
    rest = y.view(shape).sum(2).sum(0).div_(count)
    of_batch = torch.linalg.vector_norm(y.view(shape), dim=2).square_().sum(0).div_(count).sub_(rest * rest)
    center, inverse = rough + rest, (of_batch + epsilon).rsqrt_()
    scale = gamma * inverse
    y.mul_(scale.view(along)).add_(torch.addcmul(beta, rest, scale, value=-1).view(along))
    unbiased = of_batch.mul_(count / (count - 1))
    return y, center, inverse, torch.lerp(mean, center, momentum), torch.lerp(variance, unbiased, momentum)


def batch_norm_gradient(
    dy: Tensor, x: Tensor, center: Tensor, inverse: Tensor, gamma: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx, dgamma and dbeta."""
    if x.dtype.itemsize == 2:
        return by_channels.batch_norm_gradient(dy, x, center, inverse, gamma)
    return _aten.native_batch_norm_backward(dy, x, gamma, None, None, center, inverse, True, 0.0, _ALL)


def normalize(x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    """Return y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    if x.dtype.itemsize == 2 or not x.numel():
        return by_channels.normalize(x, gamma, beta, mean, variance, epsilon)
    return torch.native_batch_norm(x, gamma, beta, mean, variance, False, 0.0, epsilon)[0]


def normalize_gradient(
    dy: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, variance: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx, dgamma and dbeta."""
    if x.dtype.itemsize == 2 or not x.numel():
        return by_channels.normalize_gradient(dy, x, gamma, mean, variance, epsilon)
    return _aten.native_batch_norm_backward(dy, x, gamma, mean, variance, None, None, False, epsilon, _ALL)


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, the mean and 1 / sqrt(variance + epsilon) of each row."""
    if x.dtype.itemsize == 2:
        return by_rows.layer_norm(x, gamma, beta, epsilon)
    return torch.native_layer_norm(x, gamma.shape, gamma, beta, epsilon)


def layer_norm_gradient(
    dy: Tensor, x: Tensor, center: Tensor, inverse: Tensor, gamma: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx, dgamma and dbeta."""
    if x.dtype.itemsize == 2:
        return by_rows.layer_norm_gradient(dy, x, center, inverse, gamma)
    return _aten.native_layer_norm_backward(dy, x, gamma.shape, center, inverse, gamma, gamma, _ALL)


def rms_norm(x: Tensor, gamma: Tensor, epsilon: float, out: Any = None) -> tuple[Tensor, Tensor]:
    """Return y, and what each row is multiplied by."""
    if x.dtype.itemsize == 2:
        return by_rows.rms_norm(x, gamma, epsilon)
    axes = tuple(range(-gamma.ndim, 0))
    y = torch.mul(x, x, out=None if out is None else out[0])
    inverse = y.mean(axes, keepdim=True).add_(epsilon).rsqrt_()
    return torch.mul(x, inverse, out=y).mul_(gamma), inverse


def rms_norm_gradient(dy: Tensor, x: Tensor, inverse: Tensor, gamma: Tensor, out: Any = None) -> tuple[Tensor, Tensor]:
    """Return dx and dgamma: both are sums of dy x."""
    if x.dtype.itemsize == 2:
        return by_rows.rms_norm_gradient(dy, x, inverse, gamma)
    rows = math.prod(x.shape[: x.ndim - gamma.ndim]), gamma.numel()
    dx = torch.mul(dy, x, out=None if out is None else out[0])
    products, scale = dx.reshape(rows), inverse.reshape(rows[0])
    dgamma = torch.mv(products.t(), scale).view(gamma.shape)
    share = torch.mv(products, gamma.reshape(-1)).mul_(scale * scale).div_(rows[1]).view(inverse.shape)
    dx = torch.mul(dy, gamma, out=dx).addcmul_(x, share, value=-1.0)
    return dx.mul_(inverse), dgamma


def group_norm(x: Tensor, gamma: Tensor, beta: Tensor, groups: int, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, the mean and 1 / sqrt(variance + epsilon) of each group."""
    if x.dtype.itemsize == 2 or not x.numel():
        return by_groups.group_norm(x, gamma, beta, groups, epsilon)
    sizes = *x.shape[:2], math.prod(x.shape[2:])
    return torch.native_group_norm(x.contiguous(), gamma, beta, *sizes, groups, epsilon)


def group_norm_gradient(
    dy: Tensor, x: Tensor, center: Tensor, inverse: Tensor, gamma: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx, dgamma and dbeta."""
    if x.dtype.itemsize == 2 or not x.numel():
        return by_groups.group_norm_gradient(dy, x, center, inverse, gamma)
    sizes, arrays = (*x.shape[:2], math.prod(x.shape[2:]), center.shape[1]), (dy.contiguous(), x.contiguous())
    return _aten.native_group_norm_backward(*arrays, center, inverse, gamma, *sizes, _ALL)
