"""The training loop."""

import math
import time
from collections.abc import Iterable
from typing import Any

from portable_nn import random
from portable_nn.arrays import Array, overflow_unreported
from portable_nn.errors import DivergenceError, ShapeError
from portable_nn.networks import Network
from portable_nn.optimizers import Adam, Optimizer
from portable_nn.schedules import ReduceOnPlateau
from portable_nn.training.batches import Batches, take
from portable_nn.training.callbacks import Callback
from portable_nn.training.history import History
from portable_nn.training.interruption import Interruption
from portable_nn.training.metrics import combine, evaluate, predict
from portable_nn.training.progress import Progress
from portable_nn.training.step import TrainingStep

__all__ = ["Trainer"]

_LOOK_EVERY = 50
"""Steps between two looks at the loss; each look waits for the device."""


class Trainer:
    """Trains a network with an optimizer.

    Parameters
    ----------
    network : Network
        With a loss. It is trained in place.
    optimizer : Optimizer, optional
        Adam with its defaults.

    Attributes
    ----------
    history : History
        Of the last or the running `fit`.
    epochs : int
        How many epochs were begun, over all calls of `fit`; the order of the samples depends on it.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> history = pnn.Trainer(net, pnn.Adam(lr=3e-3)).fit(x, t, epochs=5, validation_data=test, progress=False)
    >>> history["val_accuracy"][-1] > 0.9
    True
    """

    def __init__(self, network: Network, optimizer: Optimizer | None = None):
        self.network = network
        self.optimizer = Adam() if optimizer is None else optimizer
        self.history = History()
        self.epochs = 0

    def fit(
        self,
        x: Array,
        t: Array,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation_data: tuple[Array, Array] | None = None,
        validation_split: float = 0.0,
        sample_weight: Array | None = None,
        shuffle: bool = True,
        progress: bool = True,
        callbacks: Iterable[Callback] = (),
    ) -> History:
        """Train on every sample once an epoch, and return what was recorded.

        Ctrl-C ends training after the running step, without an error; a second Ctrl-C ends it at once.

        Parameters
        ----------
        x : array of shape (N, ...)
            Of the network's namespace and device, or NumPy's; moved and cast batch by batch.
        t : array
            Targets as the loss needs them.
        epochs : int
        batch_size : int
            The last batch of an epoch may be smaller.
        validation_data : (x, t), optional
            Evaluated after every epoch.
        validation_split : float
            Instead: the share of the samples, chosen by the network's seed, that is kept for this and not trained on.
        sample_weight : array of shape (N,), optional
        shuffle : bool
            Whether the samples come in a new order every epoch.
        progress : bool
            Whether to show a bar with loss, metric and samples a second.
        callbacks : Callbacks, optional

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError, ValueError
            If an argument does not fit. Nothing is changed then.
        DivergenceError
            If the loss becomes NaN or infinite. The network then has its weights from the start of that epoch, or the
            best ones if EarlyStopping keeps them.
        """
        _check_numbers(epochs, batch_size, validation_split, both=validation_data is not None and validation_split > 0)
        data = _checked(self.network, x, t, sample_weight)
        validation = None if validation_data is None else _checked(self.network, *validation_data)[:2]
        if validation_split:
            data, validation = _split(data, validation_split, self.network.seed)
        batches = Batches(data, batch_size, shuffle=shuffle, seed=self.network.seed)
        self.history = History()
        watchers = list(callbacks)
        for watcher in watchers:
            watcher.on_start(self)
        bar = Progress(epochs * batches.samples, shown=progress)
        with Interruption() as interruption, bar, overflow_unreported():
            step = TrainingStep(self.network, self.optimizer)
            for epoch in range(1, epochs + 1):
                bar.begin(f"epoch {epoch}/{epochs}")
                started = time.perf_counter()
                loss = self._epoch(step, batches, bar, interruption, watchers)
                if interruption.asked:
                    self.stop(f"interrupted in epoch {epoch}")
                    break
                record = {"loss": loss, **self._validate(validation), "lr": self.optimizer.lr}
                record["seconds"] = time.perf_counter() - started
                self._finish_epoch(epoch, record, watchers)
                bar.show(record)
                if self.history.stopped:
                    break
        for watcher in watchers:
            watcher.on_end(self)
        return self.history

    def stop(self, reason: str) -> None:
        """End training after the running epoch; for callbacks."""
        self.history.stopped = reason

    def predict(self, x: Array, *, batch_size: int = 1024) -> Any:
        """Return the raw outputs for x, computed batch by batch, as `Network.predict` does."""
        return predict(self.network, x, batch_size)

    def evaluate(self, x: Array, t: Array, *, batch_size: int = 1024) -> dict[str, float]:
        """Return the loss, and the accuracy where the loss knows one, computed batch by batch outside training.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError
            If an argument does not fit.
        """
        x, t, _ = _checked(self.network, x, t)
        return evaluate(self.network, x, t, batch_size)

    def _epoch(
        self, step: TrainingStep, batches: Batches, bar: Progress, interruption: Interruption, watchers: list[Callback]
    ) -> float:
        """Train for one epoch and return its mean loss; at the first NaN or infinity undo it and raise."""
        self.epochs += 1
        before = step.snapshot()
        losses: list[float] = []
        sizes: list[int] = []
        pending: list[Any] = []
        for x, t, weight in batches.epoch(self.epochs):
            pending.append(step(self.network.inputs(x), t, weight))
            sizes.append(x.shape[0])
            bar.advance(x.shape[0])
            if len(pending) == _LOOK_EVERY or len(sizes) == len(batches) or interruption.asked:
                losses += map(float, pending)
                pending.clear()
                if not math.isfinite(sum(losses)):
                    step.restore(before)
                    for watcher in watchers:
                        watcher.on_end(self)
                    raise DivergenceError(_advice(losses, self.epochs, self.optimizer))
                bar.show({"loss": combine(losses, sizes, self.network.criterion)})
            if interruption.asked:
                break
        return combine(losses, sizes, self.network.criterion)

    def _validate(self, validation: list[Any] | None) -> dict[str, float]:
        if validation is None:
            return {}
        return {f"val_{name}": value for name, value in evaluate(self.network, *validation).items()}

    def _finish_epoch(self, epoch: int, record: dict[str, float], watchers: list[Callback]) -> None:
        if isinstance(self.optimizer.schedule, ReduceOnPlateau):
            self.optimizer.schedule.observe(record.get("val_loss", record["loss"]))
        for watcher in watchers:
            watcher.on_epoch(self, epoch, record)
        self.history.append(record)


