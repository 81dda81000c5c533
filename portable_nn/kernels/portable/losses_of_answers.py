"""Losses of yes-or-no answers, from raw outputs, each with its gradient. N = batch, ... = the axes of one sample.

Every loss is sum_n s_n l_n, with l_n the loss of sample n summed over the sample's axes; the scale s is what
`scales.py` says. `each_...` are the s l themselves, before they are summed. A gradient takes dout, the derivative by
the sum; by the s l themselves it is that of the scale dout s.
"""

from typing import Any

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.activations import sigmoid, softplus
from portable_nn.kernels.portable.scales import Scale, scaled_sum, spread
from portable_nn.kernels.portable.special import is_positive

__all__ = [
    "each_hinge_loss",
    "each_sigmoid_focal_loss",
    "each_sigmoid_loss",
    "each_squared_hinge_loss",
    "hinge_loss",
    "hinge_loss_gradient",
    "sigmoid_focal_loss",
    "sigmoid_focal_loss_gradient",
    "sigmoid_loss",
    "sigmoid_loss_gradient",
    "sigmoid_loss_target_gradient",
    "squared_hinge_loss",
    "squared_hinge_loss_gradient",
]


def sigmoid_loss(y: Array, t: Array, scale: Scale, positive: Array | None = None) -> Array:
    """Return the cross-entropy of sigmoid(y), one question an output: y, t (N, ...).

    l = w t log(1 + exp(-y)) + (1 - t) log(1 + exp(y)), with w = positive, the weight of the answer yes, of a shape that
    broadcasts to y's, or 1 for None. Written as (w t + 1 - t) log(1 + exp(-|y|)) + |y| (1 - t if y > 0 else w t), in
    which nothing cancels in either tail.
    """
    return scaled_sum(_cross_entropies_of_signs(y, t, positive), scale)


def each_sigmoid_loss(y: Array, t: Array, scale: Scale, positive: Array | None = None) -> Array:
    """Return s l in the shape of y, of `sigmoid_loss`."""
    return spread(scale, y) * _cross_entropies_of_signs(y, t, positive)


def _cross_entropies_of_signs(y: Array, t: Array, positive: Array | None) -> Array:
    xp = namespace_of(y)
    yes, no = t if positive is None else positive * t, 1.0 - t
    size, wrong = xp.abs(y), xp.where(y > 0, no, yes)
    product = xp.where((wrong == 0) & xp.isinf(size), 0.0, size) * wrong  # 0 stays 0 beside an infinite y
    rest = xp.log1p(xp.exp(-size))
    return (rest if positive is None else (yes + no) * rest) + product


def sigmoid_loss_gradient(dout: Scale, y: Array, t: Array, scale: Scale, positive: Array | None = None) -> Array:
    """Return dy = dout s_n ((1 - t) sigmoid(y) - w t sigmoid(-y)), which is sigmoid(y) - t for w = 1."""
    slope = sigmoid(y) - t if positive is None else (1.0 - t) * sigmoid(y) - positive * t * sigmoid(-y)
    return (dout * spread(scale, y)) * slope


def sigmoid_loss_target_gradient(dout: Scale, y: Array, t: Array, scale: Scale, positive: Array | None = None) -> Array:
    """Return dt = dout s_n (w log(1 + exp(-y)) - log(1 + exp(y))), which is -y for w = 1."""
    slope = -y if positive is None else positive * softplus(-y) - softplus(y)
    return (dout * spread(scale, y)) * slope


def sigmoid_focal_loss(y: Array, t: Array, scale: Scale, gamma: float, yes: float, no: float) -> Array:
    """Return the focal loss of sigmoid(y) = p: l = a t (1 - p)^gamma (-log p) + b (1 - t) p^gamma (-log(1 - p)).

    y, t (N, ...); a = yes and b = no, the weights of the two answers. Source: Lin et al. (ICCV 2017), eq. 5, for t of 0
    and 1; l is linear in t between. Powers are of sigmoid(y) and sigmoid(-y), each with all its digits.
    """
    return scaled_sum(_focal_losses(y, t, gamma, yes, no), scale)


def each_sigmoid_focal_loss(y: Array, t: Array, scale: Scale, gamma: float, yes: float, no: float) -> Array:
    """Return s l in the shape of y, of `sigmoid_focal_loss`."""
    return spread(scale, y) * _focal_losses(y, t, gamma, yes, no)


def _focal_losses(y: Array, t: Array, gamma: float, yes: float, no: float) -> Array:
    xp = namespace_of(y)
    of_yes = xp.pow(sigmoid(-y), gamma) * _beside(t, softplus(-y))
    of_no = xp.pow(sigmoid(y), gamma) * _beside(1.0 - t, softplus(y))
    return yes * of_yes + no * of_no


def sigmoid_focal_loss_gradient(
    dout: Scale, y: Array, t: Array, scale: Scale, gamma: float, yes: float, no: float
) -> Array:
    """Return dy = dout s_n (b (1 - t) p^gamma (p - gamma q log q) - a t q^gamma (q - gamma p log p)), q = 1 - p."""
    xp = namespace_of(y)
    p, q = sigmoid(y), sigmoid(-y)
    of_yes = t * xp.pow(q, gamma) * (q + gamma * _beside(p, softplus(-y)))
    of_no = (1.0 - t) * xp.pow(p, gamma) * (p + gamma * _beside(q, softplus(y)))
    return (dout * spread(scale, y)) * (no * of_no - yes * of_yes)


def _beside(share: Any, cost: Array) -> Array:
    """Return share times cost, and 0 where the share is 0, also beside an infinite cost."""
    xp = namespace_of(share)
    return share * xp.where((share == 0) & xp.isinf(cost), 0.0, cost)


def hinge_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return the hinge loss, l = max(0, 1 - t y): y (N, ...), t of -1 and 1 in its shape.

    Source: Cortes and Vapnik, Support-vector networks, Machine Learning 20 (1995) 273-297.
    """
    return scaled_sum(_shortfall(y, t), scale)


def each_hinge_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `hinge_loss`."""
    return spread(scale, y) * _shortfall(y, t)


def _shortfall(y: Array, t: Array) -> Array:
    return namespace_of(y).maximum(1.0 - t * y, 0.0)


def hinge_loss_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = -dout s_n t where t y < 1, else 0."""
    return (dout * spread(scale, y)) * (-t * is_positive(1.0 - t * y))


def squared_hinge_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return the squared hinge loss, l = max(0, 1 - t y)^2: y (N, ...), t of -1 and 1 in its shape."""
    short = _shortfall(y, t)
    return scaled_sum(short * short, scale)


def each_squared_hinge_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `squared_hinge_loss`."""
    short = _shortfall(y, t)
    return spread(scale, y) * (short * short)


def squared_hinge_loss_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = -dout s_n 2 t max(0, 1 - t y)."""
    return (dout * spread(scale, y)) * (-2.0 * t * _shortfall(y, t))
