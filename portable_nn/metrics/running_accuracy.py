"""The share of right answers over many batches."""

from typing import Any

from portable_nn.arrays import flat
from portable_nn.layers import Run
from portable_nn.losses import Loss

__all__ = ["RunningAccuracy"]


class RunningAccuracy:
    """The share of right answers over all batches so far, by output; counts stay on their device until `record`."""

    def __init__(self, criterion: Loss, run: Run):
        self._run, self._losses = run, {name: loss for name, (loss, _) in criterion.by_name().items()}
        self._correct: dict[str, list[Any]] = {name: [] for name in self._losses}
        self._answers = dict.fromkeys(self._losses, 0)

    @property
    def knows_any(self) -> bool:
        """Whether a loss knows right and wrong."""
        return any(loss.counts_correct is not None for loss in self._losses.values())

    def add(self, y: Any, t: Any) -> None:
        """Count the answers y to t, arrays or tuples by output."""
        for (name, loss), y_of_one, t_of_one in zip(self._losses.items(), flat(y), flat(t), strict=True):
            if loss.counts_correct is not None:
                self._correct[name].append(getattr(self._run.kernels, loss.counts_correct)(y_of_one, t_of_one))
                self._answers[name] += loss.answers(y_of_one.shape)

    def record(self) -> dict[str, float]:
        """Return the shares by name; this waits for the device."""
        return {
            f"{name}accuracy": sum(map(int, correct)) / max(self._answers[name], 1)
            for name, correct in self._correct.items()
            if correct
        }
