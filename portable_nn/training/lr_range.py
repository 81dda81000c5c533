"""The learning-rate range test: which rates let a loss fall."""

import copy
import math
import os
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from portable_nn.arrays import overflow_unreported
from portable_nn.errors import MissingExtraError
from portable_nn.schedules import Exponential
from portable_nn.training.base_step import TrainingStep
from portable_nn.training.batches import Batches
from portable_nn.training.intake import to_train
from portable_nn.training.progress import Progress
from portable_nn.training.samples import whole
from portable_nn.training.threads import threads_for
from portable_nn.training.trainer import Trainer

__all__ = ["LRRange", "lr_range_test"]

_MEMORY = 0.9
"""Of the running mean that ends the test: a tenth of it is new at each step."""
_FIRST = 10
"""From how many losses on that mean is one: where a class is rare, the loss of one batch may be any number."""
_TOO_MUCH = 3.0
"""How many times its lowest value, or all that it had fallen, it may rise above that."""
_SHARE = 8
"""Of how many the losses to one side of a step make one, in the smoothed curve: fewer would follow noise."""


class LRRange:
    """The losses that training had at rates which rise.

    Attributes
    ----------
    lrs, losses : list of float
        Step by step; the loss of a batch before its update at that rate.
    smoothed : list of float
        Means of the losses around each step.
    suggestion : float
        The rate at which the smoothed loss fell fastest, against the logarithm of the rate: a good first one to try.
        NaN if it never fell.
    """

    def __init__(self, lrs: list[float], losses: list[float]):
        self.lrs, self.losses = lrs, losses
        self.smoothed, reach = _smoothed(losses)
        self.suggestion = _suggestion(lrs, self.smoothed, reach)

    def __repr__(self) -> str:
        span = f"{len(self.lrs)} steps from {self.lrs[0]:.3g} to {self.lrs[-1]:.3g}"
        return f"LRRange({span}, suggestion={self.suggestion:.3g})"

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the losses against the rates, and mark the suggestion.

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
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingExtraError.of("matplotlib", "plot", "a picture of the rates") from None
        figure: Any = Figure(figsize=(6.4, 3.9), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.lrs, self.losses, color="#1f77b4", alpha=0.3, lw=0.9, label="loss of a batch")
        axes.plot(self.lrs, self.smoothed, color="#1f77b4", lw=1.8, label="smoothed")
        if math.isfinite(self.suggestion):
            height = self.smoothed[self.lrs.index(self.suggestion)]
            axes.axvline(self.suggestion, color="0.6", lw=0.8, ls=":")
            label = f"suggestion: {self.suggestion:.2g}"
            axes.plot([self.suggestion], [height], "o", color="#d95f02", ms=7, label=label)
        low, high = min(self.smoothed), max(self.smoothed[0], sorted(self.losses)[len(self.losses) * 9 // 10])
        axes.set_ylim(low - 0.15 * (high - low), high + 0.15 * (high - low))
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.grid(visible=True, color="0.9", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.legend(frameon=False)
        if path is not None:
            figure.savefig(Path(path), dpi=150)
        return figure


def lr_range_test(
    trainer: Trainer,
    x: Any,
    t: Any = None,
    *,
    sample_weight: Any = None,
    start: float = 1e-6,
    end: float = 10.0,
    steps: int = 150,
    batch_size: int = 32,
    progress: bool = True,
) -> LRRange:
    """Train a copy of the network for some steps, at rates that rise from `start` to `end`, and return the losses.

    The rate is multiplied by the same factor at each step. The test ends early when the loss, smoothed, has risen by
    more than three times all that it had fallen, and three times its lowest, in the tenth step at the earliest, or is
    not finite. The trainer, its network and its optimizer stay as they are; the optimizer's rate takes no part. Smith
    (WACV 2017, arXiv 1506.01186), section 3.3.

    Parameters
    ----------
    trainer : Trainer
    x, t, sample_weight : arrays, or mappings of names to arrays
        As for `Trainer.fit`; also an iterable of batches without t.
    start, end : float
    steps : int
        As many updates at most; the data are gone through again where they are fewer.
    batch_size : int
        That of the training to come: a good rate depends on it.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    ShapeError, DTypeError, LabelError, NamespaceError, TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> found = pnn.lr_range_test(pnn.Trainer(net, pnn.Adam()), x, t, progress=False)
    >>> 1e-4 < found.suggestion < 1e-1
    True
    >>> _ = pnn.Trainer(net, pnn.Adam(found.suggestion)).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True

    `found.plot("rates.png")` draws it.
    """
    if not isinstance(trainer, Trainer):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not typed)
        raise TypeError(f"lr_range_test needs a Trainer, got {trainer!r}")
    if not 0 < start < end < math.inf:
        raise ValueError(f"lr_range_test needs 0 < start < end, both finite, got {start} and {end}")
    steps, batch_size = whole("steps", steps, 2, "lr_range_test"), whole("batch_size", batch_size, 1, "lr_range_test")
    mine = copy.deepcopy(trainer)
    data, options = (x, t, sample_weight, None, 0.0), {"again": True, "shuffle": True, "pad": mine.pad}
    batches, _ = to_train(mine.network, *data, batch_size=batch_size, **options)
    mine.network.criterion.before_training(batches.targets)
    optimizer, done = mine.optimizer, mine.optimizer.steps
    rates = Exponential(start, every=steps - 1, factor=end / start)
    optimizer.lr_scale = 1.0
    optimizer.lr = lambda step: rates(step - done)
    rows = batches.rows_at_once if isinstance(batches, Batches) else math.inf
    bar = Progress(steps * batch_size, shown=progress)
    with bar, overflow_unreported(), threads_for(mine.network, rows, mine.threads):
        bar.begin("learning rates")
        losses = _losses(mine, mine.new_step(), batches, steps, bar, batch_size)
    return LRRange([rates(step) for step in range(len(losses))], losses)


class _Enough(Exception):  # noqa: N818  (it is no error)
    """Ends the test."""


def _losses(trainer: Trainer, step: TrainingStep, batches: Any, steps: int, bar: Progress, rows: int) -> list[float]:
    """Return the losses of so many steps, or of fewer if they blow up."""
    losses: list[float] = []
    first, lowest, mean = math.nan, math.inf, 0.0

    def after_batch(number: int, record: Mapping[str, Any]) -> None:
        nonlocal first, lowest, mean
        losses.append(float(record["loss"]))
        mean = _MEMORY * mean + (1.0 - _MEMORY) * losses[-1]
        unbiased = mean / (1.0 - _MEMORY ** len(losses))
        bar.advance(rows)
        if len(losses) == _FIRST:
            first = unbiased
        if len(losses) >= _FIRST:
            lowest = min(lowest, unbiased)
        too_much = unbiased - lowest > _TOO_MUCH * max(abs(lowest), first - lowest)
        if len(losses) == steps or not math.isfinite(unbiased) or too_much:
            raise _Enough

    step.after_batch = after_batch
    with suppress(_Enough):
        while True:
            before = len(losses)
            trainer.epochs += 1
            trainer.optimizer.begin_epoch(trainer.epochs)
            with closing(step.over(batches, trainer.epochs)) as running:
                for _ in running:
                    pass
            if batches.error is not None:
                raise batches.error
            if len(losses) == before:
                raise ValueError("lr_range_test needs at least one batch, got none")
    return losses if math.isfinite(losses[-1]) else losses[:-1] or losses


def _smoothed(losses: list[float]) -> tuple[list[float], int]:
    """Return the means of the losses around each step, and how far they reach: no later than those on its right."""
    reach = max(1, len(losses) // _SHARE)
    windows = (losses[max(0, i - reach) : i + reach + 1] for i in range(len(losses)))
    return [sum(window) / len(window) for window in windows], reach


def _suggestion(lrs: list[float], smoothed: list[float], reach: int) -> float:
    """Return the rate before the lowest loss where the loss falls fastest, step by step; NaN if it does not fall."""
    lowest = smoothed.index(min(smoothed))
    last = len(smoothed) - 1
    slopes = [(smoothed[min(i + reach, last)] - smoothed[max(i - reach, 0)], lr) for i, lr in enumerate(lrs[:lowest])]
    steepest, lr = min(slopes, default=(0.0, math.nan))
    return lr if steepest < 0 else math.nan
