"""Averages of the weights over a run, which are often better than the last ones."""

from collections.abc import Mapping
from typing import Any

from portable_nn.arrays import copies
from portable_nn.optimizers.checks import in_range
from portable_nn.training.callbacks.callback import Callback, Training
from portable_nn.training.samples import whole

__all__ = ["EMA", "SWA"]


class _Average(Callback):
    """An average a of the weights w, states among them, which the network has to validate, to save, and in the end.

    The next call of `fit` goes on with the weights of training, unless the network's were changed, and with a new
    average.
    """

    _average: list[Any]

    def on_start(self, trainer: Training) -> None:
        """Forget the average of the last run."""
        self._average = []

    def evaluation_weights(self, trainer: Training) -> Mapping[str, Any] | None:
        """Return the average by name, None as long as there is none."""
        return self._named(trainer, self._average)

    def _named(self, trainer: Training, average: list[Any]) -> Mapping[str, Any] | None:
        return dict(zip(trainer.network.sharing.names, average, strict=True)) if average else None

    def _towards(self, trainer: Training, share: float) -> list[Any]:
        """Return a + share (w - a), or copies of w where there is no average yet."""
        arrays = trainer.network.arrays()
        if not self._average:
            return copies(arrays)
        return [a * (1.0 - share) + w * share for a, w in zip(self._average, arrays, strict=True)]

    def restore(self, trainer: Training, numbers: Any, arrays: list[Any]) -> None:
        """Take up the average again."""
        self._average = [trainer.network.place.asarray(array) for array in arrays]


class EMA(_Average):
    """An exponential moving average of the weights, a = decay a + (1 - decay) w after every update.

    It begins with the weights after the first update. The network has it while it validates, in checkpoints
    ("best.safetensors" among them), for other callbacks at the end of an epoch, and when training ends; between them it
    trains with its own weights. Polyak and Juditsky, SIAM J. Control Optim. 30 (1992); with this decay Kingma and Ba
    (ICLR 2015), section 7.2.

    Parameters
    ----------
    decay : float
        In [0, 1): about 1 / (1 - decay) updates count.

    Raises
    ------
    ValueError
        If it is not.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> _ = pnn.Trainer(net, pnn.Adam(3e-3)).fit(x, t, epochs=8, callbacks=[pnn.EMA(decay=0.98)], progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    def __init__(self, decay: float = 0.999):
        self.decay = in_range("decay", decay, 0.0, 1.0)

    def on_batch(self, trainer: Training, step: int, record: dict[str, Any]) -> None:
        """Let the average follow the weights."""
        self._average = self._towards(trainer, 1.0 - self.decay)

    def state(self) -> tuple[Any, list[Any]]:
        """Return the average."""
        return None, self._average


class SWA(_Average):
    """The mean of the weights at the ends of the epochs from `start` on: a = a + (w - a) / n at the n-th of them.

    The network has it while it validates, in checkpoints ("best.safetensors" among them), for other callbacks at the
    end of an epoch, and when training ends; if that is within an epoch, its weights so far count as well. Izmailov et
    al. (UAI 2018), algorithm 1. It wants a learning rate that does not become small.

    Parameters
    ----------
    start : int
        The first epoch that counts, from 1; of this call of `fit`.

    Raises
    ------
    ValueError
        If it is no whole number of at least 1.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> _ = pnn.Trainer(net, pnn.Adam(3e-3)).fit(x, t, epochs=8, callbacks=[pnn.SWA(start=5)], progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    def __init__(self, start: int):
        self.start = whole("start", start, 1, "SWA")

    def on_start(self, trainer: Training) -> None:
        """Forget the average of the last run."""
        super().on_start(trainer)
        self._begun, self._done, self._count = trainer.epochs, trainer.epochs, 0
        self._next: list[Any] = []

    def evaluation_weights(self, trainer: Training) -> Mapping[str, Any] | None:
        """Return the average, with the weights of the running epoch in it."""
        if self._done == trainer.epochs or trainer.epochs - self._begun < self.start:
            return super().evaluation_weights(trainer)
        self._next = self._towards(trainer, 1.0 / (self._count + 1))
        return self._named(trainer, self._next)

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Count the weights of the epoch, of which the average was asked for when its steps were done."""
        self._done = trainer.epochs
        if trainer.epochs - self._begun >= self.start:
            self._average, self._count = self._next, self._count + 1

    def state(self) -> tuple[Any, list[Any]]:
        """Return the average, and of how many epochs it is."""
        return [self._begun, self._done, self._count], self._average

    def restore(self, trainer: Training, numbers: Any, arrays: list[Any]) -> None:
        """Take these up again."""
        super().restore(trainer, numbers, arrays)
        self._begun, self._done, self._count = numbers
