"""Files of the network as it is at some epochs; what a run needs to go on is in checkpoints: `Trainer.fit`."""

import math
import string
from pathlib import Path
from typing import Any

from portable_nn.networks import Network
from portable_nn.storage import PathLike
from portable_nn.storage.fingerprints import can_be_said
from portable_nn.storage.networks import describe
from portable_nn.training.callbacks.callback import Callback, Training
from portable_nn.training.callbacks.monitoring import Mode, Monitoring
from portable_nn.training.samples import whole

__all__ = ["SaveBest", "SaveEvery"]


class SaveBest(Monitoring):
    """Saves the network after each epoch that is the best so far, for `pnn.load`: with EMA or SWA, their average.

    The file is replaced whole or not at all, and its folder is made. A run that is resumed remembers the best epoch.

    Parameters
    ----------
    path : path
        "net.safetensors", say.
    monitor : str
        A name in the history; "val_loss" by default.
    mode : "min" or "max", optional
        Whether smaller or larger is better; needed where the name does not tell, as in `EarlyStopping`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, the mode is needed, there is nothing to monitor, or no file can hold the
        network.
    OSError
        If it cannot be written. The file before is still there.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> from tempfile import mkdtemp
    >>> path = mkdtemp() + "/best.safetensors"
    >>> save = pnn.SaveBest(path, monitor="val_accuracy")
    >>> history = pnn.Trainer(net).fit(x, t, epochs=3, validation_data=test, callbacks=[save], progress=False)
    >>> float(pnn.load(path).accuracy(*test)) == max(history["val_accuracy"])
    True
    """

    def __init__(self, path: PathLike, monitor: str = "val_loss", *, mode: Mode | None = None):
        super().__init__(monitor, mode)
        self.path = Path(path)
        self.best = math.inf

    def on_start(self, trainer: Training) -> None:
        """Forget the last run; see that the network can be saved, and that there is something to monitor."""
        super().on_start(trainer)
        _check(self, trainer.network)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.best = math.inf

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Save the network if it is the best so far."""
        value = self.value(record)
        if value < self.best:
            trainer.network.save(self.path)
            self.best = value

    def state(self) -> tuple[Any, list[Any]]:
        """Return the best value."""
        return self.best, []

    def restore(self, trainer: Training, numbers: Any, arrays: list[Any]) -> None:
        """Take it up again."""
        self.best = numbers


class SaveEvery(Callback):
    """Saves the network every few epochs, for `pnn.load`: with EMA or SWA, their average.

    Parameters
    ----------
    path : path
        In which {epoch}, or a name in the history, stands for its value, as in `str.format`:
        "runs/{epoch:03}-{val_loss:.2f}.safetensors". The epoch is that of all calls of `fit`. Without any, each file
        replaces the one before, whole or not at all. Folders are made.
    epochs : int
        From one file to the next.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, the path names what the history has not, or no file can hold the network.
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> from tempfile import mkdtemp
    >>> folder = mkdtemp()
    >>> save = pnn.SaveEvery(folder + "/{epoch:02}.safetensors", epochs=2)
    >>> _ = pnn.Trainer(net).fit(x, t, epochs=5, callbacks=[save], progress=False)
    >>> import os
    >>> sorted(os.listdir(folder))
    ['02.safetensors', '04.safetensors']
    """

    def __init__(self, path: PathLike, epochs: int = 1):
        self.path, self.epochs = Path(path), whole("epochs", epochs, 1, "SaveEvery")
        try:
            list(string.Formatter().parse(str(self.path)))
        except ValueError as error:
            raise ValueError(f"SaveEvery needs a path for str.format, got {str(path)!r}: {error}") from None

    def on_start(self, trainer: Training) -> None:
        """See that the network can be saved."""
        _check(self, trainer.network)

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Save the network if it is time for it."""
        values: dict[str, Any] = {**record, "epoch": trainer.epochs}
        try:
            path = Path(str(self.path).format(**values))  # also where it is not time yet: an error is to come soon
        except (LookupError, ValueError, AttributeError) as error:
            raise ValueError(
                f"SaveEvery cannot make a name of {str(self.path)!r}: there are {', '.join(values)}"
            ) from error
        if trainer.epochs % self.epochs == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            trainer.network.save(path)


def _check(watcher: Callback, network: Network) -> None:
    """Raise TypeError or NotImplementedError if no file can hold the network."""
    if not can_be_said(describe(network)):
        name = type(watcher).__name__
        raise TypeError(f"{name} cannot save the network: it has options that JSON cannot say, functions, for example")
