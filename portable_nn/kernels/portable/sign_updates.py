"""Updates of parameters by the signs of gradients, in the terms of `updates`."""

from typing import Any

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.special import cut, sign
from portable_nn.kernels.portable.updates import Arrays

__all__ = ["lion", "rprop"]


def lion(
    params: Arrays, grads: Arrays, mean: Arrays, lr: float, beta1: float, beta2: float
) -> tuple[list[Array], list[Array]]:
    """Return p - lr sign(beta1 m + (1 - beta1) g) and m = beta2 m + (1 - beta2) g.

    Source: Chen et al. (NeurIPS 2023, arXiv 2302.06675), algorithm 2.
    """
    signs = [sign(beta1 * m + (1.0 - beta1) * g) for m, g in zip(mean, grads, strict=True)]
    mean = [beta2 * m + (1.0 - beta2) * g for m, g in zip(mean, grads, strict=True)]
    return [p - lr * s for p, s in zip(params, signs, strict=True)], mean


def rprop(
    params: Arrays,
    grads: Arrays,
    before: Arrays,
    scale: Arrays,
    lr: float,
    eta_minus: float,
    eta_plus: float,
    smallest: float,
    largest: float,
) -> tuple[list[Array], list[Array], list[Array]]:
    """Return p - lr s sign(g), g, and s times eta_plus where g has the sign it had before, and eta_minus where not.

    s stays within [smallest, largest]. Where the sign has changed, g counts as 0, now and in the next update.
    Source: Igel and Huesken (2000), iRprop-, after Riedmiller and Braun (1993).
    """
    updated: list[Any] = []
    seen: list[Any] = []
    scales: list[Any] = []
    for p, g, b, s in zip(params, grads, before, scale, strict=True):
        xp: Any = namespace_of(g)
        same: Any = sign(g) * sign(b)  # a product of the gradients themselves may underflow
        factor = xp.where(same > 0, eta_plus, xp.where(same < 0, eta_minus, xp.ones_like(same)))
        scales.append(cut(s * factor, smallest, largest))
        seen.append(xp.where(same < 0, 0.0, g))
        updated.append(p - lr * scales[-1] * sign(seen[-1]))
    return updated, seen, scales
