"""Losses of classes, from raw outputs, each with its gradient by those outputs. N = batch, C = classes.

Every loss is sum_n s_n l_n, with l_n the loss of sample n summed over the sample's axes; the scale s is what
`scales.py` says. `each_...` are the s l themselves, before they are summed. A gradient takes dout, the derivative by
the sum; by the s l themselves it is that of the scale dout s.
"""

from typing import Any

from portable_nn.arrays import Array, device_of, namespace_of, widened
from portable_nn.kernels.portable.scales import Scale, scaled_sum, spread
from portable_nn.kernels.portable.softmax import log_softmax

__all__ = [
    "divergence",
    "divergence_gradient",
    "each_divergence",
    "each_negative_log_likelihood",
    "each_softmax_focal_loss",
    "each_softmax_loss",
    "negative_log_likelihood",
    "negative_log_likelihood_gradient",
    "softmax_focal_loss",
    "softmax_focal_loss_gradient",
    "softmax_loss",
    "softmax_loss_gradient",
]


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
    return scaled_sum(_cross_entropies(log_p, q), scale), (log_p, q, scale)


def each_softmax_loss(y: Array, t: Array, scale: Scale, class_weight: Array | None, smoothing: float) -> Array:
    """Return s_n l_n (N,), of `softmax_loss`."""
    q = _smoothed(t, y, class_weight, smoothing)
    return _sums_of_rows(_cross_entropies(log_softmax(y), q), scale)


def softmax_loss_gradient(dout: Scale, saved: tuple[Any, ...]) -> Array:
    """Return dy = dout s_n (p_nc sum_k q_nk - q_nc), p the softmax: (N, C). Source: Bishop, eq. 4.109.

    `saved` is what `softmax_loss` of the same backend returned.
    """
    log_p, q, scale = saved
    xp = namespace_of(log_p)
    return (dout * spread(scale, q)) * (xp.exp(log_p) * xp.sum(q, axis=-1, keepdims=True) - q)


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


def one_hot(t: Array, y: Array) -> Array:
    """Return integer labels t (N,) as rows of zeros and a one in the dtype of y (..., C); t (N, C) is cast only."""
    xp = namespace_of(y)
    if t.ndim == 1:
        classes = xp.arange(y.shape[-1], dtype=t.dtype, device=device_of(y))
        t = t[:, None] == classes[None, :]
    return xp.astype(t, y.dtype)


def softmax_focal_loss(
    y: Array, t: Array, scale: Scale, class_weight: Array | None, smoothing: float, gamma: float
) -> tuple[Array, tuple[Any, ...]]:
    """Return the focal loss of softmax(y) = p, and what its gradient needs.

    l_n = - sum_c w_c q_nc (1 - p_nc)^gamma log p_nc, with q and w as in `softmax_loss`. Source: Lin et al. (ICCV 2017),
    eq. 5. Log-probabilities near 0 keep all their digits, and so do the 1 - p.
    """
    log_p, q = _log_softmax_near_one(y), _smoothed(t, y, class_weight, smoothing)
    return scaled_sum(_focal_entropies(log_p, q, gamma), scale), (log_p, q, scale, gamma)


def each_softmax_focal_loss(
    y: Array, t: Array, scale: Scale, class_weight: Array | None, smoothing: float, gamma: float
) -> Array:
    """Return s_n l_n (N,), of `softmax_focal_loss`."""
    q = _smoothed(t, y, class_weight, smoothing)
    losses = _focal_entropies(_log_softmax_near_one(y), q, gamma)
    return _sums_of_rows(losses, scale)


def softmax_focal_loss_gradient(dout: Scale, saved: tuple[Any, ...]) -> Array:
    """Return dy = dout s_n (a_nc (1 - p_nc) - p_nc sum_{k != c} a_nk), with a_nc the derivative by log p_nc.

    a = -q (1 - p)^gamma (1 - gamma r p), r = log p / (1 - p), which is -1 at p = 1.
    `saved` is what `softmax_focal_loss` of the same backend returned.
    """
    log_p, q, scale, gamma = saved
    xp = namespace_of(log_p)
    p, rest = xp.exp(log_p), -xp.expm1(log_p)
    ratio = xp.where(rest == 0, -1.0, log_p / xp.where(rest == 0, 1.0, rest))
    slope = xp.where(q > 0, -q * xp.pow(rest, gamma) * (1.0 - gamma * ratio * p), 0.0)
    others = xp.sum(slope, axis=-1, keepdims=True) - slope
    return (dout * spread(scale, q)) * (slope * rest - p * others)


