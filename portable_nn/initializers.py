"""Initial weights: functions of a generator and a shape, drawn in float64 on the host and the same on every backend.

I = inputs (all axes of the shape but the last), O = outputs (the last axis).
"""

import math
from functools import partial
from typing import Any, Literal, Protocol

from portable_nn.arrays import namespace

__all__ = [
    "Initializer",
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "sparse",
    "truncated_normal",
    "uniform",
    "with_zeros",
    "zeros",
]


class Initializer(Protocol):
    """Takes a `numpy.random.Generator` and a shape; returns a float64 NumPy array of that shape."""

    def __call__(self, rng: Any, shape: tuple[int, ...], /) -> Any:
        """Return the array."""
        ...


_numpy: Any = namespace("numpy")


def zeros() -> Initializer:
    """Return the initializer that fills with 0."""
    return constant(0.0)


def constant(value: float) -> Initializer:
    """Return the initializer that fills with `value`."""
    return partial(_draw_constant, value=float(value))


def normal(std: float = 0.01, mean: float = 0.0) -> Initializer:
    """Return the initializer that draws from the normal distribution."""
    return partial(_draw_normal, std=float(std), mean=float(mean))


def truncated_normal(std: float = 0.01, mean: float = 0.0, bound: float = 2.0) -> Initializer:
    """Return the initializer that draws from the normal distribution, but nothing farther than bound std from the mean.

    Where a number is farther, another is drawn: with a bound of 2 the variance is 0.774 std^2, as in Keras.

    Raises
    ------
    ValueError
        If `bound` is not more than 0.

    Examples
    --------
    >>> import numpy as np
    >>> import portable_nn as pnn
    >>> draw = pnn.initializers.truncated_normal(0.1, bound=1.5)
    >>> float(abs(draw(np.random.default_rng(0), (1000, 100))).max().round(4))
    0.15
    """
    if not bound > 0:
        raise ValueError(f"truncated_normal needs a bound of more than 0, got {bound}")
    return partial(_draw_truncated, std=float(std), mean=float(mean), bound=float(bound))


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Return the initializer that draws evenly from [low, high)."""
    return partial(_draw_uniform, low=float(low), high=float(high))


def glorot_normal() -> Initializer:
    """Return the normal initializer of variance 2 / (I + O). Source: Glorot and Bengio (AISTATS 2010), eq. 12."""
    return partial(_draw_scaled, distribution="normal", scale=1.0, fan="mean")


def glorot_uniform() -> Initializer:
    """Return the uniform initializer of variance 2 / (I + O). Source: Glorot and Bengio (AISTATS 2010), eq. 16."""
    return partial(_draw_scaled, distribution="uniform", scale=1.0, fan="mean")


def he_normal() -> Initializer:
    """Return the normal initializer of variance 2 / I. Source: He et al. (ICCV 2015), eq. 10."""
    return partial(_draw_scaled, distribution="normal", scale=2.0, fan="in")


def he_uniform() -> Initializer:
    """Return the uniform initializer of variance 2 / I. Source: He et al. (ICCV 2015), eq. 10."""
    return partial(_draw_scaled, distribution="uniform", scale=2.0, fan="in")


def lecun_normal() -> Initializer:
    """Return the normal initializer of variance 1 / I. Source: LeCun et al., Efficient BackProp (1998), eq. 16."""
    return partial(_draw_scaled, distribution="normal", scale=1.0, fan="in")


def lecun_uniform() -> Initializer:
    """Return the uniform initializer of variance 1 / I. Source: LeCun et al., Efficient BackProp (1998), eq. 16."""
    return partial(_draw_scaled, distribution="uniform", scale=1.0, fan="in")


def orthogonal(gain: float = 1.0) -> Initializer:
    """Return the initializer whose rows or columns, whichever are fewer, are orthogonal and of norm `gain`.

    Source: Saxe, McClelland, Ganguli (ICLR 2014), section 3; made uniform over all rotations as in Mezzadri,
    Notices of the AMS 54 (2007) 592-604, section 5.
    """
    return partial(_draw_orthogonal, gain=float(gain))


def sparse(sparsity: float, std: float = 0.01) -> Initializer:
    """Return the normal initializer with a share of each output's weights, rounded up, at 0: which ones is drawn, too.

    As torch's `sparse_`. Source: Martens, Deep learning via Hessian-free optimization (ICML 2010), section 5.

    Raises
    ------
    ValueError
        If `sparsity` is not in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> import portable_nn as pnn
    >>> W = pnn.initializers.sparse(0.9, std=1.0)(np.random.default_rng(0), (20, 5))
    >>> (W != 0).sum(axis=0).tolist()
    [2, 2, 2, 2, 2]
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse needs a sparsity in [0, 1], got {sparsity}")
    return partial(_draw_sparse, sparsity=float(sparsity), std=float(std))


