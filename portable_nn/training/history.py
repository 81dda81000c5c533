"""What a training run recorded: one value an epoch for each quantity."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from portable_nn.errors import MissingExtraError

__all__ = ["History"]

_NOT_DRAWN = ("lr", "seconds")

_ACROSS = 3
"""Quantities in a row of a picture."""


class History(Mapping[str, list[float]]):
    """Lists by name, one value an epoch: `loss`, `lr`, `seconds`, and with validation data `val_loss`, `val_accuracy`.

    Metrics of the trainer are there by their names, `f1` and `val_f1`. Losses by output add their own, and metrics are
    there by output: `kind_loss`, `val_kind_loss`, `val_kind_accuracy`.

    Attributes
    ----------
    stopped : str
        Why training ended before the last epoch; empty if it did not.
    best_epoch : int or None
        The number, from 1, of the epoch whose weights were restored, if any were.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}
        self.stopped = ""
        self.best_epoch: int | None = None

    def append(self, record: Mapping[str, float]) -> None:
        """Add the values of one epoch."""
        for name, value in record.items():
            self._values.setdefault(name, []).append(value)

    def state(self) -> dict[str, list[float]]:
        """Return all values, for a checkpoint."""
        return {name: list(values) for name, values in self._values.items()}

    def restore(self, values: Mapping[str, list[float]]) -> None:
        """Take up again what `state` returned."""
        self._values = {name: list(column) for name, column in values.items()}

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._values:
            raise KeyError(f"there is no {name!r} in this history; there are {', '.join(self._values) or 'no epochs'}")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        numbers = {name: values[-1] for name, values in self._values.items() if _is_number(values[-1])}
        last = ", ".join(f"{name}={value:.4g}" for name, value in numbers.items())
        return f"History({len(self._values.get('loss', []))} epochs{', last ' + last if last else ''})"

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the loss, and beside it each other quantity, in training and with "val_", against the epochs.

        Those are metrics, and what callbacks have added; not the learning rate, the seconds, or what is no number.

        Parameters
        ----------
        path : path, optional
            Where to write the picture; its ending says the format (png, svg, pdf).

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.
        ValueError
            If no epoch was recorded.
        """
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError:
            raise MissingExtraError.of("matplotlib", "plot", "a picture of the history") from None
        if not self._values:
            raise ValueError("a picture needs at least one epoch, the history has none")
        quantities = self._quantities()
        columns = 2 if len(quantities) == 4 else min(len(quantities), _ACROSS)
        rows = -(-len(quantities) // columns)
        figure: Any = Figure(figsize=(4.4 * columns, 3.4 * rows), layout="constrained")
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, quantity in zip(panels, quantities, strict=False):
            self._draw(axes, quantity)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        for axes in panels[len(quantities) :]:
            figure.delaxes(axes)
        if path is not None:
            figure.savefig(Path(path), dpi=150)
        return figure

    def _quantities(self) -> list[str]:
        """Return what is drawn, the loss first, then the losses of outputs."""
        names = list(dict.fromkeys(name.removeprefix("val_") for name in self if name not in _NOT_DRAWN))
        drawn = [name for name in names if all(map(_is_number, self.get(name) or self.get(f"val_{name}", [])))]
        return sorted(drawn, key=lambda name: (name != "loss", not name.endswith("_loss")))

    def _draw(self, axes: Any, quantity: str) -> None:
        for name, label, color, style in (
            (quantity, "training", "#1f77b4", "-"),
            (f"val_{quantity}", "validation", "#d95f02", "--"),
        ):
            if name in self:
                values = self[name]
                marker = "o" if len(values) <= 20 else ""
                axes.plot(range(1, len(values) + 1), values, style, color=color, label=label, marker=marker, ms=3.5)
        if self.best_epoch is not None:
            axes.axvline(self.best_epoch, color="0.6", lw=0.8, ls=":", label=f"best epoch: {self.best_epoch}")
        axes.set_xlabel("epoch")
        axes.set_title(quantity.replace("_", " "))
        axes.grid(visible=True, color="0.9", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.legend(frameon=False)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) or hasattr(value, "__float__")
