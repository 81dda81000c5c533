"""The loss over many batches."""

import math
from operator import mul
from typing import Any, cast

from portable_nn.arrays import flat, to_numpy
from portable_nn.losses import Loss

__all__ = ["RunningLoss"]


class RunningLoss:
    """The loss over all batches so far: their sum, or their mean by weight, as the network's loss reduces.

    Of losses by output each is reduced by itself, and the loss is their weighted sum. Losses stay on their device until
    `read`.

    Attributes
    ----------
    batches : int
        How many were added.
    first_bad : int
        The number, from 1, of the first batch whose loss was NaN, infinite or above `limit`; 0 for none that was read.
    """

    def __init__(self, criterion: Loss, limit: float = math.inf):
        by_name = criterion.by_name()
        self._names = list(by_name)
        self._means = [loss.reduction == "mean" for loss, _ in by_name.values()]
        self._counts = [count for _, count in by_name.values()]
        self._limit = limit
        self._pending: list[tuple[Any, Any]] = []
        self._totals: list[float] = [0.0] * len(by_name)
        self._weights: list[float] = [0.0] * len(by_name)
        self.batches = self._read = self.first_bad = 0

    def add(self, losses: Any, weights: Any) -> None:
        """Add what batches gave as losses and `Loss.total_weight`: lists, or the same with 1-d arrays for numbers."""
        self._pending.append((losses, weights))
        self.batches += len(cast("list[Any]", weights)) if isinstance(weights, list) else flat(weights)[0].shape[0]

    def state(self) -> list[Any]:
        """Return what was added so far, for a checkpoint; this waits for the device."""
        self.read()
        if len(self._names) == 1:
            return [self._totals[0], self._weights[0], self.batches]
        return [[*self._totals], [*self._weights], self.batches]

    def restore(self, state: list[Any]) -> None:
        """Take up again what `state` returned, and nothing else."""
        several = len(self._names) > 1
        self._totals, self._weights = ([*part] if several else [part] for part in state[:2])
        self.batches = self._read = int(state[2])
        self._pending, self.first_bad = [], 0

    def read(self) -> float:
        """Return the loss so far; this waits for the device."""
        for losses, weights in self._pending:
            for values, shares in zip(_rows(losses), _rows(weights), strict=True):
                self._read += 1
                value = sum(map(mul, self._counts, values))
                if not self.first_bad and not (math.isfinite(value) and value <= self._limit):
                    self.first_bad = self._read
                for i, is_mean in enumerate(self._means):
                    share = shares[i] if is_mean else 1.0
                    self._totals[i] += values[i] * share
                    self._weights[i] += share
        self._pending.clear()
        return sum(map(mul, self._counts, self._values()))

    def record(self) -> dict[str, float]:
        """Return the loss so far as "loss", and those of single outputs by their names; this waits for the device."""
        whole = self.read()
        return {"loss": whole} | {f"{n}loss": value for n, value in zip(self._names, self._values(), strict=True) if n}

    def _values(self) -> list[float]:
        triples = zip(self._totals, self._weights, self._means, strict=True)
        return [total / (weight or 1.0) if is_mean else total for total, weight, is_mean in triples]


def _rows(values: Any) -> list[list[float]]:
    """Return for each batch its numbers, one for each output."""
    if isinstance(values, list):
        return [[float(value) for value in flat(row)] for row in cast("list[Any]", values)]
    return [list(row) for row in zip(*(to_numpy(column).tolist() for column in flat(values)), strict=True)]
