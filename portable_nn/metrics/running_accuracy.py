"""The share of right answers over many batches."""

from typing import Any

from portable_nn.arrays import flat
from portable_nn.layers import Run
from portable_nn.losses import Loss

__all__ = ["RunningAccuracy"]


class RunningAccuracy:
    """The share of right answers over all batches so far, by output: a mean by weight, where samples have weights.

    Counts stay on their device until `record`.
    """

    def __init__(self, criterion: Loss, run: Run):
        self._run, self._losses = run, {name: loss for name, (loss, _) in criterion.by_name().items()}
        self._counts: dict[str, list[tuple[Any, Any]]] = {name: [] for name in self._losses}

    @property
    def knows_any(self) -> bool:
        """Whether a loss knows right and wrong."""
        return any(loss.counts_correct is not None for loss in self._losses.values())

    def add(self, y: Any, t: Any, weight: Any = None) -> None:
        """Count the answers y to t, arrays or tuples by output."""
        weights: tuple[Any, ...] = (None,) * len(self._losses) if weight is None else flat(weight)
        for (name, loss), *of_one in zip(self._losses.items(), flat(y), flat(t), weights, strict=True):
            if loss.counts_correct is not None:
                self._counts[name].append(loss.counts(self._run, *of_one))

    def record(self) -> dict[str, float]:
        """Return the shares by name; this waits for the device."""
        shares: dict[str, float] = {}
        for name, counts in self._counts.items():
            if counts:
                correct, answers = zip(*counts, strict=True)
                shares[f"{name}accuracy"] = sum(map(float, correct)) / (sum(map(float, answers)) or 1.0)
        return shares
