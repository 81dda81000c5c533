"""Softmax over an axis, the last if none is named, in forms that do not overflow. N = batch, C = classes."""

from portable_nn.arrays import Array, as_dtype_of, namespace_of, widened

__all__ = ["log_softmax", "log_softmax_gradient", "softmax", "softmax_gradient"]


def log_softmax(x: Array, axis: int = -1) -> Array:
    """Return log(exp(x_c) / sum_k exp(x_k)) of x (N, C), with the maximum of each row taken out first."""
    xp, wide = namespace_of(x), widened(x)
    shifted = wide - xp.max(wide, axis=axis, keepdims=True)
    return as_dtype_of(x, shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True)))


def log_softmax_gradient(dy: Array, y: Array, axis: int = -1) -> Array:
    """Return dy - exp(y) times the sum of dy, row by row: dy (N, C), y (N, C)."""
    xp, wide = namespace_of(y), widened(dy)
    return as_dtype_of(y, wide - xp.exp(widened(y)) * xp.sum(wide, axis=axis, keepdims=True))


def softmax(x: Array, axis: int = -1) -> Array:
    """Return exp(x_c) / sum_k exp(x_k) of x (N, C). Source: Bishop, Pattern Recognition (2006), eq. 4.104."""
    xp, wide = namespace_of(x), widened(x)
    e = xp.exp(wide - xp.max(wide, axis=axis, keepdims=True))
    return as_dtype_of(x, e / xp.sum(e, axis=axis, keepdims=True))


def softmax_gradient(dy: Array, y: Array, axis: int = -1) -> Array:
    """Return (diag(y) - y y^T) dy row by row: dy (N, C), y (N, C). Source: Bishop (2006), eq. 4.106."""
    xp, wide = namespace_of(y), widened(y)
    return as_dtype_of(y, wide * (dy - xp.sum(dy * wide, axis=axis, keepdims=True)))
