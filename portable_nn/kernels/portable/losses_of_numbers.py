"""Losses of numbers, from raw outputs, each with its gradient. N = batch, ... = the axes of one sample.

Every loss is sum_n s_n l_n, with l_n the loss of sample n summed over the sample's axes; the scale s is what
`scales.py` says. `each_...` are the s l themselves, before they are summed. A gradient takes dout, the derivative by
the sum; by the s l themselves it is that of the scale dout s.
"""

import math

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.scales import Scale, scaled_sum, spread
from portable_nn.kernels.portable.special import cut, sign

__all__ = [
    "absolute_error",
    "absolute_error_gradient",
    "each_absolute_error",
    "each_gaussian_loss",
    "each_huber_error",
    "each_log_cosh_error",
    "each_poisson_error",
    "each_quantile_error",
    "each_squared_error",
    "gaussian_loss",
    "gaussian_loss_gradient",
    "half_squares",
    "huber_error",
    "huber_error_gradient",
    "log_cosh_error",
    "log_cosh_error_gradient",
    "poisson_error",
    "poisson_error_gradient",
    "quantile_error",
    "quantile_error_gradient",
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


def log_cosh_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return the logarithm of the hyperbolic cosine, l = log cosh(y - t): y, t (N, ...).

    With d = y - t, log(1 + 2 sinh(d / 2)^2) for |d| < 1, and else |d| + log(1 + exp(-2 |d|)) - log 2: nothing cancels
    in the one, and nothing overflows in the other.
    """
    return scaled_sum(_log_cosh(y - t), scale)


def each_log_cosh_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `log_cosh_error`."""
    return spread(scale, y) * _log_cosh(y - t)


def _log_cosh(d: Array) -> Array:
    xp = namespace_of(d)
    size = xp.abs(d)
    half = xp.sinh(0.5 * xp.minimum(size, 1.0))
    return xp.where(size < 1.0, xp.log1p(2.0 * half * half), size + xp.log1p(xp.exp(-2.0 * size)) - math.log(2.0))


def log_cosh_error_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = dout s_n tanh(y - t)."""
    return (dout * spread(scale, y)) * namespace_of(y).tanh(y - t)


def quantile_error(y: Array, t: Array, scale: Scale, quantiles: Array) -> Array:
    """Return the pinball loss, l = q (t - y) where y < t, else (1 - q) (y - t): y, t (N, ...), q = quantiles.

    These are (1,), or as many as y's last axis has outputs.
    Source: Koenker and Bassett, Regression quantiles, Econometrica 46 (1978) 33-50, eq. 2.3.
    """
    return scaled_sum(_pinball(y - t, quantiles), scale)


def each_quantile_error(y: Array, t: Array, scale: Scale, quantiles: Array) -> Array:
    """Return s l in the shape of y, of `quantile_error`."""
    return spread(scale, y) * _pinball(y - t, quantiles)


def _pinball(d: Array, q: Array) -> Array:
    return namespace_of(d).where(d > 0, (1.0 - q) * d, -q * d)


def quantile_error_gradient(dout: Scale, y: Array, t: Array, scale: Scale, quantiles: Array) -> Array:
    """Return dy = dout s_n (-q where y < t, 1 - q where y > t, and 0 where y = t)."""
    d = y - t
    xp = namespace_of(d)
    return (dout * spread(scale, y)) * xp.where(d > 0, 1.0 - quantiles, xp.where(-d > 0, -quantiles, d))


def gaussian_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return the negative log-likelihood of normal distributions, but for log(2 pi) / 2 each.

    l = (v + (t - m)^2 exp(-v)) / 2: y (N, ..., 2 K), t (N, ..., K). Along y's last axis the means m are first, then
    the logarithms v of the variances.
    Source: Kendall and Gal (NIPS 2017), eq. 8.
    """
    v, z, _ = _standardized(y, t)
    return scaled_sum(0.5 * (v + z * z), scale)


def each_gaussian_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of t, of `gaussian_loss`."""
    v, z, _ = _standardized(y, t)
    return spread(scale, t) * (0.5 * (v + z * z))


def gaussian_loss_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy (N, ..., 2 K): dm = dout s_n (m - t) exp(-v), dv = dout s_n (1 - (t - m)^2 exp(-v)) / 2."""
    _, z, precision = _standardized(y, t)
    factor = dout * spread(scale, t)
    return namespace_of(y).concat([factor * (z * precision), factor * (0.5 - 0.5 * z * z)], axis=-1)


def _standardized(y: Array, t: Array) -> tuple[Array, Array, Array]:
    """Return v, z = (m - t) exp(-v / 2), which is 0 where m = t however small the variance is, and exp(-v / 2)."""
    xp, size = namespace_of(y), t.shape[-1]
    v, d = y[..., size:], xp.subtract(y[..., :size], t)
    precision = xp.exp(xp.where(d == 0, 0.0, -0.5 * v))
    return v, d * precision, precision


def half_squares(W: Array) -> Array:
    """Return sum W^2 / 2, 0-d, whose gradient is W: the penalty of weight decay."""
    return 0.5 * namespace_of(W).sum(W * W)
