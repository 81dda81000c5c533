"""Learning rates that change: functions of the number of updates made so far."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "OneCycle",
    "ReduceOnPlateau",
    "Schedule",
    "StepDecay",
    "WarmUp",
]

Schedule: TypeAlias = Callable[[int], float]
"""Takes the number of updates made before this one and returns the learning rate for it."""


class Constant:
    """The rate `lr` throughout."""

    def __init__(self, lr: float):
        self.lr = _positive("lr", lr)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return self.lr


class StepDecay:
    """The rate `lr`, multiplied by `factor` after each `every` updates."""

    def __init__(self, lr: float, *, every: int, factor: float = 0.1):
        self.lr, self.every, self.factor = _positive("lr", lr), _positive("every", every), _positive("factor", factor)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return self.lr * self.factor ** (step // self.every)


class Exponential:
    """The rate lr factor^(step / every), falling smoothly."""

    def __init__(self, lr: float, *, every: int = 1, factor: float):
        self.lr, self.every, self.factor = _positive("lr", lr), _positive("every", every), _positive("factor", factor)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return self.lr * self.factor ** (step / self.every)


class Cosine:
    """From `lr` to `final` along half a cosine in `steps` updates, then `final`.

    Loshchilov and Hutter (ICLR 2017), eq. 5, without restarts.
    """

    def __init__(self, lr: float, *, steps: int, final: float = 0.0):
        self.lr, self.steps, self.final = _positive("lr", lr), _positive("steps", steps), _not_negative("final", final)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return _cosine(self.lr, self.final, step / self.steps)


class WarmUp:
    """Linear from `start` times the rate of `schedule` to that rate in `steps` updates, then `schedule` from its start.

    Goyal et al. (arXiv 1706.02677), section 2.2.
    """

    def __init__(self, schedule: Schedule | float, *, steps: int, start: float = 0.0):
        self.schedule = as_schedule(schedule)
        self.steps, self.start = int(_positive("steps", steps)), _not_negative("start", start)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        if step >= self.steps:
            return self.schedule(step - self.steps)
        return self.schedule(0) * (self.start + (1.0 - self.start) * (step + 1) / self.steps)

    def observe(self, value: float) -> None:
        """Pass the value of an epoch on to the schedule, if it wants to know."""
        observe(self.schedule, value)

    def state(self) -> Any:
        """Return what the schedule has become, for a checkpoint."""
        return state_of(self.schedule)

    def restore(self, state: Any) -> None:
        """Let the schedule take up again what `state` returned."""
        restore(self.schedule, state)


class OneCycle:
    """Along half a cosine from lr / start_divisor up to `lr`, then down to lr / start_divisor / final_divisor.

    The way up takes the share `rise` of `steps` updates. Smith and Topin (arXiv 1708.07120), as torch's OneCycleLR.
    """

    def __init__(
        self, lr: float, *, steps: int, rise: float = 0.3, start_divisor: float = 25.0, final_divisor: float = 1e4
    ):
        self.lr, self.steps, self.rise = _positive("lr", lr), _positive("steps", steps), float(rise)
        self.start = self.lr / _positive("start_divisor", start_divisor)
        self.final = self.start / _positive("final_divisor", final_divisor)
        if not 0 < rise < 1:
            raise ValueError(f"OneCycle needs rise between 0 and 1, got {rise}")

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        top, end = self.rise * self.steps - 1.0, self.steps - 1.0
        if step < top:
            return _cosine(self.start, self.lr, step / top)
        return _cosine(self.lr, self.final, (step - top) / (end - top))


class ReduceOnPlateau:
    """The rate `lr`, multiplied by `factor` when the observed value has not improved for more than `patience` epochs.

    The Trainer observes for it, after every epoch, the validation loss, or the training loss where there is none.

    Parameters
    ----------
    lr : float
    factor : float
        Below 1.
    patience : int
        Epochs without improvement that are forgiven.
    threshold : float
        By what share the value must get better to count as improved.
    cooldown : int
        Epochs after a reduction in which nothing is counted.
    minimum : float
        The rate never falls below it.
    """

    def __init__(
        self,
        lr: float,
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        minimum: float = 0.0,
    ):
        self.lr, self.factor, self.minimum = _positive("lr", lr), _positive("factor", factor), float(minimum)
        self.initial = self.lr
        self.patience, self.cooldown = _not_negative("patience", patience), _not_negative("cooldown", cooldown)
        self.threshold = _not_negative("threshold", threshold)
        if not (self.factor < 1 and 0 <= minimum <= lr):
            raise ValueError(
                f"ReduceOnPlateau needs factor below 1 and minimum from 0 to lr, got {factor} and {minimum}"
            )
        self.best = math.inf
        self.bad_epochs = 0
        self.resting = 0

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return self.lr

    def observe(self, value: float) -> None:
        """Take the value of an epoch, better if smaller, into account."""
        if value < self.best - (self.threshold * abs(self.best) if math.isfinite(self.best) else 0.0):
            self.best, self.bad_epochs = value, 0
        else:
            self.bad_epochs += 1
        if self.resting > 0:
            self.resting -= 1
            self.bad_epochs = 0
        if self.bad_epochs > self.patience:
            self.lr = max(self.lr * self.factor, self.minimum)
            self.resting, self.bad_epochs = self.cooldown, 0

    def state(self) -> list[float]:
        """Return what it has become, for a checkpoint."""
        return [self.lr, self.best, self.bad_epochs, self.resting]

    def restore(self, state: list[float]) -> None:
        """Take up again what `state` returned."""
        self.lr, self.best = state[:2]
        self.bad_epochs, self.resting = map(int, state[2:])


def observe(schedule: Schedule, value: float) -> None:
    """Tell a schedule the value of an epoch, if it has a method `observe`."""
    method = getattr(schedule, "observe", None)
    if method is not None:
        method(value)


def state_of(schedule: Schedule) -> Any:
    """Return what a schedule has become by observing, as its method `state` tells; None without one."""
    method = getattr(schedule, "state", None)
    return None if method is None else method()


def restore(schedule: Schedule, state: Any) -> None:
    """Let a schedule take up again what `state_of` returned."""
    if state:
        schedule.restore(state)  # pyright: ignore[reportFunctionMemberAccess]  (it had a state)


def check_kept(schedule: Schedule) -> None:
    """Raise TypeError if a schedule observes, but cannot tell a checkpoint what it has become."""
    if isinstance(schedule, WarmUp):
        check_kept(schedule.schedule)
    if hasattr(schedule, "observe") and not (hasattr(schedule, "state") and hasattr(schedule, "restore")):
        raise TypeError(
            f"{type(schedule).__name__} observes: a checkpoint needs its methods state(), which returns what JSON can "
            "say, and restore(state)"
        )


def check_blind(schedule: Schedule) -> None:
    """Raise TypeError if a schedule observes: only that of the rate is told how training goes."""
    inner = schedule.schedule if isinstance(schedule, WarmUp) else None
    if inner is not None:
        check_blind(inner)
    elif hasattr(schedule, "observe"):
        raise TypeError(
            f"only the schedule of the learning rate may observe: weight_decay cannot follow {type(schedule).__name__}"
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


def _cosine(start: float, end: float, progress: float) -> float:
    """Return start at progress 0, end from progress 1 on, half a cosine between."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


def _positive(name: str, value: float) -> float:
    if not value > 0 or value == math.inf:
        raise ValueError(f"{name} needs to be positive and finite, got {value}")
    return float(value)


def _not_negative(name: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} needs to be at least 0 and finite, got {value}")
    return float(value)
