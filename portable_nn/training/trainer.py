"""The training loop."""

import math
import operator
import time
from collections.abc import Iterable
from typing import Any

from portable_nn import random
from portable_nn.arrays import Array, namespace_of, overflow_unreported
from portable_nn.errors import DivergenceError, ShapeError
from portable_nn.networks import Network
from portable_nn.optimizers import Adam, Optimizer
from portable_nn.schedules import observe
from portable_nn.training.base_step import TrainingStep
from portable_nn.training.batches import Batches, take
from portable_nn.training.callbacks import Callback
from portable_nn.training.history import History
from portable_nn.training.interruption import Interruption
from portable_nn.training.metrics import RunningLoss, evaluate, predict
from portable_nn.training.progress import Progress
from portable_nn.training.step import Compile, training_step

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
    compile : "auto", True or False
        Whether to compile training steps: JAX's by `jax.jit`, torch's by `torch.compile`, and on NumPy what takes
        several passes over memory by numba (extra "numba"). "auto" compiles on JAX, and on NumPy if numba is installed
        and the network has 50,000 parameters. With False JAX runs operation by operation, which is slow, but can be
        debugged.

    Attributes
    ----------
    history : History
        Of the last or the running `fit`.
    validates : bool
        Whether the running `fit` has validation data.
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

    def __init__(self, network: Network, optimizer: Optimizer | None = None, *, compile: Compile = "auto"):
        self.network = network
        self.compile: Compile = compile
        self.optimizer = Adam() if optimizer is None else optimizer
        self.history = History()
        self.validates = False
        self.epochs = 0
        self._step: TrainingStep | None = None

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
            If the loss, the validation loss or a parameter becomes NaN or infinite. The network then has its weights
            from the start of an earlier epoch, or the best ones if EarlyStopping keeps them.
        """
        epochs, batch_size = _whole("epochs", epochs, 0), _whole("batch_size", batch_size, 1)
        data, validation = self._data(x, t, sample_weight, validation_data, validation_split)
        batches = Batches(data, batch_size, shuffle=shuffle, seed=self.network.seed, place=self.network.place)
        self.history, self.validates = History(), validation is not None
        watchers = list(callbacks)
        for watcher in watchers:
            watcher.on_start(self)
        step = self._step = training_step(self.network, self.optimizer, self._step, self.compile)
        bar = Progress(epochs * batches.samples, shown=progress)
        with Interruption() as interruption, bar, overflow_unreported():
            try:
                self._train(step, batches, epochs, validation, bar, interruption, watchers)
            finally:
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

    def _data(self, x: Any, t: Any, weight: Any, validation: Any, share: float) -> tuple[list[Any], list[Any] | None]:
        """Return the samples to train on and those to validate with, checked."""
        if not 0 <= share < 1:
            raise ValueError(f"fit needs validation_split in [0, 1), got {share}")
        data = _checked(self.network, x, t, weight)
        if validation is None:
            return _split(data, share, self.network.seed) if share else (data, None)
        if share:
            raise ValueError("fit needs validation_data or validation_split, got both")
        if not isinstance(validation, tuple | list) or len(validation) != 2:  # pyright: ignore[reportUnknownArgumentType]
            raise ValueError("fit needs validation_data as the two arrays (x, t)")
        return data, _checked(self.network, *validation)[:2]

    def _train(
        self,
        step: TrainingStep,
        batches: Batches,
        epochs: int,
        validation: list[Any] | None,
        bar: Progress,
        interruption: Interruption,
        watchers: list[Callback],
    ) -> None:
        earlier = None
        for epoch in range(1, epochs + 1):
            bar.begin(f"epoch {epoch}/{epochs}")
            started, lr, start = time.perf_counter(), self.optimizer.lr, step.snapshot()
            running = self._epoch(step, batches, bar, interruption)
            if interruption.asked and not running.first_bad:
                return self.stop(f"interrupted in epoch {epoch}")
            record = {"loss": running.read(), **({} if running.first_bad else self._validate(validation)), "lr": lr}
            if not (math.isfinite(record.get("val_loss", record["loss"])) and step.is_finite()):
                # A bad loss in the first step was made by the last update of the epoch before.
                step.restore(earlier if earlier and running.first_bad == 1 else start)
                raise DivergenceError(_advice(running.first_bad, epoch, lr))
            earlier = start
            record["seconds"] = time.perf_counter() - started
            observe(self.optimizer.schedule, record.get("val_loss", record["loss"]))
            for watcher in watchers:
                watcher.on_epoch(self, epoch, record)
            self.history.append(record)
            bar.show(record)
            if interruption.asked:
                self.stop(f"interrupted after epoch {epoch}")
            if self.history.stopped:
                return None
        return None

    def _epoch(self, step: TrainingStep, batches: Batches, bar: Progress, interruption: Interruption) -> RunningLoss:
        """Train for one epoch, or until a look at the loss shows NaN or infinity, or until interrupted."""
        self.epochs += 1
        running = RunningLoss(self.network.criterion)
        for done in step.over(batches, self.epochs):
            running.add(done.losses, done.weights, done.steps)
            bar.advance(done.samples)
            if running.waiting >= _LOOK_EVERY or interruption.asked:
                bar.show({"loss": running.read()})
                if running.first_bad or interruption.asked:
                    break
        return running

    def _validate(self, validation: list[Any] | None) -> dict[str, float]:
        if validation is None:
            return {}
        return {f"val_{name}": value for name, value in evaluate(self.network, *validation).items()}


def _whole(name: str, number: int, least: int) -> int:
    try:
        whole = operator.index(number)
    except TypeError:
        whole = least - 1
    if whole < least:
        raise ValueError(f"fit needs {name} to be a whole number of at least {least}, got {number!r}")
    return whole


def _checked(network: Network, x: Any, t: Any, weight: Any = None) -> list[Any]:
    """Return [x, t, weight]: x where it is, the others checked and at the network's place."""
    namespace_of(x)
    network.inputs(x[: min(1, x.shape[0]), ...] if x.ndim else x)
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


def _advice(step: int, epoch: int, lr: float) -> str:
    where = f"at step {step}" if step else "after the last step"
    return (
        f"the loss became NaN or infinite {where} of epoch {epoch}; the network has its earlier weights. "
        f"Try a lower learning rate (it was {lr:g}) or clip_norm=1.0 in the optimizer, "
        "and look for NaN or very large numbers in x and t"
    )
