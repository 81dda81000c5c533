"""A table of the epochs on stdout."""

import math
import sys
from collections.abc import Mapping
from typing import Any

from portable_nn.metrics.direction import Mode, better
from portable_nn.training.callbacks.callback import Callback, Training

__all__ = ["PrintLog"]

_WIDTH = 9
"""Of a column, at least: what four digits need, with sign and exponent."""


class PrintLog(Callback):
    """Prints a table of the epochs: a row an epoch, a column for each value in the history, as skorch does.

    A star marks what is the best so far, where a name or a metric tells whether smaller or larger is better. It needs
    no terminal. Pass `progress=False` with it: the table takes the place of the bar, or stands above it.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> _ = pnn.Trainer(net).fit(
    ...     x, t, epochs=2, validation_data=test, callbacks=[pnn.PrintLog()], progress=False
    ... )  # doctest: +ELLIPSIS
    epoch       loss    val_loss   val_accuracy          lr     seconds
        1      2.297*      2.068*        0.3510*   0.001000  ...
        2      1.863*      1.641*        0.6490*   0.001000  ...
    """

    def on_start(self, trainer: Training) -> None:
        """Begin a new table."""
        self._columns: list[str] = []

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Print a row, and above it the names of the columns where they are new."""
        if list(record) != self._columns:
            self._columns = list(record)
            _print("epoch" + "".join(f"  {name:>{_WIDTH}} " for name in record))
        cells = [f"{_number(value)}{_mark(name, value, trainer)}" for name, value in record.items()]
        aligned = [f"  {cell:>{max(len(name), _WIDTH) + 1}}" for name, cell in zip(record, cells, strict=True)]
        _print(f"{trainer.epochs:5}" + "".join(aligned))


def _number(value: Any) -> str:
    return f"{value:#.4g}" if isinstance(value, float) else str(value)


def _mark(name: str, value: Any, trainer: Training) -> str:
    """Return a star if no value in the history is as good, else a blank."""
    known: Mapping[str, Mode] = getattr(trainer, "better", {})
    mode = better(name) or known.get(name.removeprefix("val_"))
    if mode is None or math.isnan(value):
        return " "
    earlier = trainer.history.get(name, [])
    return " " if any(old <= value if mode == "min" else old >= value for old in earlier) else "*"


def _print(line: str) -> None:
    """Print a line at once, above a bar if there is one."""
    from tqdm import tqdm

    tqdm.write(line.rstrip(), file=sys.stdout)
    sys.stdout.flush()