def _focal_entropies(log_p: Array, q: Array, gamma: float) -> Array:
    """Return -q (1 - p)^gamma log p, 0 where q is, whatever p."""
    xp = namespace_of(q)
    return xp.where(q > 0, -q * xp.pow(-xp.expm1(log_p), gamma) * log_p, 0.0)


def _log_softmax_near_one(y: Array) -> Array:
    """Return log softmax(y), in which the exponentials beside the largest are summed by themselves."""
    xp = namespace_of(y)
    shifted = y - xp.max(y, axis=-1, keepdims=True)
    classes = xp.arange(y.shape[-1], device=device_of(y))
    is_largest = classes == xp.argmax(y, axis=-1, keepdims=True)
    return shifted - xp.log1p(xp.sum(xp.where(is_largest, 0.0, xp.exp(shifted)), axis=-1, keepdims=True))


def negative_log_likelihood(
    y: Array, t: Array, scale: Scale, class_weight: Array | None
) -> tuple[Array, tuple[Any, ...]]:
    """Return the negative log-likelihood of log-probabilities y, and what its gradient needs.

    l_n = - sum_c w_c t_nc y_nc, 0 where t is, whatever y: y (N, C), t and w as in `softmax_loss`.
    """
    q = _smoothed(t, y, class_weight, 0.0)
    return scaled_sum(_cross_entropies(y, q), scale), (q, scale)


def each_negative_log_likelihood(y: Array, t: Array, scale: Scale, class_weight: Array | None) -> Array:
    """Return s_n l_n (N,), of `negative_log_likelihood`."""
    return _sums_of_rows(_cross_entropies(y, _smoothed(t, y, class_weight, 0.0)), scale)


def negative_log_likelihood_gradient(dout: Scale, saved: tuple[Any, ...]) -> Array:
    """Return dy = -dout s_n w_c t_nc: (N, C)."""
    q, scale = saved
    return (dout * spread(scale, q)) * -q


def divergence(y: Array, t: Array, scale: Scale, class_weight: Array | None) -> tuple[Array, tuple[Any, ...]]:
    """Return the Kullback-Leibler divergence of log-probabilities y from distributions t, and what its gradient needs.

    l_n = sum_c w_c t_nc (log t_nc - y_nc), 0 where t is: y (N, C), t and w as in `softmax_loss`.
    Source: Kullback and Leibler, On information and sufficiency, Ann. Math. Statist. 22 (1951) 79-86, eq. 2.4.
    """
    return scaled_sum(_divergences(y, t, class_weight), scale), (_smoothed(t, y, class_weight, 0.0), scale)


def each_divergence(y: Array, t: Array, scale: Scale, class_weight: Array | None) -> Array:
    """Return s_n l_n (N,), of `divergence`."""
    return _sums_of_rows(_divergences(y, t, class_weight), scale)


def _divergences(y: Array, t: Array, class_weight: Array | None) -> Array:
    xp, q = namespace_of(y), one_hot(t, y)
    found = xp.where(q > 0, q * (xp.log(xp.where(q > 0, q, 1.0)) - y), 0.0)
    return found if class_weight is None else found * class_weight


def divergence_gradient(dout: Scale, saved: tuple[Any, ...]) -> Array:
    """Return dy = -dout s_n w_c t_nc: (N, C)."""
    q, scale = saved
    return (dout * spread(scale, q)) * -q


def _sums_of_rows(losses: Array, scale: Scale) -> Array:
    xp = namespace_of(losses)
    return scale * xp.astype(xp.sum(widened(losses), axis=-1), losses.dtype, copy=False)
