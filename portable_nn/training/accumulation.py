"""The gradient of a batch from micro-batches, one after the other: what a large batch needs in memory is a small one's.

The loss of a batch is sum_m w_m l_m / w over its micro-batches m, w_m and w the total weights of a micro-batch and of
the batch, or for a loss that sums over samples sum_m l_m; and so is its gradient. Of several losses each has its own
weights. `kernels.accumulate` goes through the micro-batches.
"""

from typing import Any

from portable_nn.arrays import flat, is_array, is_several
from portable_nn.layers import Run
from portable_nn.losses import Loss
from portable_nn.random import Key
from portable_nn.training.samples import count

__all__ = ["Shares", "check_accumulates", "micro_key", "micro_rows", "weighted"]


def check_accumulates(criterion: Loss) -> None:
    """Raise ValueError if a loss of a batch does not follow from those of its parts."""
    for loss, _ in criterion.by_name().values():
        if not loss.sums_over_samples:
            raise ValueError(
                f"accumulate needs a loss that is a mean or sum over samples, got {loss!r}, for which each micro-batch "
                "would be a batch of its own: take accumulate=1 and batches that fit in memory"
            )


def micro_rows(batch: Any, accumulate: int) -> int:
    """Return how many rows a micro-batch of inputs has, the last one perhaps less; all if it is but one."""
    return max(1, -(-count(batch) // accumulate))


def micro_key(key: Key | None, first: Any, rows: int) -> Key | None:
    """Return the random key for so many rows of a batch from the first on: their masks are these rows of its masks."""
    return None if key is None else (*key[:2], first, rows)


class Shares:
    """What the losses of micro-batches count in that of their batch.

    Parameters
    ----------
    criterion : Loss
    run : Run
    t, weight : arrays, or tuples of arrays by output
        Of the batch.
    """

    def __init__(self, criterion: Loss, run: Run, t: Any, weight: Any):
        self._losses = [loss for loss, _ in criterion.by_name().values()]
        self._per_weight = [
            _inverse(run, loss.total_weight(run, *of_one)) if loss.reduction == "mean" else None
            for loss, *of_one in self._each(t, weight)
        ]

    def _each(self, t: Any, weight: Any) -> Any:
        weights = (None,) * len(self._losses) if weight is None else flat(weight)
        return zip(self._losses, flat(t), weights, strict=True)

    def of(self, run: Run, t: Any, weight: Any) -> Any:
        """Return the share of a micro-batch, a number or a 0-d array; of losses by output the tuple of their shares."""
        shares = [
            1.0 if factor is None else loss.total_weight(run, *of_one) * factor
            for (loss, *of_one), factor in zip(self._each(t, weight), self._per_weight, strict=True)
        ]
        return tuple(shares) if is_several(t) else shares[0]


def _inverse(run: Run, weight: Any) -> Any:
    """Return 1 / weight, and 0 for 0."""
    if is_array(weight):
        return run.kernels.per_weight(1.0, weight[None])
    return 1.0 / weight if weight else 0.0


def weighted(share: Any, value: Any) -> Any:
    """Return share times value; of tuples, by output."""
    return tuple(map(weighted, share, value)) if is_several(value) else share * value
