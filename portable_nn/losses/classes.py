"""Where the classes of outputs are: y and its distributions as rows of classes, and back. N = batch, C = classes."""

import math
from typing import Any

from portable_nn.errors import ShapeError
from portable_nn.layers.layer import Run

__all__ = ["class_axis", "from_rows", "rows_of"]


def class_axis(owner: str, shape: tuple[int, ...], axis: int | None) -> int:
    """Return the axis of the classes in outputs y of `shape`, from the front; None: the last up to 3 axes, else 1.

    Raises
    ------
    ShapeError
        In which `owner` is named, if there is no such axis beside that of the batch.
    """
    if axis is None and len(shape) > 1:
        return 1 if len(shape) > 3 else len(shape) - 1
    front = 1 if axis is None else axis + len(shape) if axis < 0 else axis
    if not 0 < front < len(shape):
        where = "" if axis is None else f" with the classes at axis {axis}"
        raise ShapeError(f"{owner} needs y of shape (N, C), (N, T, C) or (N, C, H, W){where}, got {shape}")
    return front


def rows_of(run: Run, array: Any, axis: int) -> Any:
    """Return an array with classes at `axis` as (M, C): a view where they are last."""
    axes = _class_last(array.ndim, axis)
    if axis != array.ndim - 1:
        array = run.kernels.permute(array, axes)
    return run.kernels.reshape(array, (math.prod(array.shape[:-1]), array.shape[-1]))


def from_rows(run: Run, rows: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Return rows (M, C) as the array of `shape` whose rows they are."""
    axes = _class_last(len(shape), axis)
    array = run.kernels.reshape(rows, tuple(shape[i] for i in axes))
    return array if axis == len(shape) - 1 else run.kernels.permute_gradient(array, axes)


def _class_last(ndim: int, axis: int) -> tuple[int, ...]:
    return (*(i for i in range(ndim) if i != axis), axis)
