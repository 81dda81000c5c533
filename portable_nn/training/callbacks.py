"""What can watch a training run, and end it."""

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from portable_nn.arrays import copies
from portable_nn.networks import Network
from portable_nn.optimizers import Optimizer
from portable_nn.training.history import History
from portable_nn.training.samples import whole

__all__ = ["Callback", "EarlyStopping", "Training", "overrides"]


class Training(Protocol):
    """What callbacks see of a trainer, or of a fit of the estimators.

    Attributes
    ----------
    network : Network
    optimizer : Optimizer
    history : History
        Of the running fit.
    validates : bool
        Whether there are samples to validate with.
    epochs : int
        How many were begun.
    """

    network: Network
    optimizer: Optimizer
    history: History
    validates: bool
    epochs: int

    def stop(self, reason: str) -> None:
        """End training after the running epoch."""
        ...


class Callback:
    """Override what you need. The trainer has `network`, `optimizer`, `history` and `stop(reason)`.

    Any option of the layers, the loss or the optimizer may be replaced: that acts from the next step on, on every
    backend. Freezing and unfreezing parameters acts from the next epoch on. The trainer's network and optimizer cannot
    be replaced while `fit` runs: that raises a RuntimeError.
    """

    def on_start(self, trainer: Training) -> None:
        """Act before the first epoch."""

    def on_batch(self, trainer: Training, step: int, record: dict[str, Any]) -> None:
        """Act after an update, numbered from 1 in its epoch; `record` has the "loss", a 0-d array on its device.

        Losses by output are there, too: "kind_loss", say.
        """

    def on_gradients(self, trainer: Training, gradients: dict[str, Any]) -> Mapping[str, Any] | None:
        """Return other gradients for some of the parameters, by name, before they are clipped and applied, or None.

        The arrays are the step's: what is to be kept is copied. On JAX the step is compiled in two parts then.
        """

    def evaluation_weights(self, trainer: Training) -> Mapping[str, Any] | None:
        """Return other weights, by name, than those of training for the network to be evaluated and saved with.

        Asked for after the steps of an epoch, when training ends, and for checkpoints in between. The network has them
        while it validates, during `on_epoch`, in checkpoints and after `fit`; the last callback that has some decides.
        States such as running means may be among them. The arrays are not to be written afterwards.
        """

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Act after an epoch, numbered from 1; `record` holds its values and may be added to."""

    def on_end(self, trainer: Training) -> None:
        """Act after the last epoch, also if training was stopped or interrupted."""

    def state(self) -> tuple[Any, list[Any]]:
        """Return what a checkpoint shall remember: something that JSON can say, and arrays."""
        return None, []

    def restore(self, trainer: Training, numbers: Any, arrays: list[Any]) -> None:
        """Take up again what `state` returned, after `on_start`; the arrays are NumPy's."""


def overrides(watcher: object, name: str) -> bool:
    """Tell whether a callback does something of its own when it is told of `name`."""
    method = getattr(type(watcher), name, None)
    return method is not None and method is not getattr(Callback, name)


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