def _check_numbers(epochs: int, batch_size: int, validation_split: float, *, both: bool) -> None:
    if epochs < 0:
        raise ValueError(f"fit needs epochs of at least 0, got {epochs}")
    if batch_size < 1:
        raise ValueError(f"fit needs batch_size of at least 1, got {batch_size}")
    if not 0 <= validation_split < 1:
        raise ValueError(f"fit needs validation_split in [0, 1), got {validation_split}")
    if both:
        raise ValueError("fit needs validation_data or validation_split, got both")


def _checked(network: Network, x: Any, t: Any, weight: Any = None) -> list[Any]:
    """Return [x, t, weight]: x where it is, the others checked and at the network's place."""
    network.inputs(x[: min(1, x.shape[0]), ...])
    if x.shape[0] == 0:
        raise ShapeError("training and evaluation need at least one sample, got none")
    return [x, *network.criterion.targets(network.output_shape(x.shape), t, network.place, weight)]


def _split(data: list[Any], share: float, seed: int) -> tuple[list[Any], list[Any]]:
    samples: int = data[0].shape[0]
    kept = round(share * samples)
    if not 0 < kept < samples:
        raise ValueError(f"validation_split={share} of {samples} samples leaves one of the two parts empty")
    order = random.generator(seed, "validation").permutation(samples)
    return [take(array, order[kept:]) for array in data], [take(array, order[:kept]) for array in data[:2]]


def _advice(losses: list[float], epoch: int, optimizer: Optimizer) -> str:
    step = next(i for i, loss in enumerate(losses, 1) if not math.isfinite(loss))
    return (
        f"the loss became {losses[step - 1]} at step {step} of epoch {epoch}; the network has its earlier weights. "
        f"Try a lower learning rate (it is {optimizer.lr:g}) or clip_norm=1.0 in the optimizer, "
        "and look for NaN or very large numbers in x and t"
    )
