"""Sums and means along axes, and their mirror, repetition: the backward pass of each is the other's forward pass."""

from collections.abc import Sequence
from typing import Any, ClassVar

from portable_nn.errors import ShapeError
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.padding import Axes
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

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return where the axes of x are now; () if they are summed over, which the mask says how to."""
        summed = self._axes(shapes[0])
        if not {*axes[0]} & {*summed}:
            return tuple(axis - (0 if self.keepdims else sum(i < axis for i in summed)) for axis in axes[0])
        return () if axes[0] == (1,) else None

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps the shape of x, and what each sum is multiplied by if positions are left out."""
        axes = self._axes(x.shape)
        if run.mask is None or 1 not in axes:
            return getattr(run.kernels, self.kernel)(x, axes, self.keepdims), (x.shape, None, None)
        scale = self._scale(run, x, axes)
        y = run.kernels.sum_along(run.kernels.masked(x, run.mask), axes, self.keepdims)
        return y if scale is None else run.kernels.multiply(y, scale), (x.shape, run.mask, scale)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx."""
        shape, mask, scale = saved
        axes = self._axes(shape)
        if mask is None:
            return getattr(run.kernels, self.kernel + "_gradient")(dy, shape, axes), {}
        dy = dy if scale is None else run.kernels.multiply(dy, scale)
        return run.kernels.masked(run.kernels.sum_along_gradient(dy, shape, axes), mask), {}

    def _scale(self, run: Run, x: Any, axes: tuple[int, ...]) -> Any:
        """Return what sums over real positions are multiplied by; None for 1."""
        return None

    def _axes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.axis is None:
            return tuple(range(len(shape)))
        listed = [self.axis] if isinstance(self.axis, int) else self.axis
        axes = tuple(from_front(self, axis, shape) for axis in listed)
        if len(set(axes)) < len(axes):
            raise ShapeError(f"{self} names an axis twice, for x of shape {shape}")
        return axes


class Sum(_Reduction):
    """The sum of x along axes; in a batch with a mask, along axis 1 over the positions that are real.

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
    """The mean of x along axes; in a batch with a mask, along axis 1 over the positions that are real, 0 of none.

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

    def _scale(self, run: Run, x: Any, axes: tuple[int, ...]) -> Any:
        return run.kernels.masked_share(run.mask, x, axes, self.keepdims)


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

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of x, unless they are repeated."""
        return axes[0] if axes[0] != (from_front(self, self.axis, shapes[0]),) else None
