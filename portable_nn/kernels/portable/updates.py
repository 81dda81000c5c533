"""Updates of parameters: lists of arrays in, new lists of arrays out.

p = parameter, g = its gradient, lr = learning rate. The lists run in parallel. Numbers are Python floats, or 0-d arrays
while a step is being traced.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.special import cut

__all__ = [
    "adagrad",
    "adam",
    "add_l2",
    "clip_by_global_norm",
    "clip_by_value",
    "decay",
    "momentum",
    "nesterov",
    "rmsprop",
    "sgd",
]

Arrays: TypeAlias = Sequence[Array]


def sgd(params: Arrays, grads: Arrays, lr: float) -> list[Array]:
    """Return p - lr g. Source: Robbins and Monro, Ann. Math. Statist. 22 (1951) 400-407."""
    return [p - lr * g for p, g in zip(params, grads, strict=True)]


def momentum(
    params: Arrays, grads: Arrays, velocity: Arrays, lr: float, momentum: float
) -> tuple[list[Array], list[Array]]:
    """Return p + v and v = momentum v - lr g. Source: Polyak, USSR Comp. Math. 4 (1964) 1-17, eq. 9."""
    velocity = [momentum * v - lr * g for v, g in zip(velocity, grads, strict=True)]
    return [p + v for p, v in zip(params, velocity, strict=True)], velocity


def nesterov(
    params: Arrays, grads: Arrays, velocity: Arrays, lr: float, momentum: float
) -> tuple[list[Array], list[Array]]:
    """Return p + momentum v - lr g and v = momentum v - lr g, where p stands for the point looked ahead to.

    Source: Sutskever et al. (ICML 2013), eq. 3 and 4, in the variables of Bengio et al. (arXiv 1212.0901), eq. 7.
    """
    velocity = [momentum * v - lr * g for v, g in zip(velocity, grads, strict=True)]
    return [p + (momentum * v - lr * g) for p, v, g in zip(params, velocity, grads, strict=True)], velocity


def adagrad(
    params: Arrays, grads: Arrays, square_sum: Arrays, lr: float, epsilon: float
) -> tuple[list[Array], list[Array]]:
    """Return p - lr g / (sqrt(h) + epsilon) and h = h + g^2. Source: Duchi et al. (JMLR 12, 2011), fig. 1."""
    square_sum = [h + g * g for h, g in zip(square_sum, grads, strict=True)]
    return scaled_step(params, grads, square_sum, lr, epsilon), square_sum


def rmsprop(
    params: Arrays, grads: Arrays, square_mean: Arrays, lr: float, decay: float, epsilon: float
) -> tuple[list[Array], list[Array]]:
    """Return p - lr g / (sqrt(h) + epsilon) and h = decay h + (1 - decay) g^2.

    Source: Tieleman and Hinton, Neural networks for machine learning, lecture 6.5 (2012).
    """
    square_mean = [decay * h + (1.0 - decay) * (g * g) for h, g in zip(square_mean, grads, strict=True)]
    return scaled_step(params, grads, square_mean, lr, epsilon), square_mean


def adam(
    params: Arrays,
    grads: Arrays,
    mean: Arrays,
    square_mean: Arrays,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> tuple[list[Array], list[Array], list[Array]]:
    """Return p - lr m / (sqrt(v) + epsilon), m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2.

    The bias correction is in lr and epsilon. Source: Kingma and Ba (ICLR 2015), algorithm 1 and the end of section 2.
    """
    mean, square_mean = moments(grads, mean, square_mean, beta1, beta2)
    return scaled_step(params, mean, square_mean, lr, epsilon), mean, square_mean


def moments(
    grads: Arrays, mean: Arrays, square_mean: Arrays, beta1: float, beta2: float
) -> tuple[list[Array], list[Array]]:
    """Return m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2."""
    return (
        [beta1 * m + (1.0 - beta1) * g for m, g in zip(mean, grads, strict=True)],
        [beta2 * v + (1.0 - beta2) * (g * g) for v, g in zip(square_mean, grads, strict=True)],
    )


def scaled_step(params: Arrays, steps: Arrays, squares: Arrays, lr: float, epsilon: float) -> list[Array]:
    """Return p - lr step / (sqrt(square) + epsilon)."""
    return [
        p - lr * step / (namespace_of(p).sqrt(square) + epsilon)
        for p, step, square in zip(params, steps, squares, strict=True)
    ]


def add_l2(grads: Arrays, params: Arrays, weight_decay: float) -> list[Array]:
    """Return g + weight_decay p, the gradient of the loss with weight_decay |p|^2 / 2 added."""
    return [g + weight_decay * p for g, p in zip(grads, params, strict=True)]


def decay(params: Arrays, rate: float) -> list[Array]:
    """Return p (1 - rate). Source: Loshchilov and Hutter (ICLR 2019), algorithm 2, line 12."""
    return [p * (1.0 - rate) for p in params]


def clip_by_value(grads: Arrays, limit: float) -> list[Array]:
    """Return g, each element cut to [-limit, limit]."""
    return [cut(g, -limit, limit) for g in grads]


def clip_by_global_norm(grads: Arrays, limit: float) -> list[Array]:
    """Return all g scaled by one factor, so that the norm of all of them together is at most limit.

    They are divided by their largest element first, if it is above limit: no square overflows.
    Source: Pascanu, Mikolov, Bengio (ICML 2013), algorithm 1.
    """
    sized = [g for g in grads if math.prod(g.shape)]
    if not sized:
        return list(grads)
    xp: Any = namespace_of(sized[0])
    largest = xp.max(xp.abs(sized[0]))
    for g in sized[1:]:
        largest = xp.maximum(largest, xp.max(xp.abs(g)))
    largest = xp.where(xp.isfinite(largest), xp.maximum(largest, limit), 1.0)
    norm, reach = xp.sqrt(sum(xp.sum((g / largest) ** 2) for g in sized)), limit / largest
    factor = reach / xp.where(norm > reach, norm, reach)
    return [g * factor for g in grads]
