"""What an error in each class counts: weights in the order of the classes, or by label."""

import math
import operator
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from portable_nn.arrays import is_array, to_numpy
from portable_nn.errors import ShapeError

__all__ = ["ClassWeights", "checked_class_weight", "of_classes"]

ClassWeights: TypeAlias = list[float] | dict[int, float]


def checked_class_weight(given: Any) -> ClassWeights:
    """Return class weights as a list of floats, or by label; labels may be strings of digits, as JSON writes them.

    Raises
    ------
    TypeError, ValueError
        If they are neither, or a weight is negative or not finite.
    """
    if isinstance(given, str):
        raise ValueError(
            f"SoftmaxWithLoss needs class_weight to be C numbers or {{label: number}}, got {given!r}: weights that "
            "balance the classes are N / (C * numpy.bincount(t))"
        )
    given = to_numpy(given) if is_array(given) else given
    weights: ClassWeights
    try:
        if isinstance(given, Mapping):
            by_label = cast("Mapping[Any, Any]", given)
            weights = {_label(label): float(weight) for label, weight in by_label.items()}
        else:
            weights = [float(weight) for weight in given]
    except TypeError:
        raise TypeError(
            f"SoftmaxWithLoss needs class_weight to be C numbers or {{label: number}}, got {given!r}"
        ) from None
    listed = list(weights.values()) if isinstance(weights, dict) else weights
    if not all(0 <= weight < math.inf for weight in listed):
        raise ValueError(f"SoftmaxWithLoss needs finite class weights of at least 0, got {weights}")
    return weights


def of_classes(weights: ClassWeights, classes: int) -> list[float]:
    """Return the weight of each of as many classes.

    Raises
    ------
    ShapeError
        If the weights are of more or fewer classes.
    """
    if isinstance(weights, dict):
        unknown = [label for label in weights if label >= classes]
        if unknown:
            raise ShapeError(f"SoftmaxWithLoss has a class weight for {unknown[0]}, but y has {classes} classes")
        return [weights.get(label, 1.0) for label in range(classes)]
    if len(weights) != classes:
        raise ShapeError(f"SoftmaxWithLoss has {len(weights)} class weights, but y has {classes} classes")
    return weights


def _label(label: Any) -> int:
    try:
        number = int(label) if isinstance(label, str) else operator.index(label)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise ValueError(f"SoftmaxWithLoss needs the labels of class_weight to be whole numbers, got {label!r}")
    return number
