"""A table of the epochs as a file."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from portable_nn.storage import PathLike
from portable_nn.storage.arrays import replace
from portable_nn.training.callbacks.callback import Callback, Training

__all__ = ["CSVLog"]

_NUMBER = "epoch"


class CSVLog(Callback):
    """Writes a table of the epochs as CSV: a row an epoch, a column for each value in the history.

    A row is written in one go when its epoch ends, so a table is whole whenever it is read. The first epoch of a run
    replaces what an earlier run has written; a run that is resumed, and another `fit` of the same trainer, keep the
    rows of the epochs before theirs. A value that comes later, from a callback, say, gets a column, which is empty in
    the rows before.

    Parameters
    ----------
    path : path
        "log.csv", say. Its folder is made.

    Raises
    ------
    ValueError
        If there is a file that is no such table. It is left as it is.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "log.csv")
    >>> _ = pnn.Trainer(net).fit(x, t, epochs=3, validation_data=test, callbacks=[pnn.CSVLog(path)], progress=False)
    >>> header, *rows = path.read_text().splitlines()
    >>> header
    'epoch,loss,val_loss,val_accuracy,lr,seconds'
    >>> [row.split(",")[0] for row in rows]
    ['1', '2', '3']
    """

    def __init__(self, path: PathLike):
        self.path = Path(path)
        self._columns: list[str] = []

    def on_start(self, trainer: Training) -> None:
        """See whether the file is one to write to."""
        self._columns = []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.is_dir():
            raise IsADirectoryError(f"CSVLog needs the path of a file, got the folder {self.path}")
        self._read()

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Write a row, and the table anew where it may have other rows or columns than it should."""
        row: dict[str, Any] = {_NUMBER: trainer.epochs, **record}
        if {*row} <= {*self._columns} and self.path.exists():
            with self.path.open("ab", buffering=0) as file:  # one write: a kill comes before or after it
                file.write(_text(self._columns, [row]))
            return
        columns, rows = self._read()
        kept = [old for old in rows if int(old[_NUMBER]) < trainer.epochs]
        self._columns = list(dict.fromkeys([*(columns if kept else []), *row]))
        replace(self.path, _text(self._columns, [dict(zip(self._columns, self._columns, strict=True)), *kept, row]))

    def _read(self) -> tuple[Sequence[str], list[dict[str, str]]]:
        """Return the columns and the rows that are there."""
        if not self.path.is_file():
            return [], []
        text = self.path.read_text(encoding="utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1]  # what comes behind was cut short, by a power cut, say
        reader = csv.DictReader(io.StringIO(whole))
        rows, columns = list(reader), reader.fieldnames or []
        if text and (columns[:1] != [_NUMBER] or not all(row[_NUMBER].isdecimal() for row in rows)):
            raise ValueError(f"CSVLog would replace {self.path}, which is no table of epochs: take another path")
        return columns, rows


def _text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore").writerows(rows)
    return text.getvalue().encode()
