"""Measuring a network on data of any size, batch by batch."""

import math
from typing import Any

from portable_nn.arrays import Array, namespace_of, to_numpy
from portable_nn.losses import Loss
from portable_nn.networks import Network
from portable_nn.training.batches import cuts

__all__ = ["RunningLoss", "evaluate", "predict"]


def predict(network: Network, x: Array, batch_size: int = 1024) -> Any:
    """Return the raw outputs for x (N, ...)."""
    namespace_of(x)
    if x.ndim == 0 or x.shape[0] <= batch_size:
        return network.predict(x)
    outputs = [network.predict(x[cut, ...]) for cut in cuts(x.shape[0], batch_size)]
    return namespace_of(outputs[0]).concat(outputs, axis=0)


def evaluate(network: Network, x: Any, t: Any, batch_size: int = 1024) -> dict[str, float]:
    """Return the loss, and the accuracy where the loss knows one: t checked and at the network's place."""
    criterion, run, params = network.criterion, network.run(), network.arrays()
    running = RunningLoss(criterion)
    correct: list[Any] = []
    answers = 0
    for cut in cuts(x.shape[0], batch_size):
        batch_x, batch_t = network.inputs(x[cut, ...]), t[cut, ...]
        y, _ = network.forward_walk(run, params, batch_x)
        running.add(criterion.forward_pass(run, {}, y, batch_t)[0], criterion.total_weight(run, batch_t))
        if criterion.counts_correct is not None:
            correct.append(getattr(run.kernels, criterion.counts_correct)(y, batch_t))
            answers += criterion.answers(y.shape)
    scores = {"loss": running.read()}
    if criterion.counts_correct is not None:
        scores["accuracy"] = sum(map(int, correct)) / answers
    return scores


class RunningLoss:
    """The loss over all batches so far: their sum, or their mean by weight, as the network's loss reduces.

    Losses stay on their device until `read`.

    Attributes
    ----------
    waiting : int
        How many were added since the last `read`.
    first_bad : int
        The number, from 1, of the first batch whose loss was NaN or infinite; 0 for none that was read.
    """

    def __init__(self, criterion: Loss):
        self._mean = criterion.reduction == "mean"
        self._pending: list[tuple[Any, Any]] = []
        self._total = self._weight = 0.0
        self._batches = self.waiting = self.first_bad = 0

    def add(self, losses: Any, weights: Any, batches: int = 1) -> None:
        """Add the loss of a batch and its weight, as `Loss.total_weight` returns it; those of several as vectors."""
        self._pending.append((losses, weights))
        self.waiting += batches

    def state(self) -> list[float]:
        """Return what was added so far, for a checkpoint; this waits for the device."""
        self.read()
        return [self._total, self._weight, self._batches]

    def restore(self, state: list[float]) -> None:
        """Take up again what `state` returned."""
        self._total, self._weight, self._batches = state[0], state[1], int(state[2])

    def read(self) -> float:
        """Return the loss so far; this waits for the device."""
        for pair in self._pending:
            losses, weights = map(_numbers, pair)
            for value, weight in zip(losses, weights * len(losses) if len(weights) == 1 else weights, strict=True):
                self._batches += 1
                if not self.first_bad and not math.isfinite(value):
                    self.first_bad = self._batches
                share = weight if self._mean else 1.0
                self._total += value * share
                self._weight += share
        self._pending.clear()
        self.waiting = 0
        return self._total / (self._weight or 1.0) if self._mean else self._total


def _numbers(values: Any) -> list[float]:
    """Return a number, or a 0-d or 1-d array, as a list of numbers."""
    return [float(values)] if not getattr(values, "ndim", 0) else to_numpy(values).tolist()
