"""A schedule that heeds how training goes."""

import math

from portable_nn.metrics.direction import Mode, better
from portable_nn.schedules.schedule import not_negative, positive

__all__ = ["ReduceOnPlateau"]


class ReduceOnPlateau:
    """The rate `lr`, multiplied by `factor` when the observed value has not improved for more than `patience` epochs.

    The Trainer observes for it, after every epoch, `monitor`: by default the validation loss, or the training loss
    where there is none.

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
    monitor : str, optional
        A name in the history.
    mode : "min" or "max", optional
        Whether smaller or larger is better; needed where the name does not tell.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the mode is needed.
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
        monitor: str | None = None,
        mode: Mode | None = None,
    ):
        self.lr, self.factor, self.minimum = positive("lr", lr), positive("factor", factor), float(minimum)
        self.initial = self.lr
        self.patience, self.cooldown = not_negative("patience", patience), not_negative("cooldown", cooldown)
        self.threshold = not_negative("threshold", threshold)
        if not (self.factor < 1 and 0 <= minimum <= lr):
            raise ValueError(
                f"ReduceOnPlateau needs factor below 1 and minimum from 0 to lr, got {factor} and {minimum}"
            )
        self.monitor, self.mode = monitor, mode or better("loss" if monitor is None else monitor)
        if self.mode not in ("min", "max"):
            raise ValueError(
                f"ReduceOnPlateau cannot tell from the name {monitor!r} whether smaller or larger is better: "
                f'say mode="min" or mode="max", got {mode!r}'
            )
        self.best = math.inf
        self.bad_epochs = 0
        self.resting = 0

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return self.lr

    def observe(self, value: float) -> None:
        """Take the value of an epoch into account."""
        value = -value if self.mode == "max" else value
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
