"""What a callback monitors: a value in the history, and whether smaller or larger is better."""

from portable_nn.metrics.direction import Mode, better
from portable_nn.metrics.measuring import better_of_ours
from portable_nn.training.callbacks.callback import Callback, Training

__all__ = ["Mode", "Monitoring"]


class Monitoring(Callback):
    """What acts when `monitor`, a name in the history, becomes better: smaller, or larger.

    Parameters
    ----------
    monitor : str
    mode : "min" or "max", optional
        Whether smaller or larger is better; needed where neither the name nor a metric of the trainer tells.
    owner : str, optional
        As errors call it; the class by default.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind; `on_start` raises if the mode is needed.
    """

    def __init__(self, monitor: str, mode: Mode | None, owner: str | None = None):
        name = self._owner = owner or type(self).__name__
        if mode not in ("min", "max", None):
            raise ValueError(f'{name} needs mode "min" or "max", got {mode!r}')
        if not isinstance(monitor, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not typed)
            raise TypeError(f'{name} needs monitor to be a name in the history, such as "loss", got {monitor!r}')
        mode = mode or better(monitor)
        self.monitor, self.sign = monitor, 0.0 if mode is None else _sign(mode)

    def on_start(self, trainer: Training) -> None:
        """Raise ValueError if the run has nothing to monitor, or nothing tells what is better."""
        known: dict[str, Mode] = getattr(trainer, "better", {})
        name = self.monitor.removeprefix("val_")
        if not self.sign:
            if name not in known:
                there = f" (the metrics of the trainer are {', '.join(known)})" if known else ""
                raise ValueError(
                    f"{self._owner} cannot tell from the name {self.monitor!r} whether smaller or larger is better: "
                    f'say mode="min" or mode="max"{there}'
                )
            self.sign = _sign(known[name])
        ours = [f"{name}{what}" for name in ("", *trainer.network.criterion.by_name()) for what in ("loss", "accuracy")]
        if name != self.monitor and name in [*ours, *known] and not trainer.validates:
            raise ValueError(
                f"{self._owner} watches {self.monitor!r}: give fit validation_data or validation_split, "
                f'or {self._owner} another monitor, such as "loss"'
            )

    def value(self, record: dict[str, float]) -> float:
        """Return the value in an epoch's record, turned around if larger is better; ValueError if it has none."""
        if self.monitor not in record:
            metric = self.monitor.removeprefix("val_")
            hint = f'; Trainer(metrics=["{metric}"]) records it' if metric in better_of_ours() else ""
            raise ValueError(
                f"{self._owner} watches {self.monitor!r}, but the epoch has only {', '.join(record)}{hint}"
            )
        return self.sign * record[self.monitor]


def _sign(mode: Mode) -> float:
    return -1.0 if mode == "max" else 1.0
