"""Early stopping: the end of a run that has become no better for a while."""

import math
from typing import Any

from portable_nn.arrays import copies
from portable_nn.training.callbacks.callback import Training
from portable_nn.training.callbacks.monitoring import Mode, Monitoring
from portable_nn.training.samples import whole

__all__ = ["EarlyStopping"]


class EarlyStopping(Monitoring):
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
        Whether smaller or larger is better. By default what the metric of that name says; smaller for other names that
        end in "loss", "error", "mse" or "mae", and larger for those in "accuracy" or "score"; needed for all others.
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
        mode: Mode | None = None,
        restore_best: bool = True,
    ):
        super().__init__(monitor, mode)
        self.patience = whole("patience", patience, 0, "EarlyStopping")
        self.min_delta, self.restore_best = min_delta, restore_best

    def on_start(self, trainer: Training) -> None:
        """Forget the last run; ValueError if this one has nothing to monitor."""
        super().on_start(trainer)
        self.best, self.best_epoch = math.inf, 0
        self._weights: list[Any] = []

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Keep the weights if they are the best so far; stop if the best are too long ago."""
        value = self.value(record)
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
