"""Runners for contestants whose steps are calls, one after the other."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workloads import Workload
from portable_nn import to_numpy

__all__ = ["Predicting", "Training", "losses_of_means", "spread"]


class Training:
    """Calls `step(x, t)` with batch after batch; it returns the loss.

    Parameters
    ----------
    workload : Workload
    x, t : arrays
        Whatever slices.
    step : callable
    finish : callable, optional
        Waits for a loss, where a step returns before it is computed.
    """

    stride = 1

    def __init__(self, workload: Workload, x: Any, t: Any, step: Callable[..., Any], finish: Callable[[Any], Any] = id):
        self.x, self.t, self.step, self.finish = x, t, step, finish
        self._cuts = workload.cuts()

    def run(self, steps: int) -> None:
        """Take steps."""
        x, t, step, loss = self.x, self.t, self.step, None
        for cut in itertools.islice(self._cuts, steps):
            loss = step(x[cut], t[cut])
        self.finish(loss)

    def curve(self, steps: int) -> list[float]:
        """Return the losses of the next steps."""
        return [float(self.step(self.x[cut], self.t[cut])) for cut in itertools.islice(self._cuts, steps)]


class Predicting:
    """Calls `predict(x)` with batch after batch; it returns outputs, an array of any library.

    Parameters are those of `Training`.
    """

    stride = 1

    def __init__(self, workload: Workload, x: Any, predict: Callable[[Any], Any], finish: Callable[[Any], Any] = id):
        self.x, self.predict, self.finish = x, predict, finish
        self._cuts = workload.cuts()

    def run(self, steps: int) -> None:
        """Predict."""
        x, predict, y = self.x, self.predict, None
        for cut in itertools.islice(self._cuts, steps):
            y = predict(x[cut])
        self.finish(y)

    def curve(self, steps: int) -> list[float]:
        """Return the spreads of the next outputs."""
        return [spread(to_numpy(self.predict(self.x[cut]))) for cut in itertools.islice(self._cuts, steps)]


def spread(y: np.ndarray) -> float:
    """Return the root mean square of outputs (N, C) around the means of their rows.

    It is the same for the logarithms of their softmax, which is what scikit-learn gives.
    """
    return float(np.sqrt(np.mean((y - y.mean(axis=1, keepdims=True)) ** 2)))


def losses_of_means(means: list[float]) -> list[float]:
    """Return the losses whose running means are given."""
    totals = [0.0, *(count * mean for count, mean in enumerate(means, 1))]
    return [after - before for before, after in itertools.pairwise(totals)]
