"""Checks of targets and weights, at the door of a loss."""

import math
from collections.abc import Callable
from typing import Any

from portable_nn.arrays import Place, device_of, is_on_cpu, move, namespace_of, to_numpy
from portable_nn.errors import LabelError, ShapeError

__all__ = [
    "IGNORED",
    "between",
    "check_labels",
    "check_values",
    "checked_weight",
    "is_distribution",
    "is_finite",
    "marked",
]

IGNORED = -1
"""The label that counts nothing, behind the door of a loss."""


def is_finite(values: Any) -> Any:
    """Return whether each value is a finite number."""
    return abs(values) < math.inf


def between(low: float, high: float, *, inclusive: bool = False) -> Callable[[Any], Any]:
    """Return the function that tells whether each value is in [low, high), or [low, high]."""

    def test(values: Any) -> Any:
        return (values >= low) & ((values <= high) if inclusive else (values < high))

    return test


def is_distribution(axis: int) -> Callable[[Any], Any]:
    """Return the function that tells whether each value is one of a distribution along `axis`, of sum 1, at least 0."""

    def test(values: Any) -> Any:
        return (values >= 0) & (abs(values.sum(axis=axis, keepdims=True) - 1) < 1e-3)

    return test


def check_values(array: Any, needed: str, is_good: Callable[[Any], Any]) -> None:
    """Raise LabelError unless all values of `array` are good; arrays on another device are taken at their word."""
    if not is_on_cpu(array):
        return
    values = to_numpy(array)
    good = is_good(values)
    if not good.all():
        raise LabelError(f"the loss needs {needed}, got {values[~good].flat[0]}")


def check_labels(t: Any, classes: int, ignored: int | None = None) -> None:
    """Raise LabelError unless each of t is below `classes` and not negative, or `ignored`; as `check_values` does."""
    if is_on_cpu(t):
        labels = to_numpy(t)
        if labels.size and not (labels.min() >= 0 and labels.max() < classes):
            is_label, or_else = between(0, classes), "" if ignored is None else f", or {ignored} to be ignored"
            needed = f"labels from 0 to {classes - 1}{or_else}"
            if classes == 1:
                needed += " where there is one output (for yes or no take two, or SigmoidWithLoss)"
            check_values(t, needed, lambda values: is_label(values) | (values == ignored if or_else else False))


def marked(t: Any, ignored: int) -> Any:
    """Return labels with `IGNORED` in the place of those to ignore."""
    xp = namespace_of(t)
    return xp.where(t == ignored, xp.asarray(IGNORED, dtype=t.dtype, device=device_of(t)), t)


def checked_weight(weight: Any, shape: tuple[int, ...], place: Place, *, fills: bool = False) -> Any:
    """Return sample weights of `shape` or (N,), its first axis, at `place`; None for None.

    Parameters
    ----------
    weight : array or None
    shape : tuple of int
        (N, ...).
    place : Place
    fills : bool
        Whether to return weights (N,) in `shape`, too.

    Raises
    ------
    ShapeError, LabelError, NamespaceError
        If they do not fit.
    """
    if weight is None:
        return None
    namespace_of(weight)  # raises for what is no array
    if weight.shape not in (shape, shape[:1]):
        needed = f"{shape[:1]}" + (f" or {shape}" if len(shape) > 1 else "")
        raise ShapeError(f"sample_weight needs shape {needed}, got {weight.shape}")
    check_values(weight, "finite sample weights of at least 0", between(0, math.inf))
    if is_on_cpu(weight):
        most, total = place.xp.finfo(place.dtype).max, to_numpy(weight).sum(dtype="float64")
        if total > most:
            raise LabelError(
                f"the loss needs sample weights whose sum {place.dtype_name} can hold, at most {most:.3g}, "
                f"got a sum of {total:.3g}: divide them by their mean"
            )
    weight = move(weight, place, name="sample_weight")
    if fills and weight.shape != shape:
        xp = place.xp
        weight = xp.broadcast_to(xp.reshape(weight, (*shape[:1], *(1,) * (len(shape) - 1))), shape)
    return weight
