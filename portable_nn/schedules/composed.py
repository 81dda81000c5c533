"""Schedules made of others."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from portable_nn.schedules.falling import rising
from portable_nn.schedules.schedule import Schedule, as_schedule, not_negative, observe, positive, restore, state_of

__all__ = ["Chain", "WarmUp"]


class WarmUp:
    """Linear from `start` times the rate of `schedule` to that rate in `steps` updates, then `schedule` from its start.

    Goyal et al. (arXiv 1706.02677), section 2.2.
    """

    def __init__(self, schedule: Schedule | float, *, steps: int, start: float = 0.0):
        self.schedule = as_schedule(schedule)
        self.parts = [self.schedule]
        self.steps, self.start = int(positive("steps", steps)), not_negative("start", start)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        if step >= self.steps:
            return self.schedule(step - self.steps)
        return self.schedule(0) * (self.start + (1.0 - self.start) * (step + 1) / self.steps)

    def observe(self, value: float) -> None:
        """Pass the value of an epoch on to the schedule, if it wants to know."""
        observe(self.schedule, value)

    @property
    def monitor(self) -> str | None:
        """Which value the schedule wants to know."""
        return getattr(self.schedule, "monitor", None)

    def state(self) -> Any:
        """Return what the schedule has become, for a checkpoint."""
        return state_of(self.schedule)

    def restore(self, state: Any) -> None:
        """Let the schedule take up again what `state` returned."""
        restore(self.schedule, state)


class Chain:
    """Schedules one after the other, each from its own beginning: the next one begins at each of the `milestones`.

    As torch's SequentialLR. What is observed is told to the one that gave the last rate.

    Parameters
    ----------
    schedules : sequence of Schedule or float
        At least two.
    milestones : sequence of int
        The numbers of updates after which all but the first begin.

    Raises
    ------
    ValueError, TypeError
        If there is not one milestone less than schedules, the milestones do not rise, or something is no schedule.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> schedule = pnn.Chain([pnn.Polynomial(1.0, steps=4), 0.1, pnn.Exponential(0.4, factor=0.5)], milestones=[2, 4])
    >>> [schedule(step) for step in range(7)]
    [1.0, 0.75, 0.1, 0.1, 0.4, 0.2, 0.1]
    """

    def __init__(self, schedules: Sequence[Schedule | float], milestones: Sequence[int]):
        self.schedules = [as_schedule(schedule) for schedule in schedules]
        self.milestones = rising("Chain", milestones)
        if len(self.milestones) != len(self.schedules) - 1:
            raise ValueError(
                f"Chain needs one milestone less than schedules, got {len(self.milestones)} and {len(self.schedules)}"
            )
        self.parts = self.schedules
        self.current = 0

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        self.current = bisect_right(self.milestones, step)
        return self.schedules[self.current](step - [0, *self.milestones][self.current])

    def observe(self, value: float) -> None:
        """Pass the value of an epoch on to the schedule that gave the last rate, if it wants to know."""
        observe(self.schedules[self.current], value)

    @property
    def monitor(self) -> str | None:
        """Which value the schedule that gave the last rate wants to know."""
        return getattr(self.schedules[self.current], "monitor", None)

    def state(self) -> list[Any]:
        """Return what the schedules have become, for a checkpoint."""
        return [self.current, *map(state_of, self.schedules)]

    def restore(self, state: list[Any]) -> None:
        """Let the schedules take up again what `state` returned."""
        self.current = int(state[0])
        for schedule, of_one in zip(self.schedules, state[1:], strict=True):
            restore(schedule, of_one)
