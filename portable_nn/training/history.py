"""What a training run recorded: one value an epoch for each quantity."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from portable_nn.errors import MissingExtraError

__all__ = ["History"]

_DRAWN = ("loss", "accuracy")


class History(Mapping[str, list[float]]):
    """Lists by name, one value an epoch: `loss`, `lr`, `seconds`, and with validation data `val_loss`, `val_accuracy`.

    Losses by output add their own: `kind_loss`, `val_kind_loss`, `val_kind_accuracy`.

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
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self._values.items())
        return f"History({len(self._values.get('loss', []))} epochs{', last ' + last if last else ''})"

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the loss, and beside it the accuracy where there is one, against the epochs.

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
        quantities = [name for name in _DRAWN if name in self or f"val_{name}" in self]
        by_output = (name.removeprefix("val_") for name in self if name.endswith(("_loss", "_accuracy")))
        quantities = list(dict.fromkeys([*quantities, *by_output]))
        figure: Any = Figure(figsize=(4.8 * len(quantities), 3.6), layout="constrained")
        for axes, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
            self._draw(axes, quantity)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if path is not None:
            figure.savefig(Path(path), dpi=150)
        return figure

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
            axes.axvline(self.best_epoch, color="0.6", lw=0.8, ls=":", label="best epoch")
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity.replace("_", " "))
        axes.grid(visible=True, color="0.9", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.legend(frameon=False)
