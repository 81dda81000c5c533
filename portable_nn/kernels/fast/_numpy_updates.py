"""Updates of parameters that write over the parameters, in blocks that stay in the cache.

The maths and its sources stand in `kernels/portable/updates.py`; the gradients serve as memory too.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from portable_nn.kernels.portable import updates

__all__ = ["IN_PLACE"]

_Arrays: TypeAlias = Any
_BLOCK = 32_768
"""Elements: four arrays of such blocks and a temporary one fit in a level-2 cache of 1 MiB."""
_SQUARES = 1e30
"""A sum of squares up to which none of float32 has overflowed."""


def _blocks(*lists: _Arrays) -> Iterator[Sequence[np.ndarray]]:
    """Yield blocks of the arrays of parallel lists, as writable views."""
    for arrays in zip(*lists, strict=True):
        size = arrays[0].size
        if size <= 2 * _BLOCK or not all(array.flags.c_contiguous for array in arrays):
            yield arrays
            continue
        flat = [array.reshape(-1) for array in arrays]
        for start in range(0, size, _BLOCK):
            yield [array[start : start + _BLOCK] for array in flat]


def sgd(params: _Arrays, grads: _Arrays, lr: float) -> _Arrays:
    """Write p - lr g."""
    for p, g in _blocks(params, grads):
        g *= lr
        p -= g
    return params


def momentum(params: _Arrays, grads: _Arrays, velocity: _Arrays, lr: float, momentum: float) -> Any:
    """Write v = momentum v - lr g and p + v."""
    for p, g, v in _blocks(params, grads, velocity):
        v *= momentum
        g *= lr
        v -= g
        p += v
    return params, velocity


def nesterov(params: _Arrays, grads: _Arrays, velocity: _Arrays, lr: float, momentum: float) -> Any:
    """Write v = momentum v - lr g and p + momentum v - lr g."""
    for p, g, v in _blocks(params, grads, velocity):
        v *= momentum
        g *= lr
        v -= g
        p -= g
        np.multiply(v, momentum, out=g)
        p += g
    return params, velocity


def adagrad(params: _Arrays, grads: _Arrays, square_sum: _Arrays, lr: float, epsilon: float) -> Any:
    """Write h + g^2 and p - lr g / (sqrt(h) + epsilon)."""
    for p, g, h in _blocks(params, grads, square_sum):
        h += g * g
        _step(p, g, h, lr, epsilon, g)
    return params, square_sum


def rmsprop(params: _Arrays, grads: _Arrays, square_mean: _Arrays, lr: float, decay: float, epsilon: float) -> Any:
    """Write decay h + (1 - decay) g^2 and p - lr g / (sqrt(h) + epsilon)."""
    for p, g, h in _blocks(params, grads, square_mean):
        square = g * g
        square *= 1.0 - decay
        h *= decay
        h += square
        _step(p, g, h, lr, epsilon, g)
    return params, square_mean


def adam(
    params: _Arrays,
    grads: _Arrays,
    mean: _Arrays,
    square_mean: _Arrays,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> Any:
    """Write beta1 m + (1 - beta1) g, beta2 v + (1 - beta2) g^2 and p - lr m / (sqrt(v) + epsilon)."""
    for p, g, m, v in _blocks(params, grads, mean, square_mean):
        part = g * (1.0 - beta1)
        m *= beta1
        m += part
        g *= math.sqrt(1.0 - beta2)
        g *= g
        v *= beta2
        v += g
        _step(p, m, v, lr, epsilon, g)
    return params, mean, square_mean


def _step(p: np.ndarray, step: np.ndarray, square: np.ndarray, lr: float, epsilon: float, spare: np.ndarray) -> None:
    """Write p - lr step / (sqrt(square) + epsilon); `spare`, which may be `step`, is written too."""
    root = np.sqrt(square)
    root += epsilon
    np.divide(step, root, out=spare)
    spare *= lr
    p -= spare


def add_l2(grads: _Arrays, params: _Arrays, weight_decay: float) -> _Arrays:
    """Write g + weight_decay p."""
    for g, p in _blocks(grads, params):
        g += weight_decay * p
    return grads


def decay(params: _Arrays, rate: float) -> _Arrays:
    """Write p (1 - rate)."""
    for p in params:
        p *= 1.0 - rate
    return params


def clip_by_value(grads: _Arrays, limit: float) -> _Arrays:
    """Write g, each element cut to [-limit, limit]."""
    for g in grads:
        np.minimum(g, limit, out=g)
        np.maximum(g, -limit, out=g)
    return grads


def clip_by_global_norm(grads: _Arrays, limit: float) -> _Arrays:
    """Write all g scaled by one factor, so that their norm is at most limit."""
    total = 0.0
    for g in grads:
        total += float(np.vdot(g, g))  # pyright: ignore[reportUnknownArgumentType]  (so NumPy declares it)
    if not total < _SQUARES:
        for g, scaled in zip(grads, updates.clip_by_global_norm(grads, limit), strict=True):
            g[...] = scaled
    elif (norm := math.sqrt(total)) > limit:
        for g in grads:
            g *= limit / norm
    return grads


IN_PLACE = {
    function.__name__: function
    for function in (
        adagrad,
        adam,
        add_l2,
        clip_by_global_norm,
        clip_by_value,
        decay,
        momentum,
        nesterov,
        rmsprop,
        sgd,
    )
}
