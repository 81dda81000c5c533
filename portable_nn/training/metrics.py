"""Measuring a network on data of any size, batch by batch."""

import math
from operator import mul
from typing import Any, cast

from portable_nn.arrays import each, flat, is_several, namespace_of, to_numpy
from portable_nn.layers import Run
from portable_nn.losses import Loss
from portable_nn.networks import Network
from portable_nn.training.batches import Batches, cuts
from portable_nn.training.samples import count, whole
from portable_nn.training.streams import BatchStream

__all__ = ["RunningLoss", "evaluate", "predict"]


def predict(network: Network, x: Any, batch_size: int = 1024) -> Any:
    """Return the raw outputs for x (N, ...); ValueError if `batch_size` is less than 1."""
    batch_size, x = whole("batch_size", batch_size, 1, "predict"), network.arranged(x)
    each(namespace_of, x)  # raises for what is no array
    if not flat(x)[0].shape or count(x) <= batch_size:
        return network.predict(x)
    return _joined(
        [network.predict(each(lambda part, cut=cut: part[cut, ...], x)) for cut in cuts(count(x), batch_size)]
    )


def _joined(outputs: list[Any]) -> Any:
    """Return the outputs for some samples after the other as one: arrays, or tuples or mappings of them."""
    if isinstance(outputs[0], dict):
        names = list(cast("dict[str, Any]", outputs[0]))
        return {name: _joined([output[name] for output in outputs]) for name in names}
    if is_several(outputs[0]):
        return tuple(_joined(list(column)) for column in zip(*outputs, strict=True))
    return namespace_of(outputs[0]).concat(outputs, axis=0)


def evaluate(network: Network, batches: Batches | BatchStream) -> dict[str, float]:
    """Return the loss over all batches, and the accuracy where the loss knows one: t checked and at its place."""
    criterion, run, params = network.criterion, network.run(), network.arrays()
    running, counted = RunningLoss(criterion), RunningAccuracy(criterion, run)
    for x, t, weight in batches.epoch(0):
        y, _ = network.forward_walk(run, params, network.inputs(x))
        loss, _ = criterion.forward_pass(run, {}, y, t, weight)
        running.add([loss], [criterion.total_weight(run, t, weight)])
        counted.add(y, t)
    if batches.error is not None:
        batches.error.add_note("while evaluating")
        raise batches.error
    return running.record() | counted.record()


class RunningAccuracy:
    """The share of right answers over all batches so far, by output; counts stay on their device until `record`."""

    def __init__(self, criterion: Loss, run: Run):
        self._run, self._losses = run, {name: loss for name, (loss, _) in criterion.by_name().items()}
        self._correct: dict[str, list[Any]] = {name: [] for name in self._losses}
        self._answers = dict.fromkeys(self._losses, 0)

    def add(self, y: Any, t: Any) -> None:
        """Count the answers y to t, arrays or tuples by output."""
        for (name, loss), y_of_one, t_of_one in zip(self._losses.items(), flat(y), flat(t), strict=True):
            if loss.counts_correct is not None:
                self._correct[name].append(getattr(self._run.kernels, loss.counts_correct)(y_of_one, t_of_one))
                self._answers[name] += loss.answers(y_of_one.shape)

    def record(self) -> dict[str, float]:
        """Return the shares by name; this waits for the device."""
        return {
            f"{name}accuracy": sum(map(int, correct)) / self._answers[name]
            for name, correct in self._correct.items()
            if correct
        }


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
