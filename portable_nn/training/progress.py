"""Progress: a bar over samples, with losses and metrics, in a terminal or a notebook; elsewhere a line an epoch."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Self

__all__ = ["Progress"]

_SHOWN = ("loss", "val_loss", "val_accuracy")
_SHOWN_BY_OUTPUT = ("_loss", "_accuracy")


class Progress:
    """What is shown of a run on stderr.

    Parameters
    ----------
    total : int or None
        How many samples there will be, if that is known.
    shown : bool
        If not, nothing is imported and nothing happens.
    """

    def __init__(self, total: int | None, *, shown: bool):
        self._shown = {*_SHOWN}
        self._bar: Any = None
        self._values: dict[str, str] = {}
        self._title = ""
        self._writes_lines = shown and not _can_draw()
        if shown and not self._writes_lines:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, unit=" samples", unit_scale=True, dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def add_metrics(self, names: Iterable[str]) -> None:
        """Show values of these names, too, of training and with "val_", as far as they are single numbers."""
        self._shown.update(f"{part}{name}" for name in names for part in ("", "val_"))

    def begin(self, title: str, total: int | None = None) -> None:
        """Show `title` before the bar, which may know the total only now, or before the line of the epoch."""
        self._title = title
        if self._bar is not None:
            self._bar.total = total or self._bar.total
            self._bar.set_description(title, refresh=False)

    def place(self, samples: int) -> None:
        """Stand at as many samples, which were done before or are given up; they do not count as speed."""
        if self._bar is not None and samples != self._bar.n:
            self._bar.initial += samples - self._bar.n
            self._bar.n = self._bar.last_print_n = samples

    def advance(self, samples: int) -> None:
        """Move on by as many samples."""
        if self._bar is not None:
            self._bar.update(samples)

    def show(self, values: Mapping[str, float]) -> None:
        """Show these values behind the bar, beside those of the epoch before that they do not replace."""
        if self._bar is not None:
            self._values |= self._said(values)
            self._bar.set_postfix(self._values, refresh=False)

    def end_epoch(self, record: Mapping[str, float]) -> None:
        """Show what an epoch has come to, behind the bar or on a line."""
        self.show(record)
        if self._writes_lines and sys.stderr is not None:
            values = ", ".join(f"{name}={value}" for name, value in self._said(record).items())
            sys.stderr.write(f"{self._title}: {values}, {record['seconds']:.3g} s\n")
            sys.stderr.flush()

    def _said(self, values: Mapping[str, Any]) -> dict[str, str]:
        names = [name for name in values if name in self._shown or name.endswith(_SHOWN_BY_OUTPUT)]
        # A metric may be a matrix, or whatever somebody's function returns.
        return {name: f"{float(values[name]):.4f}" for name in names if _is_number(values[name])}


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not getattr(value, "shape", ())


def _can_draw() -> bool:
    """Tell whether a bar can be drawn again and again: in a terminal, or in a notebook, where stderr is none."""
    return getattr(sys.stderr, "isatty", bool)() or "ipykernel" in sys.modules
