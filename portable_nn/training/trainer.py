"""The training loop."""

import math
import time
from collections.abc import Iterable
from typing import Any

from portable_nn.arrays import Array, PathLike, overflow_unreported
from portable_nn.checkpoints import RunState
from portable_nn.errors import DivergenceError
from portable_nn.networks import Network
from portable_nn.optimizers import Adam, Optimizer
from portable_nn.schedules import observe
from portable_nn.training.base_step import TrainingStep
from portable_nn.training.batches import Batches
from portable_nn.training.callbacks import Callback
from portable_nn.training.history import History
from portable_nn.training.interruption import Interruption
from portable_nn.training.metrics import RunningLoss, evaluate, predict
from portable_nn.training.progress import Progress
from portable_nn.training.resuming import Recording
from portable_nn.training.samples import checked, split, whole
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
        checkpoint: PathLike | None = None,
        every: int = 1,
        resume: bool = False,
    ) -> History:
        """Train on every sample once an epoch, and return what was recorded.

        Ctrl-C ends training after the running step, without an error; a second Ctrl-C ends it at once. With a
        checkpoint, SIGTERM too waits for the step and for a checkpoint before it ends the process.

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
        checkpoint : path, optional
            A folder for the checkpoints of this run: the last two, and that of the best epoch.
        every : int
            Epochs from one checkpoint to the next. There is also one when training ends or is interrupted.
        resume : bool
            Whether to go on from the newest checkpoint in the folder, if there is one, up to `epochs` in all. With the
            same data and arguments the run ends as if it had never stopped: with the same bits on the same backend.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError, ValueError
            If an argument does not fit, or the folder has checkpoints of another run, or of this one without `resume`.
            Nothing is changed then.
        CheckpointError
            If there are checkpoints, but all are damaged, or another process trains in the folder.
        OSError
            If a checkpoint cannot be written. Those before are still there.
        DivergenceError
            If the loss, the validation loss or a parameter becomes NaN or infinite. The network then has its weights
            from the start of an earlier epoch, or the best ones if EarlyStopping keeps them.
        """
        epochs, batch_size = whole("epochs", epochs, 0), whole("batch_size", batch_size, 1)
        data, validation = self._data(x, t, sample_weight, validation_data, validation_split)
        batches = Batches(data, batch_size, shuffle=shuffle, seed=self.network.seed, place=self.network.place)
        if resume and checkpoint is None:
            raise ValueError("fit needs a checkpoint folder to resume from")
        self.history, self.validates = History(), validation is not None
        watchers = list(callbacks)
        about = {"batch_size": batch_size, "samples": batches.samples, "shuffle": shuffle}
        recording = Recording(self, watchers, about, checkpoint, whole("every", every, 1))
        with recording.locked():
            if not resume:
                recording.check_new()
            for watcher in watchers:
                watcher.on_start(self)
            state = recording.resumed() if resume else RunState(0, 0)
            self._fit(batches, epochs, validation, watchers, recording, state, progress=progress)
        return self.history

    def _fit(
        self,
        batches: Batches,
        epochs: int,
        validation: list[Any] | None,
        watchers: list[Callback],
        recording: Recording,
        state: RunState,
        *,
        progress: bool,
    ) -> None:
        step = self._step = training_step(self.network, self.optimizer, self._step, self.compile)
        done = state.epoch * batches.samples + min(state.step * batches.batch_size, batches.samples)
        bar = Progress(epochs * batches.samples, shown=progress)
        with Interruption(terminates=recording.on) as interruption, bar, overflow_unreported():
            bar.advance(done)
            try:
                self._train(step, batches, epochs, validation, bar, interruption, watchers, recording, state)
            finally:
                for watcher in watchers:
                    watcher.on_end(self)

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
        x, t, _ = checked(self.network, x, t)
        return evaluate(self.network, x, t, batch_size)

    def _data(self, x: Any, t: Any, weight: Any, validation: Any, share: float) -> tuple[list[Any], list[Any] | None]:
        """Return the samples to train on and those to validate with, checked."""
        if not 0 <= share < 1:
            raise ValueError(f"fit needs validation_split in [0, 1), got {share}")
        data = checked(self.network, x, t, weight)
        if validation is None:
            return split(data, share, self.network.seed) if share else (data, None)
        if share:
            raise ValueError("fit needs validation_data or validation_split, got both")
        if not isinstance(validation, tuple | list) or len(validation) != 2:  # pyright: ignore[reportUnknownArgumentType]
            raise ValueError("fit needs validation_data as the two arrays (x, t)")
        return data, checked(self.network, *validation)[:2]

    def _train(
        self,
        step: TrainingStep,
        batches: Batches,
        epochs: int,
        validation: list[Any] | None,
        bar: Progress,
        interruption: Interruption,
        watchers: list[Callback],
        recording: Recording,
        state: RunState,
    ) -> None:
        earlier = None
        for epoch in range(state.epoch + 1, epochs + 1):
            bar.begin(f"epoch {epoch}/{epochs}")
            started, start = time.perf_counter(), step.snapshot()
            lr: float = state.numbers.get("lr", self.optimizer.lr)
            running, steps = self._epoch(step, batches, bar, interruption, recording.running(state), state.step)
            if steps < len(batches) and not running.first_bad:
                recording.interrupted(epoch - 1, steps, running, lr)
                return self.stop(f"interrupted in epoch {epoch}")
            state = RunState(epoch, 0)
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
            ends = bool(self.history.stopped) or epoch == epochs
            recording.epoch_done(epoch, record.get("val_loss", record["loss"]), last=ends)
            if ends:
                return None
        return None

    def _epoch(
        self,
        step: TrainingStep,
        batches: Batches,
        bar: Progress,
        interruption: Interruption,
        running: RunningLoss,
        steps: int,
    ) -> tuple[RunningLoss, int]:
        """Train for one epoch, or until a look at the loss shows NaN or infinity, or until interrupted.

        Begins after `steps` that are done, with their losses in `running`; returns both as they are then.
        """
        self.epochs += 1
        for done in step.over(batches, self.epochs, steps):
            steps += done.steps
            running.add(done.losses, done.weights, done.steps)
            bar.advance(done.samples)
            if running.waiting >= _LOOK_EVERY or interruption.asked:
                bar.show({"loss": running.read()})
                if running.first_bad or interruption.asked:
                    break
        return running, steps

    def _validate(self, validation: list[Any] | None) -> dict[str, float]:
        if validation is None:
            return {}
        return {f"val_{name}": value for name, value in evaluate(self.network, *validation).items()}


def _advice(step: int, epoch: int, lr: float) -> str:
    where = f"at step {step}" if step else "after the last step"
    return (
        f"the loss became NaN or infinite {where} of epoch {epoch}; the network has its earlier weights. "
        f"Try a lower learning rate (it was {lr:g}) or clip_norm=1.0 in the optimizer, "
        "and look for NaN or very large numbers in x and t"
    )
