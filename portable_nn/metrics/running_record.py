"""The loss and the metrics over many batches."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from portable_nn.losses import Loss
from portable_nn.metrics.measuring import Measuring, RunningMetrics
from portable_nn.metrics.running_loss import RunningLoss

__all__ = ["RunningRecord"]


class RunningRecord(RunningLoss):
    """The loss over all batches so far, and the metrics, if there are some.

    Parameters
    ----------
    criterion : Loss
    measuring : Measuring, optional
    limit : float
        See `RunningLoss`.
    """

    def __init__(self, criterion: Loss, measuring: Measuring | None = None, limit: float = math.inf):
        super().__init__(criterion, limit)
        self._metrics = None if measuring is None else RunningMetrics(measuring)

    def add(self, losses: Any, weights: Any, measured: Sequence[Any] = ()) -> None:
        """Add what batches gave: losses and weights as for `RunningLoss`, and what `Measuring` returned for them."""
        super().add(losses, weights)
        if self._metrics is not None:
            self._metrics.add(measured)

    def state(self) -> list[Any]:
        """Return what was added so far: three parts that JSON can say, and the arrays of each metric in a fourth."""
        return [*super().state(), [] if self._metrics is None else self._metrics.state()]

    def restore(self, state: list[Any]) -> None:
        """Take up again what `state` returned, and nothing else."""
        super().restore(state[:3])
        if self._metrics is not None:
            self._metrics.restore(state[3])

    def said(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was added so far for a file: what JSON can say, and arrays by name."""
        *numbers, metrics = self.state()
        arrays = {f"metric {i}/{j}": array for i, kept in enumerate(metrics) for j, array in enumerate(kept)}
        return {"running": numbers, "measured": [len(kept) for kept in metrics]}, arrays

    def take_up(self, numbers: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Take up again what `said` returned, among other things, and nothing else."""
        counts = numbers.get("measured", [])
        metrics = [[arrays[f"metric {i}/{j}"] for j in range(count)] for i, count in enumerate(counts)]
        self.restore([*numbers["running"], metrics])

    def record(self, *, cheap: bool = False) -> dict[str, Any]:
        """Return loss and metrics so far by name, only `cheap` ones if they are shown; this waits for the device."""
        return super().record() | ({} if self._metrics is None else self._metrics.record(cheap=cheap))
