"""Losses of yes-or-no answers, from raw outputs, each with its gradient. N = batch, ... = the axes of one sample.

Every loss is sum_n s_n l_n, with l_n the loss of sample n summed over the sample's axes; the scale s is what
`scales.py` says. `each_...` are the s l themselves, before they are summed. A gradient takes dout, the derivative by
the sum; by the s l themselves it is that of the scale dout s.
"""

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.activations import sigmoid
from portable_nn.kernels.portable.scales import Scale, scaled_sum, spread

__all__ = [
    "each_sigmoid_loss",
    "sigmoid_loss",
    "sigmoid_loss_gradient",
    "sigmoid_loss_target_gradient",
]


def sigmoid_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return the cross-entropy of sigmoid(y), one question an output: l = log(1 + exp(y)) - t y. y, t (N, ...).

    Written as log(1 + exp(-|y|)) + |y| (1 - t if y > 0 else t), in which nothing cancels in either tail.
    """
    return scaled_sum(_cross_entropies_of_signs(y, t), scale)


def each_sigmoid_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l in the shape of y, of `sigmoid_loss`."""
    return spread(scale, y) * _cross_entropies_of_signs(y, t)


def _cross_entropies_of_signs(y: Array, t: Array) -> Array:
    xp = namespace_of(y)
    size, wrong = xp.abs(y), xp.where(y > 0, 1.0 - t, t)
    product = xp.where((wrong == 0) & xp.isinf(size), 0.0, size) * wrong  # 0 stays 0 beside an infinite y
    return xp.log1p(xp.exp(-size)) + product


def sigmoid_loss_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = dout s_n (sigmoid(y) - t)."""
    return (dout * spread(scale, y)) * (sigmoid(y) - t)


def sigmoid_loss_target_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dt = - dout s_n y."""
    return (dout * spread(scale, y)) * -y
