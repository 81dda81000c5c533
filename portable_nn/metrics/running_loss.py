"""The loss over many batches."""

import math
from typing import Any

from portable_nn.arrays import is_array, to_numpy
from portable_nn.losses import Loss

__all__ = ["RunningLoss"]


class RunningLoss:
    """The loss over all batches so far: their sum, or their mean by weight, as the network's loss reduces.

    Losses stay on their device until `read`.

    Attributes
    ----------
    batches : int
        How many were added.
    first_bad : int
        The number, from 1, of the first batch whose loss was NaN, infinite or above `limit`; 0 for none that was read.
    """

    def __init__(self, criterion: Loss, limit: float = math.inf):
        self._mean = criterion.reduction == "mean"
        self._limit = limit
        self._pending: list[tuple[Any, Any]] = []
        self._total = self._weight = 0.0
        self.batches = self._read = self.first_bad = 0

    def add(self, losses: Any, weights: Any) -> None:
        """Add the losses of batches, and their weights as `Loss.total_weight` returns them: lists, or 1-d arrays."""
        self._pending.append((losses, weights))
        self.batches += weights.shape[0] if is_array(weights) else len(weights)

    def state(self) -> list[float]:
        """Return what was added so far, for a checkpoint; this waits for the device."""
        self.read()
        return [self._total, self._weight, self.batches]

    def restore(self, state: list[float]) -> None:
        """Take up again what `state` returned, and nothing else."""
        self._total, self._weight = state[:2]
        self.batches = self._read = int(state[2])
        self._pending, self.first_bad = [], 0

    def read(self) -> float:
        """Return the loss so far; this waits for the device."""
        for losses, weights in self._pending:
            for value, weight in zip(_numbers(losses), _numbers(weights), strict=True):
                self._read += 1
                if not self.first_bad and not (math.isfinite(value) and value <= self._limit):
                    self.first_bad = self._read
                share = weight if self._mean else 1.0
                self._total += value * share
                self._weight += share
        self._pending.clear()
        return self._total / (self._weight or 1.0) if self._mean else self._total


def _numbers(values: Any) -> list[float]:
    """Return a list of numbers or 0-d arrays, or a 1-d array, as a list of numbers."""
    return to_numpy(values).tolist() if is_array(values) else [float(value) for value in values]
