"""Measuring a network on data of any size, batch by batch."""

import math
from typing import Any

from portable_nn.arrays import Array, namespace_of
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
    running = RunningLoss(network)
    correct: list[Any] = []
    answers = 0
    for cut in cuts(x.shape[0], batch_size):
        batch_x, batch_t = network.inputs(x[cut, ...]), t[cut, ...]
        y, _ = network.forward_walk(run, params, batch_x)
        running.add(criterion.forward_pass(run, {}, y, batch_t)[0], batch_t)
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

    def __init__(self, network: Network):
        self._criterion, self._run = network.criterion, network.run()
        self._pending: list[tuple[Any, Any]] = []
        self._total = self._weight = 0.0
        self._batches = 0
        self.first_bad = 0

    @property
    def waiting(self) -> int:  # noqa: D102  (an attribute to its users)
        return len(self._pending)

    def add(self, loss: Any, t: Any, weight: Any = None) -> None:
        """Add the loss of a batch with targets t and sample weights, as `Network.batch` returned them."""
        self._pending.append((loss, self._criterion.total_weight(self._run, t, weight)))

    def read(self) -> float:
        """Return the loss so far; this waits for the device."""
        mean = self._criterion.reduction == "mean"
        for loss, weight in self._pending:
            value, share = float(loss), float(weight) if mean else 1.0
            self._batches += 1
            if not self.first_bad and not math.isfinite(value):
                self.first_bad = self._batches
            self._total += value * share
            self._weight += share
        self._pending.clear()
        return self._total / (self._weight or 1.0) if mean else self._total
