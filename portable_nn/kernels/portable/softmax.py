"""Softmax over the last axis, in forms that do not overflow. N = batch, C = classes."""

from portable_nn.arrays import Array, namespace_of

__all__ = ["log_softmax", "softmax", "softmax_gradient"]


def log_softmax(x: Array) -> Array:
    """Return log(exp(x_c) / sum_k exp(x_k)) of x (N, C), with the maximum of each row taken out first."""
    xp = namespace_of(x)
    shifted = x - xp.max(x, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def softmax(x: Array) -> Array:
    """Return exp(x_c) / sum_k exp(x_k) of x (N, C). Source: Bishop, Pattern Recognition (2006), eq. 4.104."""
    xp = namespace_of(x)
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def softmax_gradient(dy: Array, y: Array) -> Array:
    """Return (diag(y) - y y^T) dy row by row: dy (N, C), y (N, C). Source: Bishop (2006), eq. 4.106."""
    return y * (dy - namespace_of(y).sum(dy * y, axis=-1, keepdims=True))
