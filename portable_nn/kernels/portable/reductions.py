"""Sums and means along axes, and their mirror, repetition. Axes are counted from the front."""

import math

from portable_nn.arrays import Array, as_dtype_of, namespace_of, widened

__all__ = [
    "masked",
    "masked_share",
    "mean_along",
    "mean_along_gradient",
    "repeat_along",
    "repeat_along_gradient",
    "sum_along",
    "sum_along_gradient",
]


def sum_along(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Return x summed along `axes`, which stay as axes of size 1 if `keepdims`."""
    return as_dtype_of(x, namespace_of(x).sum(widened(x), axis=axes, keepdims=keepdims))


def sum_along_gradient(dy: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """Return dy repeated along `axes` to the shape of x: a view where the library has such."""
    xp = namespace_of(dy)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return xp.broadcast_to(xp.reshape(dy, kept), shape)


def mean_along(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Return the mean of x along `axes`, which stay as axes of size 1 if `keepdims`."""
    return as_dtype_of(x, namespace_of(x).mean(widened(x), axis=axes, keepdims=keepdims))


def mean_along_gradient(dy: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """Return dy, divided by the number of elements in each mean, repeated along `axes` to the shape of x."""
    return sum_along_gradient(dy / max(math.prod(shape[axis] for axis in axes), 1), shape, axes)


def masked(x: Array, mask: Array) -> Array:
    """Return x (N, T, ...) with 0 where the mask (N, T) is false, whatever x has there."""
    xp = namespace_of(x)
    return xp.where(xp.reshape(mask, (*mask.shape, *(1,) * (x.ndim - 2))), x, xp.zeros_like(x))


def masked_share(mask: Array, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Return 1 / m, m the number of elements of x (N, T, ...) in each sum along `axes`, 1 among them, or 1 for none.

    Those where the mask (N, T) is false do not count. The shape is that of the sums, with size 1 along further axes.
    """
    xp = namespace_of(x)
    real = xp.sum(widened(xp.astype(mask, x.dtype)), axis=tuple(axis for axis in axes if axis < 2), keepdims=True)
    share = 1.0 / xp.where(real > 0, real * math.prod(x.shape[axis] for axis in axes if axis > 1), 1.0)
    return xp.reshape(
        as_dtype_of(x, share),
        tuple(real.shape[axis] if axis < 2 else 1 for axis in range(x.ndim) if keepdims or axis not in axes),
    )


def repeat_along(x: Array, times: int, axis: int) -> Array:
    """Return x with each element repeated along `axis`: (..., size, ...) to (..., size * times, ...)."""
    xp = namespace_of(x)
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    copies = xp.broadcast_to(xp.expand_dims(x, axis=axis + 1), (*before, times, *after))
    return xp.reshape(copies, (*before[:-1], before[-1] * times, *after))


def repeat_along_gradient(dy: Array, times: int, axis: int) -> Array:
    """Return the sum of dy over the copies of each element: (..., size * times, ...) to (..., size, ...)."""
    xp = namespace_of(dy)
    copies = (*dy.shape[:axis], dy.shape[axis] // times, times, *dy.shape[axis + 1 :])
    return sum_along(xp.reshape(dy, copies), (axis + 1,), keepdims=False)