def with_zeros(initializer: Initializer, row: int) -> Initializer:
    """Return the initializer that draws as another does, and puts zeros into a row."""
    return partial(_draw_with_zeros, initializer=initializer, row=row)


# Partial applications of functions of a module, so that networks can be pickled.


def _draw_constant(rng: Any, shape: tuple[int, ...], *, value: float) -> Any:
    return _numpy.full(shape, value)


def _draw_normal(rng: Any, shape: tuple[int, ...], *, std: float, mean: float) -> Any:
    return mean + std * rng.standard_normal(shape)


def _draw_truncated(rng: Any, shape: tuple[int, ...], *, std: float, mean: float, bound: float) -> Any:
    size, drawn = math.prod(shape), _numpy.empty(0)
    while drawn.size < size:
        if bound > 1.0:
            z = rng.standard_normal(size)
            z = z[abs(z) <= bound]
        else:  # most normal numbers are farther: those drawn evenly are kept in proportion to their density
            z = rng.uniform(-bound, bound, size)
            z = z[rng.random(size) < _numpy.exp(-0.5 * z * z)]
        drawn = _numpy.concat([drawn, z])
    return mean + std * _numpy.reshape(drawn[:size], shape)


def _draw_uniform(rng: Any, shape: tuple[int, ...], *, low: float, high: float) -> Any:
    return rng.uniform(low, high, shape)


def _draw_scaled(
    rng: Any,
    shape: tuple[int, ...],
    *,
    distribution: Literal["normal", "uniform"],
    scale: float,
    fan: Literal["in", "mean"],
) -> Any:
    """Draw with variance scale / I, or scale / ((I + O) / 2)."""
    inputs, outputs = _fans(shape)
    std = math.sqrt(scale / (inputs if fan == "in" else (inputs + outputs) / 2))
    if distribution == "normal":
        return std * rng.standard_normal(shape)
    limit = math.sqrt(3.0) * std  # the variance of [-a, a) is a^2 / 3
    return rng.uniform(-limit, limit, shape)


def _draw_sparse(rng: Any, shape: tuple[int, ...], *, sparsity: float, std: float) -> Any:
    inputs, outputs = _fans(shape)
    order = rng.permuted(_numpy.tile(_numpy.arange(inputs)[:, None], (1, outputs)), axis=0)
    missing = math.ceil(round(sparsity * inputs, 9))  # 0.1 * 30 is a little more than 3
    values = std * rng.standard_normal((inputs, outputs))
    return _numpy.reshape(_numpy.where(order < missing, 0.0, values), shape)


def _draw_with_zeros(rng: Any, shape: tuple[int, ...], *, initializer: Initializer, row: int) -> Any:
    values: Any = _numpy.array(initializer(rng, shape))
    values[row] = 0.0
    return values


def _draw_orthogonal(rng: Any, shape: tuple[int, ...], *, gain: float) -> Any:
    inputs, outputs = _fans(shape)
    q, r = _numpy.linalg.qr(rng.standard_normal((max(inputs, outputs), min(inputs, outputs))))
    q = q * _numpy.sign(_numpy.linalg.diagonal(r))
    return gain * _numpy.reshape(q if inputs >= outputs else q.T, shape)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    return math.prod(shape[:-1]), shape[-1]
