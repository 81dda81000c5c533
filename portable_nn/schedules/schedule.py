"""What a schedule is, and what is done with every one."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

__all__ = [
    "Constant",
    "Schedule",
    "as_schedule",
    "check_blind",
    "check_kept",
    "not_negative",
    "observe",
    "observe_epoch",
    "positive",
    "restore",
    "state_of",
]

Schedule: TypeAlias = Callable[[int], float]
"""Takes the number of updates made before this one and returns the learning rate for it."""


class Constant:
    """The rate `lr` throughout."""

    def __init__(self, lr: float):
        self.lr = positive("lr", lr)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return self.lr


def observe(schedule: Schedule, value: float) -> None:
    """Tell a schedule the value of an epoch, if it has a method `observe`."""
    method = getattr(schedule, "observe", None)
    if method is not None:
        method(value)


def observe_epoch(schedule: Schedule, record: Mapping[str, float]) -> None:
    """Tell a schedule the value of an epoch's record that it has in `monitor`, if it has a method `observe`.

    By default that is the validation loss, or the training loss where there is none. ValueError if there is no such
    value.
    """
    name: str = getattr(schedule, "monitor", None) or ("val_loss" if "val_loss" in record else "loss")
    if name not in record:
        raise ValueError(f"{type(schedule).__name__} watches {name!r}, but the epoch has only {', '.join(record)}")
    observe(schedule, record[name])


def state_of(schedule: Schedule) -> Any:
    """Return what a schedule has become by observing, as its method `state` tells; None without one."""
    method = getattr(schedule, "state", None)
    return None if method is None else method()


def restore(schedule: Schedule, state: Any) -> None:
    """Let a schedule take up again what `state_of` returned."""
    if state:
        schedule.restore(state)  # pyright: ignore[reportFunctionMemberAccess]  (it had a state)


def _within(schedule: Schedule) -> Iterator[Schedule]:
    """Yield the schedules that one of this library's passes on to, or else itself."""
    parts: Any = getattr(schedule, "parts", None) if _is_ours(schedule) else None
    if parts is None:
        yield schedule
        return
    for part in parts:
        yield from _within(part)


def _is_ours(schedule: Schedule) -> bool:
    return type(schedule).__module__.partition(".")[0] == __name__.partition(".")[0]


def check_kept(schedule: Schedule) -> None:
    """Raise TypeError if a schedule observes, but cannot tell a checkpoint what it has become."""
    for part in _within(schedule):
        if hasattr(part, "observe") and not (hasattr(part, "state") and hasattr(part, "restore")):
            raise TypeError(
                f"{type(part).__name__} observes: a checkpoint needs its methods state(), which returns what JSON can "
                "say, and restore(state)"
            )


def check_blind(schedule: Schedule, whose: str) -> None:
    """Raise TypeError if a schedule observes: only that of the rate is told how training goes."""
    for part in _within(schedule):
        if hasattr(part, "observe"):
            raise TypeError(
                f"only the schedule of the learning rate may observe: {whose} cannot follow {type(part).__name__}"
            )


def as_schedule(lr: Schedule | float) -> Schedule:
    """Return `lr` as a schedule: itself if it is one, else constant.

    TypeError if it is neither that nor a number.
    """
    if callable(lr):
        return lr
    if not hasattr(lr, "__float__"):
        raise TypeError(f"lr needs to be a number or a function of the step, got {type(lr).__name__}")
    return Constant(lr)


def positive(name: str, value: float) -> float:
    """Return a number as a float; ValueError, which names it, if it is not positive and finite."""
    if not value > 0 or value == math.inf:
        raise ValueError(f"{name} needs to be positive and finite, got {value}")
    return float(value)


def not_negative(name: str, value: float) -> float:
    """Return a number as a float; ValueError, which names it, if it is below 0 or not finite."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} needs to be at least 0 and finite, got {value}")
    return float(value)
