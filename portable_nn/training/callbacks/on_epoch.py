"""A function as a callback."""

from collections.abc import Callable
from typing import Any

from portable_nn.training.callbacks.callback import Callback, Training

__all__ = ["OnEpoch"]


class OnEpoch(Callback):
    """Calls a function after every epoch, as `Callback.on_epoch` is: function(trainer, epoch, record).

    For all else, and for what is to be remembered when a run is resumed, write a `Callback`.

    Parameters
    ----------
    function : function of a trainer, the number of the epoch, from 1, and its record
        It may add to the record. What it returns means nothing. pickle knows functions by name alone, so a trainer's
        copy in another process needs one with a name (or cloudpickle).

    Raises
    ------
    TypeError
        If it cannot be called.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> def norm(trainer, epoch, record):
    ...     record["norm"] = float((trainer.network.parameters["0.W"] ** 2).sum() ** 0.5)
    >>> history = pnn.Trainer(net).fit(x, t, epochs=3, callbacks=[pnn.OnEpoch(norm)], progress=False)
    >>> len(history["norm"])
    3
    """

    def __init__(self, function: Callable[[Any, int, dict[str, float]], object]):
        if not callable(function):
            raise TypeError(f"OnEpoch needs a function of a trainer, an epoch and its record, got {function!r}")
        self.function = function

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Call the function."""
        self.function(trainer, epoch, record)
