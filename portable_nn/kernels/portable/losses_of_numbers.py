"""Losses of numbers, from raw outputs, each with its gradient. N = batch, ... = the axes of one sample.

Every loss is sum_n s_n l_n, with l_n the loss of sample n summed over the sample's axes; the scale s is what
`scales.py` says. `each_...` are the s l themselves, before they are summed. A gradient takes dout, the derivative by
the sum; by the s l themselves it is that of the scale dout s.
"""

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.scales import Scale, scaled_sum, spread
from portable_nn.kernels.portable.special import cut, sign

__all__ = [
    "absolute_error",
    "absolute_error_gradient",
    "each_absolute_error",
    "each_huber_error",
    "each_poisson_error",
    "each_squared_error",
    "half_squares",
    "huber_error",
    "huber_error_gradient",
    "poisson_error",
    "poisson_error_gradient",
    "squared_error",
    "squared_error_gradient",
]


def squared_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return the squared error, l = (y - t)^2: y, t (N, ...)."""
    d = y - t
    return scaled_sum(d * d, scale)


def each_squared_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `squared_error`."""
    d = y - t
    return spread(scale, y) * (d * d)


def squared_error_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = dout s_n 2 (y - t)."""
    return (dout * spread(scale, y)) * (2.0 * (y - t))


def absolute_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return the absolute error, l = |y - t|: y, t (N, ...)."""
    return scaled_sum(namespace_of(y).abs(y - t), scale)


def each_absolute_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `absolute_error`."""
    return spread(scale, y) * namespace_of(y).abs(y - t)


def absolute_error_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = dout s_n sign(y - t), 0 where y = t."""
    return (dout * spread(scale, y)) * sign(y - t)


def huber_error(y: Array, t: Array, scale: Scale, delta: float) -> Array:
    """Return Huber's loss: d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2), with d = y - t: y, t (N, ...).

    Written as c (|d| - c / 2) with c = min(|d|, delta). Source: Huber, Ann. Math. Statist. 35 (1964) 73-101.
    """
    return scaled_sum(_huber_errors(y, t, delta), scale)


def each_huber_error(y: Array, t: Array, scale: Scale, delta: float) -> Array:
    """Return s l in the shape of y, of `huber_error`."""
    return spread(scale, y) * _huber_errors(y, t, delta)


def _huber_errors(y: Array, t: Array, delta: float) -> Array:
    xp = namespace_of(y)
    size = xp.abs(y - t)
    core = xp.minimum(size, delta)
    return core * (size - 0.5 * core)


def huber_error_gradient(dout: Scale, y: Array, t: Array, scale: Scale, delta: float) -> Array:
    """Return dy = dout s_n d, with d = y - t cut to [-delta, delta]."""
    return (dout * spread(scale, y)) * cut(y - t, -delta, delta)


def poisson_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return half the Poisson deviance of the mean exp(y), l = exp(y) - t + t (log t - y): y, t (N, ...), t >= 0.

    Source: McCullagh and Nelder, Generalized linear models (1989), section 2.3.
    """
    return scaled_sum(_half_deviances(y, t), scale)


def each_poisson_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `poisson_error`."""
    return spread(scale, y) * _half_deviances(y, t)


def _half_deviances(y: Array, t: Array) -> Array:
    xp = namespace_of(y)
    return xp.exp(y) - t + t * (xp.log(xp.where(t > 0, t, 1.0)) - y)


def poisson_error_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = dout s_n (exp(y) - t)."""
    return (dout * spread(scale, y)) * (namespace_of(y).exp(y) - t)


def half_squares(W: Array) -> Array:
    """Return sum W^2 / 2, 0-d, whose gradient is W: the penalty of weight decay."""
    return 0.5 * namespace_of(W).sum(W * W)
