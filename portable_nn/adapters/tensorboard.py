"""Training runs in TensorBoard, by the package tensorboardX (extra "tensorboard")."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from portable_nn.arrays import to_numpy
from portable_nn.errors import MissingExtraError
from portable_nn.storage import PathLike
from portable_nn.training import Callback, Training
from portable_nn.training.samples import whole

try:
    import tensorboardX
except ImportError:
    raise MissingExtraError.of("tensorboardX", "tensorboard", "TensorBoard") from None

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Writes each epoch's values, "loss", "val_loss", "lr" and what else is in its record, for TensorBoard to draw.

    They stand over the number of updates made, and "epoch" tells which epoch that was. `tensorboard --logdir runs`
    shows all runs in folders below "runs". A run that is resumed goes on in its folder: TensorBoard hides what the
    process before had written of the same updates; a new run in the folder hides the old one.

    Parameters
    ----------
    folder : path
        Of this run; it is made.
    every : int, optional
        Also writes, as "batch/loss" and "batch/lr", the values of every so many updates; each waits for the device.
    histograms : bool
        Whether to write those of all parameters after every epoch, as "0.W".

    Raises
    ------
    MissingExtraError
        By the import of this module, if tensorboardX is not installed.
    ValueError
        If `every` is no whole number of at least 1.
    OSError
        If the folder cannot be written.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> from portable_nn.adapters.tensorboard import TensorBoard
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> from tempfile import mkdtemp
    >>> folder = mkdtemp()
    >>> watch = TensorBoard(folder, every=10)
    >>> _ = pnn.Trainer(net).fit(x, t, epochs=2, validation_data=test, callbacks=[watch], progress=False)
    >>> import os
    >>> [name.split(".")[0] for name in os.listdir(folder)]
    ['events']
    """

    def __init__(self, folder: PathLike, *, every: int | None = None, histograms: bool = False):
        self.folder, self.histograms = Path(folder), histograms
        self.every = None if every is None else whole("every", every, 1, "TensorBoard")
        self._writer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_writer": None}  # which has a file and a thread

    def on_start(self, trainer: Training) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_batch(self, trainer: Training, step: int, record: dict[str, Any]) -> None:
        """Write the values of every so many updates."""
        if self.every is not None and trainer.optimizer.steps % self.every == 0:
            values = record | {"lr": trainer.optimizer.lr}
            self._write(trainer, {f"batch/{name}": value for name, value in values.items()})

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Write the values of the epoch."""
        self._write(trainer, record | {"epoch": trainer.epochs})
        if self.histograms:
            for name, array in trainer.network.parameters.items():
                values = np.asarray(to_numpy(array), dtype="float64")
                self._writer.add_histogram(name, values, trainer.optimizer.steps)
        self._writer.flush()

    def on_end(self, trainer: Training) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, trainer: Training, values: dict[str, Any]) -> None:
        steps = trainer.optimizer.steps
        if self._writer is None:
            # Names have only seconds: a second call of partial_fit would write over the file of the first.
            suffix = f".{time.time_ns()}"
            self._writer = tensorboardX.SummaryWriter(str(self.folder), purge_step=steps, filename_suffix=suffix)
        for name, value in values.items():
            self._writer.add_scalar(name, float(value), steps)
