"""Axes in another order, arrays joined and cut. Axes are counted from the front.

Joining and cutting are each the gradient of the other.
"""

from collections.abc import Sequence

from portable_nn.arrays import Array, namespace_of

__all__ = ["concatenate", "permute", "permute_gradient", "split"]


def permute(x: Array, axes: tuple[int, ...]) -> Array:
    """Return x with its axes in the order of `axes`."""
    return namespace_of(x).permute_dims(x, axes)


def permute_gradient(dy: Array, axes: tuple[int, ...]) -> Array:
    """Return dy with its axes back in the order of x."""
    return namespace_of(dy).permute_dims(dy, tuple(axes.index(axis) for axis in range(len(axes))))


def concatenate(arrays: Sequence[Array], axis: int) -> Array:
    """Return arrays joined along `axis`; their other axes agree."""
    return namespace_of(arrays[0]).concat(tuple(arrays), axis=axis)


def split(x: Array, sizes: Sequence[int], axis: int) -> tuple[Array, ...]:
    """Return x cut along `axis` into parts of these sizes, which add up to the size of the axis."""
    stops = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    parts = zip(stops, sizes, strict=True)
    return tuple(x[(slice(None),) * axis + (slice(stop - size, stop), ...)] for stop, size in parts)
