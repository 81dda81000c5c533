"""Sums and means along axes, and their mirror, repetition: the backward pass of each is the other's forward pass."""

from collections.abc import Sequence
from typing import Any, ClassVar

from portable_nn.errors import ShapeError
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.shapes import from_front, integer, integers
from portable_nn.layers.weights import size

__all__ = ["Mean", "Repeat", "Sum"]


class _Reduction(Layer):
    kernel: ClassVar[str]
    options = ("axis", "keepdims")

    def __init__(self, axis: int | Sequence[int] | None = None, keepdims: bool = False):
        super().__init__()
        name = type(self).__name__
        several = isinstance(axis, Sequence)
        self.axis = integers(name, "axis", axis) if several else None if axis is None else integer(name, "axis", axis)
        self.keepdims = bool(keepdims)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x without the axes, or with size 1 there."""
        axes = self._axes(shape)
        return tuple(1 if i in axes else n for i, n in enumerate(shape) if self.keepdims or i not in axes)

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps the shape of x."""
        return getattr(run.kernels, self.kernel)(x, self._axes(x.shape), self.keepdims), x.shape

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx."""
        return getattr(run.kernels, self.kernel + "_gradient")(dy, saved, self._axes(saved)), {}

    def _axes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.axis is None:
            return tuple(range(len(shape)))
        listed = [self.axis] if isinstance(self.axis, int) else self.axis
        axes = tuple(from_front(self, axis, shape) for axis in listed)
        if len(set(axes)) < len(axes):
            raise ShapeError(f"{self} names an axis twice, for x of shape {shape}")
        return axes


class Sum(_Reduction):
    """The sum of x along axes.

    Parameters
    ----------
    axis : int or sequence of int, optional
        All axes by default, the batch too.
    keepdims : bool
        Whether they stay, with size 1.

    Raises
    ------
    ShapeError
        If an axis is no integer.
    """

    kernel = "sum_along"


class Mean(_Reduction):
    """The mean of x along axes.

    Parameters
    ----------
    axis, keepdims : optional
        As in `Sum`.

    Raises
    ------
    ShapeError
        If an axis is no integer.
    """

    kernel = "mean_along"


class Repeat(Layer):
    """x with each element repeated along an axis: (1, 3) becomes (2, 3); the derivatives of the copies add.

    Parameters
    ----------
    times : int
    axis : int
        The first by default.

    Raises
    ------
    ShapeError
        If times is not positive, or the axis is no integer.
    """

    options = ("times", "axis")

    def __init__(self, times: int, axis: int = 0):
        super().__init__()
        self.times = size("Repeat", "times", times)
        self.axis = integer("Repeat", "axis", axis)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x, with `times` its size along the axis."""
        axis = from_front(self, self.axis, shape)
        return *shape[:axis], shape[axis] * self.times, *shape[axis + 1 :]

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps the axis."""
        axis = from_front(self, self.axis, x.shape)
        return run.kernels.repeat_along(x, self.times, axis), axis

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return the sum of dy over the copies of each element."""
        return run.kernels.repeat_along_gradient(dy, self.times, saved), {}
