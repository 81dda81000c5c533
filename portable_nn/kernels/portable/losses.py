"""Losses from raw outputs, each with its gradient by those outputs.

N = batch, C = classes, ... = the axes of one sample. Every loss is sum_n s_n l_n, with l_n the loss of sample n summed
over the sample's axes; the scale s is a number, or an array of shape (N,), and makes the sum a mean or a weighted mean.
Of losses element by element it may also be of the shape of y. `each_...` are the s l themselves, before they are
summed. A gradient takes dout, the derivative by the sum; by the s l themselves it is that of the scale dout s.
"""

import math
from typing import Any

from portable_nn.arrays import Array, device_of, namespace_of
from portable_nn.kernels.portable.activations import sigmoid
from portable_nn.kernels.portable.softmax import log_softmax
from portable_nn.kernels.portable.special import cut, sign

__all__ = [
    "absolute_error",
    "absolute_error_gradient",
    "class_share",
    "class_total",
    "each_absolute_error",
    "each_huber_error",
    "each_poisson_error",
    "each_sigmoid_loss",
    "each_softmax_loss",
    "each_squared_error",
    "half_squares",
    "huber_error",
    "huber_error_gradient",
    "mean_scale",
    "per_weight",
    "poisson_error",
    "poisson_error_gradient",
    "sigmoid_loss",
    "sigmoid_loss_gradient",
    "sigmoid_loss_target_gradient",
    "softmax_loss",
    "softmax_loss_gradient",
    "squared_error",
    "squared_error_gradient",
    "total",
]

Scale = float | Array


def softmax_loss(
    y: Array, t: Array, scale: Scale, class_weight: Array | None, smoothing: float
) -> tuple[Array, tuple[Any, ...]]:
    """Return the cross-entropy of softmax(y), and what its gradient needs: here log-probabilities, targets and scale.

    l_n = - sum_c w_c q_nc log softmax(y_n)_c, where q = (1 - smoothing) t + smoothing / C.
    Source: Bishop (2006), eq. 4.108; label smoothing: Szegedy et al. (CVPR 2016), section 7.

    y (N, C); t integer labels (N,), of which a negative one makes q 0, or distributions (N, C); class_weight w (C,) or
    None.
    """
    log_p, q = log_softmax(y), _smoothed(t, y, class_weight, smoothing)
    return _scaled_sum(_cross_entropies(log_p, q), scale), (log_p, q, scale)


def each_softmax_loss(y: Array, t: Array, scale: Scale, class_weight: Array | None, smoothing: float) -> Array:
    """Return s_n l_n (N,), of `softmax_loss`."""
    q = _smoothed(t, y, class_weight, smoothing)
    return scale * namespace_of(y).sum(_cross_entropies(log_softmax(y), q), axis=-1)


def _smoothed(t: Array, y: Array, class_weight: Array | None, smoothing: float) -> Array:
    """Return w_c q_nc (N, C)."""
    xp = namespace_of(y)
    q = one_hot(t, y)
    if smoothing:
        share = smoothing / y.shape[-1]
        q = (1.0 - smoothing) * q + (share if t.ndim == 2 else share * xp.astype(t >= 0, y.dtype)[:, None])
    return q if class_weight is None else q * class_weight


def _cross_entropies(log_p: Array, q: Array) -> Array:
    """Return -q log p, 0 where q is, whatever p."""
    return namespace_of(q).where(q > 0, -q * log_p, 0.0)


def softmax_loss_gradient(dout: Scale, saved: tuple[Any, ...]) -> Array:
    """Return dy = dout s_n (p_nc sum_k q_nk - q_nc), p the softmax: (N, C). Source: Bishop, eq. 4.109.

    `saved` is what `softmax_loss` of the same backend returned.
    """
    log_p, q, scale = saved
    xp = namespace_of(log_p)
    return (dout * _spread(scale, q)) * (xp.exp(log_p) * xp.sum(q, axis=-1, keepdims=True) - q)


def one_hot(t: Array, y: Array) -> Array:
    """Return integer labels t (N,) as rows of zeros and a one in the dtype of y (..., C); t (N, C) is cast only."""
    xp = namespace_of(y)
    if t.ndim == 1:
        classes = xp.arange(y.shape[-1], dtype=t.dtype, device=device_of(y))
        t = t[:, None] == classes[None, :]
    return xp.astype(t, y.dtype)


def class_share(t: Array, class_weight: Array, weight: Array | None = None) -> Array:
    """Return v_n sum_c w_c t_nc, what each sample (N,) counts by its class: nothing where its label is negative.

    t (N,) or (N, C), class_weight w (C,), weight v (N,) or None for ones.
    """
    xp = namespace_of(t)
    if t.ndim == 2:
        share = xp.sum(xp.astype(t, class_weight.dtype) * class_weight, axis=-1)
    else:
        counted = t >= 0
        share = xp.where(counted, xp.take(class_weight, xp.where(counted, t, 0), axis=0), 0.0)
    return share if weight is None else weight * share


def class_total(t: Array, class_weight: Array, weight: Array | None = None) -> Array:
    """Return the sum of what `class_share` returns, 0-d."""
    return total(class_share(t, class_weight, weight))


def total(weight: Array, factor: float = 1.0) -> Array:
    """Return factor times the sum of weights, 0-d."""
    whole = namespace_of(weight).sum(weight)
    return whole if factor == 1.0 else factor * whole


