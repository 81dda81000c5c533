"""A limit to the time that a run takes."""

import math
import time

from portable_nn.training.callbacks.callback import Callback, Training

__all__ = ["TimeLimit"]


class TimeLimit(Callback):
    """Ends training after the epoch in which so many seconds have passed since it began.

    A run that is resumed has as much time again: the limit is one of a process, not of the run.

    Parameters
    ----------
    seconds : float
        More than 0.

    Raises
    ------
    ValueError
        If it is not.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> pnn.Trainer(net).fit(x, t, epochs=10**6, callbacks=[pnn.TimeLimit(0.1)], progress=False).stopped
    'the time limit of 0.1 s is over'
    """

    def __init__(self, seconds: float):
        # Callers may pass anything, whatever is declared.
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_number or not 0 < seconds <= math.inf:
            raise ValueError(f"TimeLimit needs a number of seconds above 0, got {seconds!r}")
        self.seconds = seconds

    def on_start(self, trainer: Training) -> None:
        """Look at the clock."""
        self._began = time.monotonic()

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Look again."""
        if time.monotonic() - self._began >= self.seconds:
            trainer.stop(f"the time limit of {self.seconds:g} s is over")
