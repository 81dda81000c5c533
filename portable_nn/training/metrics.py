"""Measuring a network on data of any size, batch by batch."""

import math
from typing import Any

from portable_nn.arrays import Array, as_array, is_array, namespace_of, to_numpy
from portable_nn.losses import Loss
from portable_nn.networks import Network
from portable_nn.training.batches import Batches, cuts
from portable_nn.training.samples import whole
from portable_nn.training.streams import BatchStream

__all__ = ["RunningLoss", "evaluate", "predict"]


def predict(network: Network, x: Array, batch_size: int = 1024) -> Any:
    """Return the raw outputs for x (N, ...); ValueError if `batch_size` is less than 1."""
    batch_size, x = whole("batch_size", batch_size, 1, "predict"), as_array(x, "x")
    namespace_of(x)
    if x.ndim == 0 or x.shape[0] <= batch_size:
        return network.predict(x)
    outputs = [network.predict(x[cut, ...]) for cut in cuts(x.shape[0], batch_size)]
    return namespace_of(outputs[0]).concat(outputs, axis=0)


def evaluate(network: Network, batches: Batches | BatchStream) -> dict[str, float]:
    """Return the loss over all batches, and the accuracy where the loss knows one: t checked and at its place."""
    criterion, run, params = network.criterion, network.run(), network.arrays()
    running = RunningLoss(criterion)
    correct: list[Any] = []
    answers = 0
    for x, t, weight in batches.epoch(0):
        y, _ = network.forward_walk(run, params, network.inputs(x, is_known=True))
        loss, _ = criterion.forward_pass(run, {}, y, t, weight)
        running.add([loss], [criterion.total_weight(run, t, weight)])
        if criterion.counts_correct is not None:
            correct.append(getattr(run.kernels, criterion.counts_correct)(y, t))
            answers += criterion.answers(y.shape)
    if batches.error is not None:
        batches.error.add_note("while evaluating")
        raise batches.error
    scores = {"loss": running.read()}
    if criterion.counts_correct is not None:
        scores["accuracy"] = sum(map(int, correct)) / answers
    return scores


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
