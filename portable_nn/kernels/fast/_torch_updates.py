"""PyTorch: updates of parameters in place.

The fused operators go over memory from end to end, so their arrays need to be contiguous.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

import torch as _torch

__all__ = ["IN_PLACE"]

torch: Any = _torch  # its types are in part unknown

Tensor: TypeAlias = Any
Tensors: TypeAlias = Sequence[Any]
Updated: TypeAlias = tuple[list[Any], ...]


def sgd(params: Tensors, grads: Tensors, lr: float) -> list[Tensor]:
    """Make p - lr g of p."""
    return [p.sub_(g, alpha=lr) for p, g in zip(params, grads, strict=True)]


def momentum(params: Tensors, grads: Tensors, velocity: Tensors, lr: float, momentum: float) -> Updated:
    """Make momentum v - lr g of v, then p + v of p.

    The fused operator makes momentum v + (1 - dampening) g of v, then p - rate v of p; without momentum it has no v.
    """
    if momentum and _contiguous(params, grads, velocity):
        options = {"weight_decay": 0.0, "nesterov": False, "maximize": False, "is_first_step": False}
        torch._fused_sgd_(params, grads, velocity, momentum=momentum, dampening=1.0 + lr, lr=-1.0, **options)
    else:
        for p, g, v in zip(params, grads, velocity, strict=True):
            p.add_(v.mul_(momentum).sub_(g, alpha=lr))
    return list(params), list(velocity)


def nesterov(params: Tensors, grads: Tensors, velocity: Tensors, lr: float, momentum: float) -> Updated:
    """Make momentum v - lr g of v, then p + momentum v - lr g of p."""
    for p, g, v in zip(params, grads, velocity, strict=True):
        v.mul_(momentum).sub_(g, alpha=lr)
        p.add_(v, alpha=momentum).sub_(g, alpha=lr)
    return list(params), list(velocity)


def adagrad(params: Tensors, grads: Tensors, square_sum: Tensors, lr: float, epsilon: float) -> Updated:
    """Make h + g^2 of h, then p - lr g / (sqrt(h) + epsilon) of p."""
    for p, g, h in zip(params, grads, square_sum, strict=True):
        h.addcmul_(g, g)
        p.addcdiv_(g, h.sqrt().add_(epsilon), value=-lr)
    return list(params), list(square_sum)


def rmsprop(params: Tensors, grads: Tensors, square_mean: Tensors, lr: float, decay: float, epsilon: float) -> Updated:
    """Make decay h + (1 - decay) g^2 of h, then p - lr g / (sqrt(h) + epsilon) of p: Adam, with g as its own mean."""
    adam(params, grads, grads, square_mean, lr, 0.0, decay, epsilon)
    return list(params), list(square_mean)


def adam(
    params: Tensors,
    grads: Tensors,
    mean: Tensors,
    square_mean: Tensors,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> Updated:
    """Make beta1 m + (1 - beta1) g of m and beta2 v + (1 - beta2) g^2 of v, then p - lr m / (sqrt(v) + epsilon) of p.

    The fused operator corrects the bias for the number of steps: not at all after infinitely many.
    """
    if _contiguous(params, grads, mean, square_mean):
        options = {"weight_decay": 0.0, "amsgrad": False, "maximize": False}
        steps = [_infinity(p.device) for p in params]
        torch._fused_adam_(
            params, grads, mean, square_mean, [], steps, lr=lr, beta1=beta1, beta2=beta2, eps=epsilon, **options
        )
    else:
        for p, g, m, v in zip(params, grads, mean, square_mean, strict=True):
            v.mul_(beta2).addcmul_(g, g, value=1.0 - beta2)
            m.lerp_(g, 1.0 - beta1)
            p.addcdiv_(m, v.sqrt().add_(epsilon), value=-lr)
    return list(params), list(mean), list(square_mean)


def add_l2(grads: Tensors, params: Tensors, weight_decay: float) -> list[Tensor]:
    """Make g + weight_decay p of g."""
    return [g.add_(p, alpha=weight_decay) for g, p in zip(grads, params, strict=True)]


def decay(params: Tensors, rate: float) -> list[Tensor]:
    """Make p (1 - rate) of p."""
    return [p.mul_(1.0 - rate) for p in params]


def clip_by_value(grads: Tensors, limit: float) -> list[Tensor]:
    """Cut each element of g to [-limit, limit]."""
    return [g.clamp_(-limit, limit) for g in grads]


def clip_by_global_norm(grads: Tensors, limit: float) -> list[Tensor]:
    """Scale all g by one factor, so that the norm of all of them together is at most limit."""
    flat = [g.reshape(-1) for g in grads if g.numel()]
    if not flat:
        return list(grads)
    largest = torch.stack([torch.linalg.vector_norm(g, math.inf) for g in flat]).max().clamp_min(limit)
    largest = torch.where(torch.isfinite(largest), largest, 1.0)
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g / largest) for g in flat]))
    reach = limit / largest
    factor = reach / torch.where(norm > reach, norm, reach)
    return [g.mul_(factor) for g in grads]


IN_PLACE: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (sgd, momentum, nesterov, adagrad, rmsprop, adam, add_l2, decay, clip_by_value, clip_by_global_norm)
}


@cache
def _infinity(device: Any) -> Tensor:
    return torch.full((), math.inf, dtype=torch.float32, device=device)


def _contiguous(*lists: Tensors) -> bool:
    """Tell whether the fused operators take these: they need at least one tensor of each."""
    return bool(lists[0]) and all(array.is_contiguous() for arrays in lists for array in arrays)
