"""Going back to good weights when the loss has become NaN, infinite or too large."""

import math
import warnings
from typing import NamedTuple

from portable_nn.errors import DivergenceError
from portable_nn.training.base_step import Snapshot, TrainingStep
from portable_nn.training.metrics import RunningLoss

__all__ = ["Recovery"]

_LOWER = 0.5
"""What the learning rate is multiplied by when training goes back."""


class _Mark(NamedTuple):
    """A point of an epoch to which training can go back."""

    snapshot: Snapshot
    keys: int
    running: list[float]


class Recovery:
    """Where a run can go back to, and how often it may: with the learning rate halved.

    Parameters
    ----------
    allowed : int
        How often training may go back and on. After that DivergenceError ends it, with good weights.
    limit : float
        A loss above it is as bad as NaN.

    Attributes
    ----------
    made : int
        How often training has gone back.
    """

    def __init__(self, allowed: int, limit: float):
        # Callers may pass anything, whatever is declared.
        if not isinstance(limit, int | float) or math.isnan(limit):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"fit needs a number as loss_limit, got {limit!r}")
        self.allowed, self.limit = allowed, limit
        self.made = 0
        self._marks: list[_Mark] = []

    def mark(self, step: TrainingStep, running: RunningLoss) -> None:
        """Remember this point, after steps whose losses are good, and the one before, if it is another."""
        steps_before = [mark.snapshot[2] for mark in self._marks]
        self._marks = self._marks[:-1] if step.optimizer.steps in steps_before[1:] else self._marks[-1:]
        self._marks.append(_Mark(step.snapshot(), step.network.stream.position, running.state()))

    def mark_within(self, step: TrainingStep, running: RunningLoss) -> None:
        """Remember a point within an epoch, if that may be of use and the weights are good, too."""
        if self.made < self.allowed and step.is_finite():
            self.mark(step, running)

    def rewind(self, step: TrainingStep, running: RunningLoss) -> None:
        """Return to the last mark, if marks are made: the weights since then have not been seen to be good."""
        if self.made < self.allowed:
            self._return(step, running, self._marks[-1].snapshot)

    def go_back(self, step: TrainingStep, running: RunningLoss, epoch: int) -> None:
        """Return to the last point with good weights, and lower the rate.

        Raises
        ------
        DivergenceError
            If that is not allowed again. The good weights are put back all the same.
        """
        bad, begun = running.first_bad, int(self._marks[-1].running[2])
        # What is bad in the first step after a mark, or before it, was made by the last update before the mark.
        self._return(step, running, self._marks[0 if bad == begun + 1 or running.batches == begun else -1].snapshot)
        lr = step.optimizer.lr
        where = f"at step {bad}" if bad else "after the last step"
        became = "NaN or infinite" if self.limit == math.inf else f"NaN, infinite or more than {self.limit:g}"
        what = f"the loss became {became} {where} of epoch {epoch}"
        if self.made == self.allowed:
            again = f", as it did {self.made} times before" if self.made else ""
            raise DivergenceError(
                f"{what}{again}; the network has its earlier weights. Try a lower learning rate (it was {lr:g}) "
                "or clip_norm=1.0 in the optimizer"
                + ("" if self.allowed else ", or let training go back by itself with fit(recoveries=...)")
            )
        self.made += 1
        step.optimizer.lr_scale *= _LOWER
        warnings.warn(
            f"{what}: going on from step {begun} with a learning rate of {step.optimizer.lr:g} instead of {lr:g}",
            stacklevel=5,
        )

    def _return(self, step: TrainingStep, running: RunningLoss, snapshot: Snapshot) -> None:
        """Put the weights of `snapshot` back, and all else as it was at the last mark."""
        last = self._marks[-1]
        step.restore(snapshot)
        step.optimizer.steps = last.snapshot[2]
        self._marks = [last._replace(snapshot=step.snapshot())]
        step.network.stream.position = last.keys
        running.restore(last.running)
