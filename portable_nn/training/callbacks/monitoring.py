"""What a callback monitors: a value in the history, and whether smaller or larger is better."""

from typing import Literal

from portable_nn.training.callbacks.callback import Callback, Training

__all__ = ["Mode", "Monitoring", "better"]

Mode = Literal["min", "max"]

_SMALLER, _LARGER = ("loss", "error", "mse", "mae"), ("accuracy", "score")
"""How names of values end that are better if they are smaller, or larger."""


class Monitoring(Callback):
    """What acts when `monitor`, a name in the history, becomes better: smaller, or larger.

    Parameters
    ----------
    monitor : str
    mode : "min" or "max", optional
        Whether smaller or larger is better; needed where the name does not tell.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or the mode is needed.
    """

    def __init__(self, monitor: str, mode: Mode | None):
        name = type(self).__name__
        if mode not in ("min", "max", None):
            raise ValueError(f'{name} needs mode "min" or "max", got {mode!r}')
        if not isinstance(monitor, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not typed)
            raise TypeError(f'{name} needs monitor to be a name in the history, such as "loss", got {monitor!r}')
        mode = mode or better(monitor)
        if mode is None:
            raise ValueError(
                f"{name} cannot tell from the name {monitor!r} whether smaller or larger is better: "
                'say mode="min" or mode="max"'
            )
        self.monitor, self.sign = monitor, -1.0 if mode == "max" else 1.0

    def on_start(self, trainer: Training) -> None:
        """Raise ValueError if the run has nothing to monitor."""
        ours = [
            f"val_{name}{what}" for name in ("", *trainer.network.criterion.by_name()) for what in ("loss", "accuracy")
        ]
        if self.monitor in ours and not trainer.validates:
            name = type(self).__name__
            raise ValueError(
                f"{name} watches {self.monitor!r}: give fit validation_data or validation_split, "
                f'or {name} another monitor, such as "loss"'
            )

    def value(self, record: dict[str, float]) -> float:
        """Return the value in an epoch's record, turned around if larger is better; ValueError if it has none."""
        if self.monitor not in record:
            name = type(self).__name__
            raise ValueError(f"{name} watches {self.monitor!r}, but the epoch has only {', '.join(record)}")
        return self.sign * record[self.monitor]


def better(name: str) -> Mode | None:
    """Return whether smaller or larger is better, where the name of a value in the history tells."""
    name = name.lower()
    if "neg_" in name:  # which turns a loss around, as scikit-learn does
        return None
    return "min" if name.endswith(_SMALLER) else "max" if name.endswith(_LARGER) else None
