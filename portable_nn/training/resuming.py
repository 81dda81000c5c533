"""What of a training run is written to a checkpoint, and how a run goes on from one."""

import copy
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol

from portable_nn import schedules
from portable_nn.arrays import copies, is_array, to_numpy
from portable_nn.metrics import RunningRecord
from portable_nn.storage import PathLike, fingerprints
from portable_nn.storage.checkpoints import Checkpoints, RunState
from portable_nn.storage.networks import describe
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.batches import Batches
from portable_nn.training.callbacks import Callback, Training
from portable_nn.training.callbacks.monitoring import Monitoring
from portable_nn.training.evaluation_weights import EvaluationWeights
from portable_nn.training.padding import Padding
from portable_nn.training.recovery import Recovery

__all__ = ["Checkpointing"]


class _Trainer(Training, Protocol):
    metrics: Any


class Checkpointing:
    """The checkpoints of one call of `Trainer.fit`; without a folder there are none.

    Parameters
    ----------
    trainer : Trainer
    watchers : sequence of Callback
    recovery : Recovery
        How often this run has gone back.
    evaluation : EvaluationWeights
        What the network is saved with.
    data : (batches, batches or None)
        To train on and to validate with; they must be the same to go on with the run.
    folder : path, optional
    every : int
        Epochs from one checkpoint to the next.
    monitoring : Monitoring
        What tells the best epoch.

    Attributes
    ----------
    ended : str
        Why a callback that remembers has ended the run for good; empty if none has.
    """

    def __init__(
        self,
        trainer: _Trainer,
        watchers: Sequence[Callback],
        recovery: Recovery,
        evaluation: EvaluationWeights,
        data: tuple[Batches | BatchStream, Batches | BatchStream | None],
        folder: PathLike | None,
        every: int,
        monitoring: Monitoring,
    ):
        self._monitoring = monitoring
        self._trainer, self._watchers, self._data, self._every = trainer, watchers, data, every
        self._recovery, self._evaluation = recovery, evaluation
        if folder is not None:
            schedules.check_kept(trainer.optimizer.schedule)
        self._files = None if folder is None else Checkpoints(folder)
        self._best = float("inf")
        self.ended = self._stopped = ""

    @property
    def on(self) -> bool:
        """Whether checkpoints are written."""
        return self._files is not None

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes out of the folder; raises as `Checkpoints.locked`."""
        if self._files is None:
            yield
            return
        with self._files.locked():
            yield

    def resumed(self) -> RunState:
        """Set trainer, network, optimizer and callbacks to the newest checkpoint, and return it; else the beginning.

        Raises
        ------
        ValueError
            If the checkpoint is of another network, optimizer or run. Nothing is changed then.
        CheckpointError
            If there are checkpoints, but all are damaged.
        """
        state = None if self._files is None else self._files.newest()
        if state is None:
            return RunState(0, 0)
        self._check(state)
        trainer, numbers = self._trainer, state.numbers
        network, optimizer = trainer.network, trainer.optimizer
        for arrays in (network.parameters, network.states):
            for name in arrays:
                arrays[name] = state.arrays.get(f"training/{name}", state.arrays[f"network/{name}"])
        place = network.place
        optimizer.state = {
            name: tuple(place.asarray(state.arrays[f"{slot}/{name}"]) for slot in optimizer.slots)
            for name in numbers["optimizer"]["updated"]
        }
        optimizer.steps, optimizer.lr_scale = numbers["optimizer"]["steps"], numbers["optimizer"].get("lr_scale", 1.0)
        optimizer.thawed = dict(numbers["optimizer"].get("thawed", []))
        scale = numbers["optimizer"].get("loss_scale")
        optimizer.loss_scale = None if scale is None else place.asarray(scale)
        self._recovery.made = numbers.get("recoveries", 0)
        schedules.restore(optimizer.schedule, numbers["schedule"])
        network.stream.position = numbers["stream"]
        trainer.epochs = numbers["epochs"]
        padding = self._padding()
        if padding is not None and "padding" in numbers:
            padding.restore(numbers["padding"])
        trainer.history.restore(numbers["history"])
        for watcher, (_, i, kept) in zip(self._remembering(), _kept(numbers), strict=True):
            arrays = [state.arrays[f"callback {i}/{j}"] for j in range(kept["arrays"])]
            watcher.restore(trainer, kept["numbers"], arrays)
        self._best, self.ended = numbers["best"], numbers.get("ended", "")
        return state

    def watched(self, watcher: Callback) -> None:
        """Note whether it was this callback that has just ended the run.

        One that remembers has ended it for good. One that only watches, a clock, say, may think otherwise next time.
        """
        stopped, remembers = self._trainer.history.stopped, watcher in self._remembering()
        self.ended = self.ended or (stopped if stopped != self._stopped and remembers else "")
        self._stopped = stopped

    def check_record(self, record: Mapping[str, Any]) -> None:
        """Raise TypeError if a callback has added to an epoch's record what no checkpoint can keep."""
        wrong = [name for name, value in record.items() if not fingerprints.can_be_said(value)]
        if self._files is not None and wrong:
            value = record[wrong[0]]
            raise TypeError(f"the record of an epoch needs numbers for a checkpoint, got {value!r} for {wrong[0]!r}")

    def check_new(self) -> None:
        """Raise ValueError if there are checkpoints of an earlier run, which this one would push out."""
        if self._files is not None and (self._files.paths() or self._files.best()):
            raise ValueError(
                f"{self._files.folder} has checkpoints of a run: go on with it (resume=True, or --resume), "
                "or take another folder"
            )

    def epoch_done(self, epoch: int, record: dict[str, float], *, last: bool) -> None:
        """Write a checkpoint after an epoch, if it is time for one; its record says whether it is the best."""
        if self._files is not None and (last or epoch % self._every == 0):
            value = self._monitoring.value(record)
            best, self._best = value < self._best, min(self._best, value)
            self._files.write(self._state(epoch, 0, self._trainer.epochs), best=best)

    def within(self, epochs: int, running: RunningRecord, rate: float) -> RunState | None:
        """Return a checkpoint within the epoch that follows as many, and that began with the schedule at `rate`.

        It is to be written before the next step, if it is; None without a folder.
        """
        if self._files is None:
            return None
        state = self._state(epochs, running.batches, self._trainer.epochs - 1)
        numbers, arrays = running.said()
        state.numbers |= numbers | {"rate": rate}
        state.arrays |= arrays
        return state

    def write(self, state: RunState | None) -> None:
        """Write what `within` returned."""
        if self._files is not None and state is not None:
            self._files.write(state)

    def _state(self, epoch: int, step: int, begun: int) -> RunState:
        trainer, arrays, callbacks = self._trainer, dict[str, Any](), list[dict[str, Any]]()
        network, optimizer = trainer.network, trainer.optimizer
        with self._evaluation.shown():
            names, training = network.sharing.names, self._evaluation.training()
            for name, array, trained in zip(names, network.arrays(), training, strict=True):
                arrays |= {f"network/{name}": array} | ({} if trained is array else {f"training/{name}": trained})
        for name, slots in optimizer.state.items():
            arrays |= {f"{slot}/{name}": array for slot, array in zip(optimizer.slots, slots, strict=True)}
        for i, watcher in enumerate(self._remembering()):
            numbers, kept = watcher.state()
            _check_state(watcher, numbers, kept)
            callbacks.append({"numbers": copy.deepcopy(numbers), "arrays": len(kept)})
            arrays |= {f"callback {i}/{j}": array for j, array in enumerate(copies(kept))}
        numbers: dict[str, Any] = {
            "about": self._run(),
            "description": self._description,
            "epochs": begun,
            "optimizer": {
                "steps": optimizer.steps,
                "lr_scale": optimizer.lr_scale,
                "updated": list(optimizer.state),
                "thawed": list(optimizer.thawed.items()),
            }
            | ({} if optimizer.loss_scale is None else {"loss_scale": to_numpy(optimizer.loss_scale).tolist()}),
            "recoveries": self._recovery.made,
            "schedule": schedules.state_of(optimizer.schedule),
            "stream": network.stream.position,
            "history": trainer.history.state(),
            "callbacks": callbacks,
            "best": self._best,
            "ended": self.ended,
        }
        padding = self._padding()
        numbers |= {} if padding is None else {"padding": padding.state()}
        return RunState(epoch, step, numbers, arrays, self._loadable())

    def _padding(self) -> Padding | None:
        return self._data[0].padding if isinstance(self._data[0], BatchStream) else None

    def _loadable(self) -> dict[str, Any] | None:
        """Return what a file of the network says; nothing if it has options that no file can say."""
        try:
            said = describe(self._trainer.network)
            return said if fingerprints.can_be_said(said) else None
        except NotImplementedError:
            return None

    def _run(self) -> dict[str, Any]:
        """Return what must not change from one part of a run to the next."""
        trainer = self._trainer
        sharing = trainer.network.sharing
        shapes = {name: list(box.shape) for name, box in zip(sharing.names, sharing.boxes, strict=True)}
        return self._data[0].about | {
            "parameters": shapes,
            "seed": trainer.network.seed,
            "optimizer": type(trainer.optimizer).__name__,
            "callbacks": [type(watcher).__name__ for watcher in self._remembering()],
        }

    @cached_property
    def _description(self) -> dict[str, Any]:
        """What the run was when it began, in parts; later a callback may have frozen parameters, say."""
        network, optimizer = self._trainer.network, self._trainer.optimizer
        batches, validation = self._data
        return {
            "network": fingerprints.network(network),
            "loss": fingerprints.loss(network),
            "optimizer": fingerprints.optimizer(optimizer),
            "schedule": fingerprints.schedule(optimizer.schedule),
            "callbacks": [fingerprints.part(watcher) for watcher in self._remembering()],
            "data": fingerprints.data(batches, network),
            "validation data": fingerprints.data(validation, network),
            "metrics": fingerprints.metrics(self._trainer.metrics),
            "monitor": [self._monitoring.monitor, self._monitoring.sign],
        }

    def _remembering(self) -> list[Callback]:
        """Return the callbacks that a checkpoint has a part of; the others only watch, and may come and go."""
        return [watcher for watcher in self._watchers if type(watcher).state is not Callback.state]

    def _check(self, state: RunState) -> None:
        before = {"accumulate": 1} | state.numbers.get("about", {})
        before["callbacks"] = [name for name, _, _ in _kept(state.numbers)]
        for what, value in self._run().items():
            if before.get(what) != value:
                raise _another_run(what, before.get(what), value)
        for what, described in state.numbers.get("description", {}).items():
            found = fingerprints.difference(described, self._description.get(what))
            if found is not None:
                where, was, now = found
                raise _another_run(f"{what} ({where})" if where else what, was, now)
        optimizer = state.numbers["optimizer"]
        new = sorted({*self._trainer.network.trainable()} - {*optimizer["updated"]})
        if optimizer["steps"] and new and self._trainer.optimizer.slots:
            raise _another_run("frozen parameters", "with " + ", ".join(new), "without them")


def _kept(numbers: Mapping[str, Any]) -> list[tuple[str, int, dict[str, Any]]]:
    """Return what callbacks have left in a checkpoint: the class of each, the number of its arrays, and its numbers."""
    names = numbers.get("about", {}).get("callbacks", [])
    listed = [(name, i, kept) for i, (name, kept) in enumerate(zip(names, numbers["callbacks"], strict=True))]
    if "description" in numbers:
        return listed
    # Older checkpoints list those callbacks, too, that only watch.
    return [(name, i, kept) for name, i, kept in listed if kept["numbers"] is not None or kept["arrays"]]


def _another_run(what: str, before: Any, now: Any) -> ValueError:
    return ValueError(
        f"the checkpoint is of another run: its {what} was {before}, now it is {now}; "
        "go on with the same, or take another folder"
    )


def _check_state(watcher: Callback, numbers: Any, arrays: Any) -> None:
    if not fingerprints.can_be_said(numbers) or not all(map(is_array, arrays)):
        raise TypeError(
            f"the state of {type(watcher).__name__} needs to be something that JSON can say and a list of arrays, for "
            f"checkpoints, got {numbers!r} and {arrays!r}"
        )
