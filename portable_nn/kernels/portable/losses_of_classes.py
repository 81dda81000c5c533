"""Losses of classes, from raw outputs, each with its gradient by those outputs. N = batch, C = classes.

Every loss is sum_n s_n l_n, with l_n the loss of sample n summed over the sample's axes; the scale s is what
`scales.py` says. `each_...` are the s l themselves, before they are summed. A gradient takes dout, the derivative by
the sum; by the s l themselves it is that of the scale dout s.
"""

from typing import Any

from portable_nn.arrays import Array, device_of, namespace_of
from portable_nn.kernels.portable.scales import Scale, scaled_sum, spread
from portable_nn.kernels.portable.softmax import log_softmax

__all__ = [
    "each_softmax_loss",
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
    return scale * namespace_of(y).sum(_cross_entropies(log_softmax(y), q), axis=-1)


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
