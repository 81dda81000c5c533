"""What can watch a training run, and end it."""

from collections.abc import Mapping
from typing import Any, Protocol

from portable_nn.networks import Network
from portable_nn.optimizers import Optimizer
from portable_nn.training.history import History

__all__ = ["Callback", "Training", "overrides"]


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
