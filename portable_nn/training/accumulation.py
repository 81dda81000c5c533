"""The gradient of a batch from its parts, one after the other: what a large batch needs in memory is a part's.

The loss of a batch is sum_m w_m l_m / sum_m w_m over its parts m, w_m the total weight of a part, or for a loss that
sums over samples sum_m l_m; and so is its gradient. Of several losses each has its own weights.
"""

from collections.abc import Sequence
from typing import Any

from portable_nn.arrays import each, flat, is_array
from portable_nn.layers import Run
from portable_nn.losses import Loss
from portable_nn.random import Key
from portable_nn.training.batches import cuts

__all__ = ["part_key", "part_shares", "parts_of", "rows", "weighted_sum"]


def parts_of(rows: int, count: int) -> list[slice]:
    """Return the slices of a batch of so many rows: at most `count`, of equal size but for the last."""
    return cuts(rows, max(1, -(-rows // count)))


def part_key(key: Key | None, part: slice) -> Key | None:
    """Return the random key for a part of a batch, whose masks are the rows of the whole batch's."""
    return None if key is None else (*key[:2], part.start, part.stop - part.start)


def part_shares(criterion: Loss, run: Run, t: Any, weight: Any, cuts: Sequence[slice]) -> list[Any]:
    """Return what the loss of each part counts in that of the batch: a number or a 0-d array.

    Of losses by output each has its own: they are returned as tuples, one for each part.
    """
    losses = [loss for loss, _ in criterion.by_name().values()]
    weights = (None,) * len(losses) if weight is None else flat(weight)
    shares = [_shares(*of_one, run, cuts) for of_one in zip(losses, flat(t), weights, strict=True)]
    return list(zip(*shares, strict=True)) if isinstance(t, tuple) else shares[0]


def _shares(criterion: Loss, t: Any, weight: Any, run: Run, cuts: Sequence[slice]) -> list[Any]:
    if criterion.reduction != "mean":
        return [1.0] * len(cuts)
    of_parts = [criterion.total_weight(run, rows(cut, t), rows(cut, weight)) for cut in cuts]
    whole: Any = sum(of_parts[1:], of_parts[0])
    factor = run.kernels.per_weight(1.0, whole[None]) if is_array(whole) else 1.0 / whole if whole else 0.0
    return [weight * factor for weight in of_parts]


def rows(cut: slice, part: Any) -> Any:
    """Return some rows of an array, or of each of several; None of None."""
    return each(lambda array: array[cut, ...], part)


def weighted_sum(shares: Sequence[Any], values: Sequence[Any]) -> Any:
    """Return the sum of shares times values; of tuples, that by output."""
    if isinstance(values[0], tuple):
        return tuple(map(weighted_sum, zip(*shares, strict=True), zip(*values, strict=True)))
    first, *others = (share * value for share, value in zip(shares, values, strict=True))
    return sum(others, first)
