"""Training a network: `Trainer`."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from portable_nn.arrays import Array, overflow_unreported
from portable_nn.metrics import GivenMetrics, as_metrics
from portable_nn.metrics.direction import Mode
from portable_nn.networks import Network
from portable_nn.networks.parts import check_instance, instances
from portable_nn.optimizers import Adam, Optimizer
from portable_nn.storage import PathLike, RunState
from portable_nn.training.base_step import TrainingStep
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.callbacks import Callback
from portable_nn.training.callbacks.monitoring import Monitoring
from portable_nn.training.evaluation_weights import EvaluationWeights, SetAside, go_on
from portable_nn.training.evaluator import Evaluator
from portable_nn.training.history import History
from portable_nn.training.intake import to_train
from portable_nn.training.interruption import Interruption
from portable_nn.training.loop import Loop
from portable_nn.training.progress import Progress
from portable_nn.training.recovery import Recovery
from portable_nn.training.refusal import end, unchanged_if_refused
from portable_nn.training.resuming import Checkpointing
from portable_nn.training.samples import whole
from portable_nn.training.step import Compile, training_step
from portable_nn.training.threads import Threads, check_threads

__all__ = ["Trainer"]


class Trainer(Evaluator):
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
    threads : "auto" or int
        On how many threads NumPy's BLAS multiplies while this trainer works. "auto" takes one for small networks, where
        more would wait for one another, and else leaves BLAS as it is. The environment variable PORTABLE_NN_THREADS
        is meant where "auto" is.
    pad : bool
        Whether `fit` may pad the batches of an iterable that vary in their rows or in axis 1, the time of sequences, to
        at most 8 shapes, as each shape needs a plan or a compiled step; on JAX those of `evaluate`, and to validate
        with, too. It does so only where the results are the same: padding has the weight 0, and no layer sees it
        (docs/sequences.md).
    metrics : list, or mapping of outputs to lists, optional
        Of metrics (`pnn.metrics.F1()`), their names ("accuracy", "roc_auc") or functions of (t, y) such as
        scikit-learn's: what `fit` records by name beside the loss, of the training passes and with "val_" of the
        samples to validate with, and what `evaluate` returns (docs/metrics.md). A list is for all outputs that they can
        measure. By default the accuracy of the samples to validate with, where the loss knows one.

    Raises
    ------
    TypeError, ValueError
        If an argument is something else, a class or a name, say; also where the attribute is replaced later.

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

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer | None = None,
        *,
        compile: Compile = "auto",
        threads: Threads = "auto",
        pad: bool = True,
        metrics: GivenMetrics | None = None,
    ):
        self._running = False
        self.network = network
        self.compile: Compile = compile
        self.threads: Threads = threads
        self.pad = pad
        self.metrics: Any = metrics
        self.optimizer = Adam() if optimizer is None else optimizer
        self.history = History()
        self.validates = False
        self.epochs = 0
        self._step: TrainingStep | None = None
        self._accumulate = 1
        self._aside: SetAside = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("network", "optimizer", "compile", "metrics") and self._running:
            raise RuntimeError(f"{name} cannot be replaced while fit runs: change its options, or call fit again")
        if name == "network":
            check_instance("Trainer", name, value, Network, "pnn.Sequential(pnn.Affine(64, 10), ...), say")
        elif name == "optimizer":
            check_instance("Trainer", name, value, Optimizer, "pnn.Adam(), say")
        elif name == "compile" and not isinstance(value, bool) and not (isinstance(value, str) and value == "auto"):
            raise ValueError(f'compile needs to be "auto", True or False, got {value!r}')
        elif name == "threads":
            check_threads(value)
        elif name == "pad" and not isinstance(value, bool):
            raise TypeError(f"pad needs True or False, got {value!r}")
        elif name == "metrics" and value is not None:
            value = as_metrics(value)
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        # A copy trains on its own, in memory of its own, also if it was made while this one trains.
        return self.__dict__ | {"_step": None, "_running": False}

    def fit(
        self,
        x: Array | Mapping[str, Array] | Iterable[Any] | Callable[[int], Iterable[Any]],
        t: Array | Mapping[str, Array] | None = None,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation_data: Any = None,
        validation_split: float = 0.0,
        sample_weight: Array | Mapping[str, Array] | None = None,
        shuffle: bool = True,
        progress: bool = True,
        callbacks: Iterable[Callback] = (),
        checkpoint: PathLike | None = None,
        every: int = 1,
        monitor: str | None = None,
        mode: Mode | None = None,
        resume: bool = False,
        loss_limit: float = math.inf,
        recoveries: int = 0,
        steps_per_epoch: int | None = None,
        accumulate: int = 1,
    ) -> History:
        """Train on every sample once an epoch, and return what was recorded.

        Ctrl-C ends training after the running step, without an error; a second Ctrl-C ends it at once. With a
        checkpoint, SIGTERM too waits for the step and for a checkpoint before it ends the process.

        Parameters
        ----------
        x : array of shape (N, ...), or for several inputs a mapping of their names to such
            Of the network's namespace and device, or NumPy's, moved and cast batch by batch; or, with t, a nested list
            of numbers, as all arrays may be. It may be larger than memory (`numpy.load(..., mmap_mode="r")`): it is
            read once to look for NaN, and then batch by batch.

            Without t: an iterable of batches (x, t) or (x, t, sample_weight), gone through from its beginning every
            epoch, or a function of the epoch (1, 2, ..., as the attribute `epochs` counts; 0 to validate) that returns
            one. A thread reads the next batches while the network trains. The iterable decides on sizes and order, so
            `batch_size` and `shuffle` mean nothing then.
        t : array, or for losses by output a mapping of the outputs' names to such
            Targets as the loss needs them. They are moved and cast at once.
        epochs : int
        batch_size : int
            The last batch of an epoch may be smaller.
        validation_data : (x, t) or (x, t, sample_weight), or an iterable of batches, optional
            Evaluated after every epoch, by the weights if there are some: loss and accuracy are weighted means then.
        validation_split : float
            Instead: the share of the samples, chosen by the network's seed, that is kept for this, with its weights,
            and not trained on.
        sample_weight : array of shape (N,), or of the shape of the targets, or a mapping, optional
            Of each sample, or of each label of sequences and images and each element of targets that are numbers; for
            losses by output a mapping of some of their names to such.
        shuffle : bool
            Whether the samples come in a new order every epoch.
        progress : bool
            Whether to show a bar with loss, metric and samples a second, or without a terminal a line an epoch.
        callbacks : Callbacks, optional
        checkpoint : path, optional
            A folder for the checkpoints of this run: the last two, and that of the best epoch by `monitor`.
        every : int
            Epochs from one checkpoint to the next. There is also one when training ends or is interrupted, be it by an
            error in a callback or in an iterable of batches.
        monitor : str, optional
            The name in the history that tells which epoch is best; the validation loss by default, or the loss.
        mode : "min" or "max", optional
            Whether smaller or larger is better there; needed where neither the name nor a metric tells.
        resume : bool
            Whether to go on from the newest checkpoint in the folder, if there is one, up to `epochs` in all. With the
            same data and arguments the run ends as if it had never stopped: with the same bits on the same backend. An
            iterable must then give the same batches in the same epoch; its first ones are passed over if need be.
        steps_per_epoch : int, optional
            Batches of an epoch, for an iterable that has no end or is to be cut: each epoch takes as many from its
            beginning. An iterator, such as a generator, goes on in each epoch where the one before has ended; it
            cannot be resumed with.
        accumulate : int
            So many batches give one update, that of the batch which they are together: their gradients are added up,
            weighted as the loss weighs them, and dropout masks are the rows of that batch's. It takes the memory of
            one of them, and the loss and callbacks see one batch. (On JAX the compiler decides on memory.) The loss
            needs to be a mean or a sum over samples.
        loss_limit : float
            A loss of a batch above this counts as diverged, as NaN does.
        recoveries : int
            How often a run whose loss diverges goes back to the last point known to be good, at most some 50 steps
            before, and on with half the learning rate, with a warning. That point is also what is kept in a checkpoint
            if the run is interrupted.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError, TypeError, ValueError
            If an argument does not fit, x is on the CPU and has NaN or infinities, or the folder has checkpoints of
            another run, or of this one without `resume`. Nothing is changed then. If a later batch of an iterable does
            not fit, the steps before it are done.
        CheckpointError
            If there are checkpoints, but all are damaged, or another process trains in the folder.
        OSError
            If a checkpoint cannot be written. Those before are still there.
        DivergenceError
            If the loss, the validation loss or a parameter becomes NaN or infinite, or a loss exceeds `loss_limit`, and
            no recovery is left. The network then has its weights from the start of an epoch that began well or from the
            last recovery, or the best ones if EarlyStopping keeps them. Without `recoveries` an optimizer with slots
            has forgotten them, as they may be NaN.
        """
        watchers: list[Callback] = instances("fit", "callbacks", callbacks, Callback, "pnn.OnEpoch(function), say")
        epochs, batch_size = whole("epochs", epochs, 0), whole("batch_size", batch_size, 1)
        every, self._accumulate = whole("every", every, 1), whole("accumulate", accumulate, 1)
        recovery = Recovery(whole("recoveries", recoveries, 0), loss_limit, self, watchers)
        data, split = (x, t, sample_weight), (validation_data, validation_split)
        again, accumulate = epochs > 1 or recoveries > 0, self._accumulate
        options: dict[str, Any] = {"again": again, "shuffle": shuffle, "accumulate": accumulate, "pad": self.pad}
        steps = None if steps_per_epoch is None else whole("steps_per_epoch", steps_per_epoch, 1)
        batches, validation = to_train(self.network, *data, *split, batch_size=batch_size, steps=steps, **options)
        if resume and checkpoint is None:
            raise ValueError("fit needs a checkpoint folder to resume from")
        self.optimizer.belong(self.network.identity)
        evaluation = EvaluationWeights(self, watchers)
        best = Monitoring(monitor or ("loss" if validation is None else "val_loss"), mode, "fit")
        files = Checkpointing(self, watchers, recovery, evaluation, (batches, validation), checkpoint, every, best)
        with files.locked():
            with unchanged_if_refused(self) as started:
                if not resume:
                    files.check_new()
                self.network.criterion.before_training(batches.targets)
                go_on(self.network, self._aside)
                self.history, self.validates = History(), validation is not None
                for watcher in (best, *watchers):
                    watcher.on_start(self)
                    started.append(watcher)
                state = files.resumed() if resume else RunState(0, 0)
                if isinstance(batches, BatchStream) and batches.goes_on and (state.epoch or state.step):
                    raise ValueError("an iterator cannot be resumed with: pass a function of the epoch that begins it")
                step = self.new_step(watchers)
            bar = Progress(batches.samples and epochs * batches.samples, shown=progress)
            with Interruption(terminates=files.on) as interruption, bar, overflow_unreported(), self._threads(batches):
                running = batches, validation, watchers, files, evaluation, recovery, bar, interruption
                try:
                    self._running = True
                    Loop(self, step, *running).run(state, epochs)
                    self._aside = evaluation.leave()
                finally:
                    self._running = False
                    end(watchers, self)
        return self.history

    def new_step(self, watchers: Iterable[Callback] = ()) -> TrainingStep:
        """Return the steps for what the network and the optimizer are now, watched so; for the training loop."""
        how = self.compile, self._accumulate, self.measuring()
        self._step = training_step(self.network, self.optimizer, self._step, *how)
        self._step.watch(self, watchers)
        return self._step

    def stop(self, reason: str) -> None:
        """End training after the running epoch; for callbacks."""
        self.history.stopped = reason
