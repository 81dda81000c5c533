"""Early stopping: the end of a run that has become no better for a while."""

import math
from typing import Any, Literal

from portable_nn.arrays import copies
from portable_nn.training.callbacks.callback import Callback, Training
from portable_nn.training.samples import whole

__all__ = ["EarlyStopping"]

_SMALLER, _LARGER = ("loss", "error", "mse", "mae"), ("accuracy", "score")
"""How names of values end that are better if they are smaller, or larger."""


class EarlyStopping(Callback):
    """Ends training when `monitor` has not improved for `patience` epochs, and restores the weights of the best epoch.

    Prechelt, Early stopping - but when? (1998).

    Parameters
    ----------
    patience : int
        How many epochs without improvement end the run.
    monitor : str
        A name in the history; "val_loss" by default.
    min_delta : float
        A change of no more than this is no improvement.
    mode : "min" or "max", optional
        Whether smaller or larger is better. By default smaller for names that end in "loss", "error", "mse" or "mae",
        and larger for those in "accuracy" or "score"; needed for all others.
    restore_best : bool

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or the mode is needed.
    """

    def __init__(
        self,
        patience: int = 5,
        *,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        mode: Literal["min", "max"] | None = None,
        restore_best: bool = True,
    ):
        if mode not in ("min", "max", None):
            raise ValueError(f'EarlyStopping needs mode "min" or "max", got {mode!r}')
        if not isinstance(monitor, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not typed)
            raise TypeError(f'EarlyStopping needs monitor to be a name in the history, such as "loss", got {monitor!r}')
        patience = whole("patience", patience, 0, "EarlyStopping")
        self.patience, self.monitor, self.min_delta, self.restore_best = patience, monitor, min_delta, restore_best
        self.sign = -1.0 if (mode or _better(monitor)) == "max" else 1.0

    def on_start(self, trainer: Training) -> None:
        """Forget the last run; ValueError if this one has nothing to monitor."""
        ours = [
            f"val_{name}{what}" for name in ("", *trainer.network.criterion.by_name()) for what in ("loss", "accuracy")
        ]
        if self.monitor in ours and not trainer.validates:
            raise ValueError(
                f"EarlyStopping watches {self.monitor!r}: give fit validation_data or validation_split, "
                'or EarlyStopping another monitor, such as "loss"'
            )
        self.best, self.best_epoch = math.inf, 0
        self._weights: list[Any] = []

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Keep the weights if they are the best so far; stop if the best are too long ago."""
        if self.monitor not in record:
            raise ValueError(f"EarlyStopping watches {self.monitor!r}, but the epoch has only {', '.join(record)}")
        value = self.sign * record[self.monitor]
        if value < self.best - self.min_delta:
            self.best, self.best_epoch = value, epoch
            self._weights = copies(trainer.network.arrays())
        elif epoch - self.best_epoch >= self.patience:
            trainer.stop(f"{self.monitor} has not improved for {self.patience} epochs")

    def state(self) -> tuple[Any, list[Any]]:
        """Return the best value, its epoch and its weights."""
        return [self.best, self.best_epoch], self._weights

    def restore(self, trainer: Training, numbers: Any, arrays: list[Any]) -> None:
        """Take these up again."""
        self.best, self.best_epoch = numbers
        self._weights = [trainer.network.place.asarray(array) for array in arrays]

    def on_end(self, trainer: Training) -> None:
        """Put the best weights back."""
        if self.restore_best and self.best_epoch:
            trainer.network.set_arrays(self._weights)
            trainer.history.best_epoch = self.best_epoch


def _better(monitor: str) -> str:
    """Return the mode that a name in the history tells; ValueError if it tells none."""
    name = monitor.lower()
    if "neg_" not in name:  # which turns a loss around, as scikit-learn does
        if name.endswith(_SMALLER):
            return "min"
        if name.endswith(_LARGER):
            return "max"
    raise ValueError(
        f"EarlyStopping cannot tell from the name {monitor!r} whether smaller or larger is better: "
        'say mode="min" or mode="max"'
    )
