"""The gradient of a batch from its parts, one after the other: what a large batch needs in memory is a part's.

The loss of a batch is sum_m w_m l_m / sum_m w_m over its parts m, w_m the total weight of a part, or for a loss that
sums over samples sum_m l_m; and so is its gradient.
"""

from collections.abc import Sequence
from typing import Any

from portable_nn.arrays import is_array
from portable_nn.kernels import Kernels
from portable_nn.layers import Run
from portable_nn.losses import Loss
from portable_nn.random import Key
from portable_nn.training.batches import cuts

__all__ = ["mean_factor", "part_key", "part_weight", "parts_of", "weighted_sum"]


def parts_of(rows: int, count: int) -> list[slice]:
    """Return the slices of a batch of so many rows: at most `count`, of equal size but for the last."""
    return cuts(rows, max(1, -(-rows // count)))


def part_key(key: Key | None, part: slice) -> Key | None:
    """Return the random key for a part of a batch, whose masks are the rows of the whole batch's."""
    return None if key is None else (*key[:2], part.start, part.stop - part.start)


def part_weight(criterion: Loss, run: Run, t: Any, weight: Any) -> Any:
    """Return what the loss of a part counts, a number or a 0-d array."""
    return criterion.total_weight(run, t, weight) if criterion.reduction == "mean" else 1.0


def mean_factor(criterion: Loss, kernels: Kernels, weights: Sequence[Any]) -> Any:
    """Return what to multiply a sum over the parts by: 1 over the sum of their weights, or 0 where that is 0."""
    if criterion.reduction != "mean":
        return 1.0
    whole: Any = sum(weights[1:], weights[0])
    if is_array(whole):
        return kernels.per_weight(1.0, whole[None])
    return 1.0 / whole if whole else 0.0


def weighted_sum(weights: Sequence[Any], values: Sequence[Any]) -> Any:
    """Return the sum of weights times values."""
    first, *others = (weight * value for weight, value in zip(weights, values, strict=True))
    return sum(others, first)
