"""What an error in each class counts: weights in the order of the classes, or by label; N samples, C classes."""

import math
import operator
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast

from portable_nn.arrays import is_array, namespace_of, to_numpy
from portable_nn.errors import ShapeError
from portable_nn.losses.classes import class_axis

__all__ = ["Balanced", "ClassWeights", "balanced", "checked_class_weight", "of_classes"]

Balanced: TypeAlias = Literal["balanced"]
ClassWeights: TypeAlias = list[float] | dict[int, float] | Balanced

_WANTED = 'C numbers, {label: number} or "balanced"'


def balanced(owner: str, t: Any, axis: int | None = None) -> dict[int, float]:
    """Return N / (C n_c) by label, for n_c of the N targets in each of the C classes that occur.

    Every class then counts as much as every other (King and Zeng, Political Analysis 9, 2001, section 3.2, with equal
    shares). t is labels, of which negative ones do not count, or distributions with classes at `axis`, by default as
    `class_axis` says, of which n_c is the sum.
    """
    t = to_numpy(t)
    xp = namespace_of(t)
    if xp.isdtype(t.dtype, "integral"):
        labels, counts = xp.unique_counts(t[t >= 0])
    else:
        classes = class_axis(owner, t.shape, axis)
        sums = xp.sum(t, axis=tuple(i for i in range(t.ndim) if i != classes), dtype=xp.float64)
        (labels,) = xp.nonzero(sums)
        counts = sums[labels]
    samples, classes = float(xp.sum(counts)), labels.shape[0]
    return {int(label): samples / (classes * float(count)) for label, count in zip(labels, counts, strict=True)}


def checked_class_weight(owner: str, given: Any) -> ClassWeights:
    """Return class weights as floats, listed or by label, or "balanced"; labels may be strings of digits, as in JSON.

    Raises
    ------
    TypeError, ValueError
        If they are neither, or a weight is negative or not finite.
    """
    if isinstance(given, str):
        if given == "balanced":
            return given
        raise ValueError(f"{owner} needs class_weight to be {_WANTED}, got {given!r}")
    given = to_numpy(given) if is_array(given) else given
    weights: ClassWeights
    try:
        if isinstance(given, Mapping):
            by_label = cast("Mapping[Any, Any]", given)
            weights = {_label(owner, label): float(weight) for label, weight in by_label.items()}
        else:
            weights = [float(weight) for weight in given]
    except TypeError:
        raise TypeError(f"{owner} needs class_weight to be {_WANTED}, got {given!r}") from None
    listed = list(weights.values()) if isinstance(weights, dict) else weights
    if not all(0 <= weight < math.inf for weight in listed):
        raise ValueError(f"{owner} needs finite class weights of at least 0, got {weights}")
    return weights


def of_classes(owner: str, weights: ClassWeights, classes: int) -> list[float]:
    """Return the weight of each of as many classes.

    Raises
    ------
    ShapeError
        If the weights are of more or fewer classes.
    ValueError
        If they are still to be worked out.
    """
    if weights == "balanced":
        raise ValueError(
            f'{owner} has class_weight="balanced", which fit works out from the targets of all samples to train '
            "on: give numbers to use the loss before"
        )
    if isinstance(weights, dict):
        unknown = [label for label in weights if label >= classes]
        if unknown:
            raise ShapeError(f"{owner} has a class weight for {unknown[0]}, but y has {classes} classes")
        return [weights.get(label, 1.0) for label in range(classes)]
    if len(weights) != classes:
        raise ShapeError(f"{owner} has {len(weights)} class weights, but y has {classes} classes")
    return weights


def _label(owner: str, label: Any) -> int:
    try:
        number = int(label) if isinstance(label, str) else operator.index(label)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise ValueError(f"{owner} needs the labels of class_weight to be whole numbers, got {label!r}")
    return number
