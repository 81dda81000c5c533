"""Going back to good weights when the loss has become NaN, infinite or too large."""

import copy
import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from portable_nn.arrays import copies, to_numpy
from portable_nn.errors import DivergenceError
from portable_nn.metrics import RunningRecord
from portable_nn.training.base_step import Snapshot, TrainingStep
from portable_nn.training.callbacks import Callback, overrides

__all__ = ["Recovery"]

_LOWER = 0.5
"""What the learning rate is multiplied by when training goes back."""

_BLOWN_UP = 100.0
"""By which factor the norm of the weights does not grow in an epoch that is good."""


class _Mark(NamedTuple):
    """A point of an epoch to which training can go back."""

    snapshot: Snapshot
    keys: int
    running: list[Any]
    watched: list[tuple[Callback, Any, list[Any]]]


class Recovery:
    """Where a run can go back to, and how often it may: with the learning rate halved.

    Parameters
    ----------
    allowed : int
        How often training may go back and on. After that DivergenceError ends it, with good weights.
    limit : float
        A loss above it is as bad as NaN.
    trainer : Trainer, optional
    watchers : sequence of Callback
        Those of them that are told of updates and have a state go back, too.

    Attributes
    ----------
    made : int
        How often training has gone back.
    """

    def __init__(self, allowed: int, limit: float, trainer: Any = None, watchers: Sequence[Callback] = ()):
        # Callers may pass anything, whatever is declared.
        if not isinstance(limit, int | float) or math.isnan(limit):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"fit needs a number as loss_limit, got {limit!r}")
        self.allowed, self.limit, self._trainer = allowed, limit, trainer
        self._watchers = [watcher for watcher in watchers if _remembers_updates(watcher)]
        self.made = 0
        self._marks: list[_Mark] = []
        self._weights: list[Any] | None = None
        self._steps = 0
        self._norms = (math.inf, math.inf)

    def mark(self, step: TrainingStep, running: RunningRecord) -> None:
        """Remember this point, after steps whose losses are good, and the one before, if it is another.

        Where training may never go back, all that is remembered is one copy of the weights and states.
        """
        if not self.allowed:
            self._keep_weights(step)
            return
        steps_before = [mark.snapshot[2] for mark in self._marks]
        self._marks = self._marks[:-1] if step.optimizer.steps in steps_before[1:] else self._marks[-1:]
        watched = [(watcher, *_copied(watcher.state())) for watcher in self._watchers]
        self._marks.append(_Mark(step.snapshot(), step.network.stream.position, running.state(), watched))

    def forget(self) -> None:
        """Forget all points: other parameters are trained now."""
        self._marks, self._weights = [], None

    def _keep_weights(self, step: TrainingStep) -> None:
        """Copy the weights, unless the last updates have blown them up: no loss has shown yet that they are good."""
        self._norms = self._norms[1], step.weights_norm()
        if self._weights is None or self._norms[1] <= _BLOWN_UP * self._norms[0]:
            self._weights, self._steps = step.weights(self._weights), step.optimizer.steps

    def mark_within(self, step: TrainingStep, running: RunningRecord) -> None:
        """Remember a point within an epoch, if that may be of use and the weights are good, too."""
        if self.made < self.allowed and step.is_finite():
            self.mark(step, running)

    def rewind(self, step: TrainingStep, running: RunningRecord) -> None:
        """Return to the last mark, if marks are made: the weights since then have not been seen to be good."""
        if self.made < self.allowed:
            self._return(step, running, self._marks[-1].snapshot)

    def go_back(self, step: TrainingStep, running: RunningRecord, epoch: int) -> None:
        """Return to the last point with good weights, and lower the rate.

        Raises
        ------
        DivergenceError
            If that is not allowed again. The good weights are put back all the same.
        """
        bad = running.first_bad
        if self._weights is not None:
            lr = step.optimizer.lr
            step.start_anew(self._weights, self._steps)
            raise self._error(bad, epoch, lr)
        begun = int(self._marks[-1].running[2])
        # What is bad in the first step after a mark, or before it, was made by the last update before the mark.
        self._return(step, running, self._marks[0 if bad == begun + 1 or running.batches == begun else -1].snapshot)
        lr = step.optimizer.lr
        if self.made == self.allowed:
            raise self._error(bad, epoch, lr)
        self.made += 1
        step.optimizer.lr_scale *= _LOWER
        warnings.warn(
            f"{self._what(bad, epoch)}: going on from step {begun} with a learning rate of {step.optimizer.lr:g} "
            f"instead of {lr:g}",
            stacklevel=5,
        )

    def _what(self, bad: int, epoch: int) -> str:
        where = f"at step {bad}" if bad else "after the last step"
        became = "NaN or infinite" if self.limit == math.inf else f"NaN, infinite or more than {self.limit:g}"
        return f"the loss became {became} {where} of epoch {epoch}"

    def _error(self, bad: int, epoch: int, lr: float) -> DivergenceError:
        again = f", as it did {self.made} times before" if self.made else ""
        return DivergenceError(
            f"{self._what(bad, epoch)}{again}; the network has its earlier weights. Try a lower learning rate (it was "
            f"{lr:g}) or clip_norm=1.0 in the optimizer"
            + ("" if self.allowed else ", or let training go back by itself with fit(recoveries=...)")
        )

    def _return(self, step: TrainingStep, running: RunningRecord, snapshot: Snapshot) -> None:
        """Put the weights of `snapshot` back, and all else as it was at the last mark."""
        last = self._marks[-1]
        step.restore(snapshot)
        step.optimizer.steps = last.snapshot[2]
        self._marks = [last._replace(snapshot=step.snapshot())]
        step.network.stream.position = last.keys
        running.restore(last.running)
        for watcher, numbers, arrays in last.watched:
            watcher.restore(self._trainer, copy.deepcopy(numbers), [to_numpy(array) for array in copies(arrays)])


def _remembers_updates(watcher: Callback) -> bool:
    told = overrides(watcher, "on_batch") or overrides(watcher, "on_gradients")
    return told and overrides(watcher, "state") and overrides(watcher, "restore")


def _copied(state: tuple[Any, list[Any]]) -> tuple[Any, list[Any]]:
    return copy.deepcopy(state[0]), copies(state[1])