def mean_scale(weight: Array | None, total: Array, factor: float = 1.0) -> Array:
    """Return factor times weight divided by the sum of total, of the same shape, or zeros where all of them are zero.

    Weights that are None are ones.
    """
    xp = namespace_of(total)
    whole = xp.sum(total)
    scale = (xp.ones_like(total) if weight is None else weight) / xp.where(whole == 0, 1.0, whole)
    return scale if factor == 1.0 else factor * scale


def per_weight(number: float, weight: Array) -> Array:
    """Return number divided by the sum of weights (N,), or zero where that sum is zero, 0-d."""
    xp = namespace_of(weight)
    whole = xp.sum(weight)
    return xp.where(whole == 0, 0.0, number / xp.where(whole == 0, 1.0, whole))


def sigmoid_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return the cross-entropy of sigmoid(y), one question an output: l = log(1 + exp(y)) - t y. y, t (N, ...).

    Written as log(1 + exp(-|y|)) + |y| (1 - t if y > 0 else t), in which nothing cancels in either tail.
    """
    return _scaled_sum(_cross_entropies_of_signs(y, t), scale)


def each_sigmoid_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `sigmoid_loss`."""
    return _spread(scale, y) * _cross_entropies_of_signs(y, t)


def _cross_entropies_of_signs(y: Array, t: Array) -> Array:
    xp = namespace_of(y)
    size, wrong = xp.abs(y), xp.where(y > 0, 1.0 - t, t)
    product = xp.where((wrong == 0) & xp.isinf(size), 0.0, size) * wrong  # 0 stays 0 beside an infinite y
    return xp.log1p(xp.exp(-size)) + product


def sigmoid_loss_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = dout s_n (sigmoid(y) - t)."""
    return (dout * _spread(scale, y)) * (sigmoid(y) - t)


def sigmoid_loss_target_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dt = - dout s_n y."""
    return (dout * _spread(scale, y)) * -y


def squared_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return the squared error, l = (y - t)^2: y, t (N, ...)."""
    d = y - t
    return _scaled_sum(d * d, scale)


def each_squared_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `squared_error`."""
    d = y - t
    return _spread(scale, y) * (d * d)


def squared_error_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = dout s_n 2 (y - t)."""
    return (dout * _spread(scale, y)) * (2.0 * (y - t))


def absolute_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return the absolute error, l = |y - t|: y, t (N, ...)."""
    return _scaled_sum(namespace_of(y).abs(y - t), scale)


def each_absolute_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `absolute_error`."""
    return _spread(scale, y) * namespace_of(y).abs(y - t)


def absolute_error_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = dout s_n sign(y - t), 0 where y = t."""
    return (dout * _spread(scale, y)) * sign(y - t)


def huber_error(y: Array, t: Array, scale: Scale, delta: float) -> Array:
    """Return Huber's loss: d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2), with d = y - t: y, t (N, ...).

    Written as c (|d| - c / 2) with c = min(|d|, delta). Source: Huber, Ann. Math. Statist. 35 (1964) 73-101.
    """
    return _scaled_sum(_huber_errors(y, t, delta), scale)


def each_huber_error(y: Array, t: Array, scale: Scale, delta: float) -> Array:
    """Return s l in the shape of y, of `huber_error`."""
    return _spread(scale, y) * _huber_errors(y, t, delta)


def _huber_errors(y: Array, t: Array, delta: float) -> Array:
    xp = namespace_of(y)
    size = xp.abs(y - t)
    core = xp.minimum(size, delta)
    return core * (size - 0.5 * core)


def huber_error_gradient(dout: Scale, y: Array, t: Array, scale: Scale, delta: float) -> Array:
    """Return dy = dout s_n d, with d = y - t cut to [-delta, delta]."""
    return (dout * _spread(scale, y)) * cut(y - t, -delta, delta)


def poisson_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return half the Poisson deviance of the mean exp(y), l = exp(y) - t + t (log t - y): y, t (N, ...), t >= 0.

    Source: McCullagh and Nelder, Generalized linear models (1989), section 2.3.
    """
    return _scaled_sum(_half_deviances(y, t), scale)


def each_poisson_error(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `poisson_error`."""
    return _spread(scale, y) * _half_deviances(y, t)


def _half_deviances(y: Array, t: Array) -> Array:
    xp = namespace_of(y)
    return xp.exp(y) - t + t * (xp.log(xp.where(t > 0, t, 1.0)) - y)


def poisson_error_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = dout s_n (exp(y) - t)."""
    return (dout * _spread(scale, y)) * (namespace_of(y).exp(y) - t)


def half_squares(W: Array) -> Array:
    """Return sum W^2 / 2, 0-d, whose gradient is W: the penalty of weight decay."""
    return 0.5 * namespace_of(W).sum(W * W)


def _scaled_sum(values: Array, scale: Scale) -> Array:
    """Return sum_n s_n sum(values_n)."""
    xp = namespace_of(values)
    if isinstance(scale, float | int):
        return scale * xp.sum(values)
    if scale.ndim > 1:
        return xp.sum(scale * values)
    rows = xp.reshape(values, (values.shape[0], math.prod(values.shape[1:])))
    return xp.sum(scale * xp.sum(rows, axis=1))


def _spread(scale: Scale, values: Array) -> Scale:
    """Return a scale of shape (N,) as (N, 1, ...), to multiply values (N, ...); others fit as they are."""
    if isinstance(scale, float | int) or scale.ndim == values.ndim:
        return scale
    return namespace_of(values).reshape(scale, (values.shape[0],) + (1,) * (values.ndim - 1))
