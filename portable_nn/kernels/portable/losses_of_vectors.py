"""Losses of vectors along the last axis, each with its gradient. N = batch, F = features, ... = axes between.

Every loss is sum_n s_n l_n, with l_n the losses of all vectors of sample n; the scale s is what `scales.py` says, or in
the shape of the losses. `each_...` are the s l themselves, before they are summed. A gradient takes dout, the
derivative by the sum; by the s l themselves it is that of the scale dout s.
"""

from typing import Any

from portable_nn.arrays import Array, namespace_of, widened
from portable_nn.kernels.portable.scales import Scale, scaled_sum, spread

__all__ = ["cosine_loss", "cosine_loss_gradient", "each_cosine_loss"]


def cosine_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return one minus the cosine of the angle between vectors, l = 1 - y . t / (|y| |t|): y, t (N, ..., F).

    Written as |u - v|^2 / 2 for the unit vectors u and v, in which nothing cancels. Vectors of zeros have the cosine 0.
    """
    return scaled_sum(_cosine_losses(y, t)[0], scale)


def each_cosine_loss(y: Array, t: Array, scale: Scale) -> Array:
    """Return s l (N, ...), of `cosine_loss`."""
    losses, *_ = _cosine_losses(y, t)
    return spread(scale, losses) * losses


def cosine_loss_gradient(dout: Scale, y: Array, t: Array, scale: Scale) -> Array:
    """Return dy = dout s_n (u - v - l u) / |y|, 0 for vectors of zeros: (N, ..., F)."""
    xp = namespace_of(y)
    losses, (u, size, norm), (v, _, other) = _cosine_losses(y, t)
    factor = xp.expand_dims(dout * spread(scale, losses) * xp.ones_like(losses), axis=-1)
    slope = (u - v) - xp.expand_dims(losses, axis=-1) * u
    return factor * xp.where((norm == 0) | (other == 0), 0.0, slope / size / xp.where(norm == 0, 1.0, norm))


def _cosine_losses(y: Array, t: Array) -> tuple[Array, tuple[Any, ...], tuple[Any, ...]]:
    """Return the losses (N, ...), and of y and t each what `_unit` says."""
    xp = namespace_of(y)
    u, v = _unit(y), _unit(t)
    difference = widened(u[0] - v[0])
    losses = xp.astype(0.5 * xp.sum(difference * difference, axis=-1), y.dtype, copy=False)
    nothing = xp.squeeze((u[2] == 0) | (v[2] == 0), axis=-1)
    return xp.where(nothing, 1.0, losses), u, v


def _unit(y: Array) -> tuple[Any, ...]:
    """Return the unit vectors of y, the largest size of an element of each, and the norms by that: (N, ..., 1)."""
    xp = namespace_of(y)
    size = xp.max(xp.abs(y), axis=-1, keepdims=True)
    size = xp.where(size == 0, 1.0, size)
    scaled = widened(y / size)
    norm = xp.sqrt(xp.sum(scaled * scaled, axis=-1, keepdims=True))
    unit = scaled / xp.where(norm == 0, 1.0, norm)
    return xp.astype(unit, y.dtype, copy=False), size, xp.astype(norm, y.dtype, copy=False)
