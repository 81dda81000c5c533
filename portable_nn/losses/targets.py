"""Checks of targets and weights, at the door of a loss."""

import math
from collections.abc import Callable
from typing import Any

from portable_nn.arrays import Place, is_on_cpu, move, namespace_of, to_numpy
from portable_nn.errors import LabelError, ShapeError

__all__ = ["between", "check_labels", "check_values", "checked_weight", "is_distribution", "is_finite"]


def is_finite(values: Any) -> Any:
    """Return whether each value is a finite number."""
    return abs(values) < math.inf


def between(low: float, high: float, *, inclusive: bool = False) -> Callable[[Any], Any]:
    """Return the function that tells whether each value is in [low, high), or [low, high]."""

    def test(values: Any) -> Any:
        return (values >= low) & ((values <= high) if inclusive else (values < high))

    return test


def is_distribution(rows: Any) -> Any:
    """Return whether each value (N, C) is one of a distribution: at least 0, in a row that sums to 1."""
    total = rows.sum(axis=-1, keepdims=True)
    return (rows >= 0) & (abs(total - 1) < 1e-3)


def check_values(array: Any, needed: str, is_good: Callable[[Any], Any]) -> None:
    """Raise LabelError unless all values of `array` are good; arrays on another device are taken at their word."""
    if not is_on_cpu(array):
        return
    values = to_numpy(array)
    good = is_good(values)
    if not good.all():
        raise LabelError(f"the loss needs {needed}, got {values[~good].flat[0]}")


def check_labels(t: Any, classes: int) -> None:
    """Raise LabelError unless all of t are below `classes`, and none is negative; as `check_values` does."""
    if is_on_cpu(t):
        labels = to_numpy(t)
        if labels.size and not (labels.min() >= 0 and labels.max() < classes):
            check_values(t, f"labels from 0 to {classes - 1}", between(0, classes))


def checked_weight(weight: Any, samples: int, place: Place) -> Any:
    """Return sample weights (N,) at `place`; None for None.

    Raises
    ------
    ShapeError, LabelError, NamespaceError
        If they do not fit.
    """
    if weight is None:
        return None
    namespace_of(weight)  # raises for what is no array
    if weight.shape != (samples,):
        raise ShapeError(f"sample_weight needs shape ({samples},), got {weight.shape}")
    check_values(weight, "finite sample weights of at least 0", between(0, math.inf))
    if is_on_cpu(weight):
        most, total = place.xp.finfo(place.dtype).max, to_numpy(weight).sum(dtype="float64")
        if total > most:
            raise LabelError(
                f"the loss needs sample weights whose sum {place.dtype_name} can hold, at most {most:.3g}, "
                f"got a sum of {total:.3g}: divide them by their mean"
            )
    return move(weight, place, name="sample_weight")
