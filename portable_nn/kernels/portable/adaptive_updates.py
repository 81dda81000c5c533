"""More updates of parameters whose steps follow the sizes of gradients, in the terms of `updates`.

m = running mean of g, v = running mean of g^2. Corrections of their bias are in the numbers.
"""

from typing import Any

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.updates import Arrays, moments, scaled_step

__all__ = ["adadelta", "adamax", "amsgrad", "nadam", "radam", "schedule_free_adam"]


def adadelta(
    params: Arrays, grads: Arrays, square_mean: Arrays, square_steps: Arrays, lr: float, rho: float, epsilon: float
) -> tuple[list[Array], list[Array], list[Array]]:
    """Return p - lr d, v = rho v + (1 - rho) g^2 and s = rho s + (1 - rho) d^2.

    d = g sqrt(s + epsilon) / sqrt(v + epsilon), of the new v and the old s. Source: Zeiler (arXiv 1212.5701), algorithm
    1.
    """
    square_mean = [rho * v + (1.0 - rho) * (g * g) for v, g in zip(square_mean, grads, strict=True)]
    steps: list[Any] = []
    for v, s, g in zip(square_mean, square_steps, grads, strict=True):
        xp = namespace_of(g)
        steps.append(xp.sqrt(s + epsilon) / xp.sqrt(v + epsilon) * g)
    square_steps = [rho * s + (1.0 - rho) * (d * d) for s, d in zip(square_steps, steps, strict=True)]
    return [p - lr * d for p, d in zip(params, steps, strict=True)], square_mean, square_steps


def adamax(
    params: Arrays, grads: Arrays, mean: Arrays, largest: Arrays, lr: float, beta1: float, beta2: float, epsilon: float
) -> tuple[list[Array], list[Array], list[Array]]:
    """Return p - lr m / u, m = beta1 m + (1 - beta1) g and u = max(beta2 u, |g| + epsilon).

    Source: Kingma and Ba (ICLR 2015), algorithm 2, with torch's epsilon.
    """
    mean = [beta1 * m + (1.0 - beta1) * g for m, g in zip(mean, grads, strict=True)]
    sizes = [namespace_of(g).abs(g) + epsilon for g in grads]
    largest = [namespace_of(u).maximum(beta2 * u, size) for u, size in zip(largest, sizes, strict=True)]
    return [p - lr * m / u for p, m, u in zip(params, mean, largest, strict=True)], mean, largest


def amsgrad(
    params: Arrays,
    grads: Arrays,
    mean: Arrays,
    square_mean: Arrays,
    largest: Arrays,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> tuple[list[Array], list[Array], list[Array], list[Array]]:
    """Return p - lr m / (sqrt(u) + epsilon), m and v as Adam's, and u = max(u, v).

    Source: Reddi, Kale, Kumar (ICLR 2018), algorithm 2.
    """
    mean, square_mean = moments(grads, mean, square_mean, beta1, beta2)
    largest = [namespace_of(u).maximum(u, v) for u, v in zip(largest, square_mean, strict=True)]
    return scaled_step(params, mean, largest, lr, epsilon), mean, square_mean, largest


def nadam(
    params: Arrays,
    grads: Arrays,
    mean: Arrays,
    square_mean: Arrays,
    lr: float,
    gradient_lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> tuple[list[Array], list[Array], list[Array]]:
    """Return p - (lr m + gradient_lr g) / (sqrt(v) + epsilon), m and v as Adam's.

    Source: Dozat (ICLR workshop 2016), algorithm 2.
    """
    mean, square_mean = moments(grads, mean, square_mean, beta1, beta2)
    steps = [lr * m + gradient_lr * g for m, g in zip(mean, grads, strict=True)]
    return scaled_step(params, steps, square_mean, 1.0, epsilon), mean, square_mean


def radam(
    params: Arrays,
    grads: Arrays,
    mean: Arrays,
    square_mean: Arrays,
    lr: float,
    plain_lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> tuple[list[Array], list[Array], list[Array]]:
    """Return p - lr m / (sqrt(v) + epsilon) - plain_lr m, m and v as Adam's; one of the two rates is 0.

    Source: Liu et al. (ICLR 2020), algorithm 2.
    """
    mean, square_mean = moments(grads, mean, square_mean, beta1, beta2)
    adapted = scaled_step(params, mean, square_mean, lr, epsilon)
    return [p - plain_lr * m for p, m in zip(adapted, mean, strict=True)], mean, square_mean


def schedule_free_adam(
    params: Arrays,
    grads: Arrays,
    ahead: Arrays,
    square_mean: Arrays,
    weight_sum: Arrays,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    correction: float,
    weight_decay: float,
) -> tuple[list[Array], list[Array], list[Array], list[Array]]:
    """Return y = (1 - beta1) z + beta1 x, z, v and the sum w of lr^2, where x is the mean of all z, weighted by lr^2.

    z = z - lr d for d = correction g / (sqrt(v) + epsilon) + weight_decay y, and v as Adam's. With c = lr^2 / w, x
    moves to (1 - c) x + c z, so that y moves to y + c (z - y) - lr (1 - beta1 (1 - c)) d, of the old z. Source: Defazio
    et al. (NeurIPS 2024), algorithm 1.
    """
    square_mean = [beta2 * v + (1.0 - beta2) * (g * g) for v, g in zip(square_mean, grads, strict=True)]
    weight_sum = [namespace_of(w).asarray(w + lr * lr) for w in weight_sum]
    moved: list[Any] = []
    further: list[Any] = []
    for y, g, z, v, w in zip(params, grads, ahead, square_mean, weight_sum, strict=True):
        xp: Any = namespace_of(y)
        # A rate of 0 moves nothing.
        c = xp.astype(lr * lr / xp.where(w > 0, w, 1.0), y.dtype)
        d = correction * g / (xp.sqrt(v) + epsilon) + weight_decay * y
        moved.append(y + c * (z - y) - (lr * (1.0 - beta1 * (1.0 - c))) * d)
        further.append(z - lr * d)
    return moved, further, square_mean, weight_sum
