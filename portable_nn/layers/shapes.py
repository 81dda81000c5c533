"""Layers that only move numbers: branch, reshape, transpose, join and cut."""

import math
import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any, cast

from portable_nn.errors import ShapeError
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.weights import size

__all__ = ["Branch", "Concat", "Reshape", "Split", "Transpose", "from_front", "integer", "integers"]


def integer(owner: str, name: str, value: Any) -> int:
    """Return `value` as a Python int; ShapeError if it is no integer."""
    try:
        return operator.index(value)
    except TypeError:
        raise ShapeError(f"{owner} needs {name} of whole numbers, got {value!r}") from None


def integers(owner: str, name: str, values: Any) -> list[int]:
    """Return `values` as a list of Python ints, as files can say it; ShapeError if they are no list of integers."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ShapeError(f"{owner} needs {name} of whole numbers, got {values!r}")
    return [integer(owner, name, value) for value in cast("Sequence[Any]", values)]


def from_front(layer: Layer, axis: int, shape: tuple[int, ...]) -> int:
    """Return `axis` counted from the front; ShapeError if `shape` has no such axis."""
    if not -len(shape) <= axis < len(shape):
        raise ShapeError(f"{layer} needs x with an axis {axis}, got shape {shape}")
    return axis % len(shape)


class Branch(Layer):
    """x as several outputs, all equal to x; their derivatives add.

    Parameters
    ----------
    n : int
        How many outputs, at least 2.

    Raises
    ------
    ShapeError
        If n is smaller.
    """

    options = ("n",)
    input_kinds = ("any",)

    def __init__(self, n: int = 2):
        super().__init__()
        self.n = self.output_count = integer("Branch", "n", n)
        if self.n < 2:
            raise ShapeError(f"Branch needs at least 2 outputs, got n={n}")

    def output_shape(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Return the shape of x, n times."""
        return (shape,) * self.n

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return x, n times."""
        return (x,) * self.n, None

    def backward_pass(self, run: Run, params: Arrays, saved: Any, *douts: Any) -> tuple[Any, Arrays]:
        """Return the sum of the derivatives."""
        return reduce(run.kernels.add, douts), {}


class Reshape(Layer):
    """x (N, ...) as y (N, *shape): as many elements for each sample, in the same order.

    Parameters
    ----------
    shape : sequence of int
        Of one sample.

    Raises
    ------
    ShapeError
        If a size is not positive.
    """

    options = ("shape",)
    input_kinds = ("any",)

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.shape = [size("Reshape", "each size", number) for number in integers("Reshape", "shape", shape)]

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, *shape) for (N, ...)."""
        if not shape or math.prod(shape[1:]) != math.prod(self.shape):
            raise ShapeError(f"{self} needs x with {math.prod(self.shape)} elements in each sample, got shape {shape}")
        return shape[0], *self.shape

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps the shape of x."""
        return run.kernels.reshape(x, self.output_shape(x.shape)), x.shape

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dy in the shape of x."""
        return run.kernels.reshape(dy, saved), {}


class Transpose(Layer):
    """x with its axes in another order.

    Parameters
    ----------
    axes : sequence of int, optional
        For each axis of y, the axis of x, the batch counted; by default the last two are swapped.

    Raises
    ------
    ShapeError
        If an axis is missing or appears twice.
    """

    options = ("axes",)
    input_kinds = ("any",)

    def __init__(self, axes: Sequence[int] | None = None):
        super().__init__()
        self.axes = None if axes is None else integers("Transpose", "axes", axes)
        if self.axes is not None and sorted(self.axes) != list(range(len(self.axes))):
            raise ShapeError(f"Transpose needs axes with each of 0 to {len(self.axes) - 1} once, got {axes}")

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the sizes in the new order."""
        return tuple(shape[axis] for axis in self._order(shape))

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps the order of the axes."""
        order = self._order(x.shape)
        return run.kernels.permute(x, order), order

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dy with its axes in the order of x."""
        return run.kernels.permute_gradient(dy, saved), {}

    def _order(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        n = len(shape)
        if n < 2 if self.axes is None else n != len(self.axes):
            needed = "at least 2" if self.axes is None else len(self.axes)
            raise ShapeError(f"{self} needs x with {needed} axes, got shape {shape}")
        return (*range(n - 2), n - 1, n - 2) if self.axes is None else tuple(self.axes)


class Concat(Layer):
    """Any number of inputs, joined along an axis; their other axes agree.

    Parameters
    ----------
    axis : int
        The last by default.

    Raises
    ------
    ShapeError
        If the axis is no integer.
    """

    options = ("axis",)
    input_kinds = ("any",)

    def __init__(self, axis: int = -1):
        super().__init__()
        self.axis = integer("Concat", "axis", axis)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the inputs, with the sum of their sizes along the axis."""
        axis = from_front(self, self.axis, shapes[0])
        others = {(*shape[:axis], 0, *shape[axis + 1 :]) for shape in shapes if len(shape) == len(shapes[0])}
        if len(others) > 1 or any(len(shape) != len(shapes[0]) for shape in shapes):
            raise ShapeError(f"{self} needs inputs that differ in no other axis, got {', '.join(map(str, shapes))}")
        return *shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :]

    def forward_pass(self, run: Run, params: Arrays, *inputs: Any) -> tuple[Any, Any]:
        """Return y; keeps the axis and the sizes along it."""
        axis = from_front(self, self.axis, inputs[0].shape)
        return run.kernels.concatenate(inputs, axis), (axis, [x.shape[axis] for x in inputs])

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return each input's part of dy."""
        axis, sizes = saved
        return run.kernels.split(dy, sizes, axis), {}


class Split(Layer):
    """x cut along an axis into several outputs.

    Parameters
    ----------
    sections : int or sequence of int
        How many equal parts, or the size of each; at least 2.
    axis : int
        The last by default.

    Raises
    ------
    ShapeError
        If there are fewer parts, a size is not positive, or the axis is no integer.
    """

    options = ("sections", "axis")
    input_kinds = ("any",)

    def __init__(self, sections: int | Sequence[int], axis: int = -1):
        super().__init__()
        self.axis = integer("Split", "axis", axis)
        if isinstance(sections, Sequence):
            self.sections = [size("Split", "each size", part) for part in integers("Split", "sections", sections)]
        else:
            self.sections = size("Split", "sections", sections)
        self.output_count = self.sections if isinstance(self.sections, int) else len(self.sections)
        if self.output_count < 2:
            raise ShapeError(f"Split needs at least 2 sections, got {sections}")

    def output_shape(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Return the shape of each part."""
        axis, sizes = self._cut(shape)
        return tuple((*shape[:axis], part, *shape[axis + 1 :]) for part in sizes)

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return the parts; keeps the axis."""
        axis, sizes = self._cut(x.shape)
        return run.kernels.split(x, sizes, axis), axis

    def backward_pass(self, run: Run, params: Arrays, saved: Any, *douts: Any) -> tuple[Any, Arrays]:
        """Return the derivatives, joined."""
        return run.kernels.concatenate(douts, saved), {}

    def _cut(self, shape: tuple[int, ...]) -> tuple[int, list[int]]:
        axis = from_front(self, self.axis, shape)
        whole, sections = shape[axis], self.sections
        sizes = [whole // sections] * sections if isinstance(sections, int) else sections
        if sum(sizes) != whole:
            raise ShapeError(f"{self} does not fit axis {self.axis} of shape {shape}")
        return axis, sizes
