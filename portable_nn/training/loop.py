"""The training loop: epochs of steps, and what happens between them."""

import math
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from portable_nn.metrics import RunningRecord
from portable_nn.schedules import observe_epoch
from portable_nn.storage.checkpoints import RunState
from portable_nn.training.base_step import LOOK_EVERY, TrainingStep
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.batches import Batches
from portable_nn.training.callbacks import Callback, Training
from portable_nn.training.evaluation_weights import EvaluationWeights
from portable_nn.training.interruption import Interruption
from portable_nn.training.measuring import evaluate
from portable_nn.training.progress import Progress
from portable_nn.training.recovery import Recovery
from portable_nn.training.resuming import Checkpointing

__all__ = ["Loop"]


class _Trainer(Training, Protocol):
    metrics: Any

    def new_step(self, watchers: Iterable[Callback] = ()) -> TrainingStep: ...


@dataclass
class Loop:
    """The epochs of one call of `Trainer.fit`."""

    trainer: _Trainer
    step: TrainingStep
    batches: Batches | BatchStream
    validation: Batches | BatchStream | None
    watchers: list[Callback]
    checkpointing: Checkpointing
    evaluation: EvaluationWeights
    recovery: Recovery
    bar: Progress
    interruption: Interruption

    def run(self, state: RunState, epochs: int) -> None:
        """Train from `state` on, up to as many epochs in all.

        Raises
        ------
        DivergenceError
            See `Trainer.fit`.
        OSError
            If a checkpoint cannot be written.
        Exception
            What a callback or an iterable of batches has raised.
        """
        if isinstance(self.batches, BatchStream):
            self.batches.interrupted = self._interrupted
        if self.checkpointing.ended:
            self.trainer.stop(self.checkpointing.ended)
            return
        if self.step.measuring is not None:
            self.bar.add_metrics(self.step.measuring.names)
        for epoch in range(state.epoch + 1, epochs + 1):
            samples = self.batches.samples
            self.bar.begin(f"epoch {epoch}/{epochs}", samples and epochs * samples)
            if not self._epoch(epoch, state, last=epoch == epochs):
                return
            state = RunState(epoch, 0)

    def _epoch(self, epoch: int, state: RunState, *, last: bool) -> bool:
        """Train for what is left of an epoch, and record it; return whether training goes on."""
        started, optimizer = time.perf_counter(), self.trainer.optimizer
        self._heed_freezing()
        self.trainer.epochs += 1
        optimizer.begin_epoch(self.trainer.epochs)
        rate = float(state.numbers.get("rate", optimizer.schedule(optimizer.steps)))
        running = RunningRecord(self.trainer.network.criterion, self.step.measuring, self.recovery.limit)
        if state.step:
            running.take_up(state.numbers, state.arrays)
        self.recovery.mark(self.step, running)
        while True:
            self._show_position(epoch, running)
            whole = self._steps(running)
            record = running.record()
            if not running.first_bad and not whole:
                self._cut_short(epoch, running, rate)
                return False
            if not running.first_bad and self.step.is_finite():
                with self.evaluation.shown():
                    with self._kept(lambda: self.checkpointing.within(epoch - 1, running, rate)):
                        record |= self._validate()
                    if math.isfinite(record.get("val_loss", 0.0)):
                        self._record(epoch, record | {"lr": rate * optimizer.lr_scale}, running, rate, started)
                        goes_on = not (last or self.trainer.history.stopped)
                        self.checkpointing.epoch_done(epoch, record, last=not goes_on)
                        break
            self.recovery.go_back(self.step, running, epoch)
        if self.watchers:
            self.step.go_on_with_copies()
        return goes_on

    def _heed_freezing(self) -> None:
        """Train what is to be trained now, if a callback has frozen or unfrozen parameters."""
        trainer = self.trainer
        if list(trainer.network.trainable()) != self.step.names:
            self.step = trainer.new_step(self.watchers)
            self.recovery.forget()

    def _show_position(self, epoch: int, running: RunningRecord) -> None:
        if self.batches.samples is not None:
            size = self.batches.batch_size if isinstance(self.batches, Batches) else 0
            self.bar.place((epoch - 1) * self.batches.samples + min(running.batches * size, self.batches.samples))

    def _steps(self, running: RunningRecord) -> bool:
        """Take the steps of the epoch that are not in `running` yet.

        Return whether these were all: not if training is interrupted, or losses or data are bad.
        """
        with closing(self.step.over(self.batches, self.trainer.epochs, running.batches, self._interrupted)) as steps:
            for done in steps:
                before = running.batches
                running.add(done.losses, done.weights, done.measured)
                self.bar.advance(sum(done.rows))
                # At fixed steps, so that a run that goes on from a checkpoint looks when it would have looked.
                if before // LOOK_EVERY < running.batches // LOOK_EVERY or self.interruption.asked:
                    self.bar.show(running.record(cheap=True))
                    if running.first_bad or self.interruption.asked:
                        return isinstance(self.batches, Batches) and running.batches == len(self.batches)
                    self.recovery.mark_within(self.step, running)
        return self.batches.error is None and not self.interruption.asked

    def _cut_short(self, epoch: int, running: RunningRecord, rate: float) -> None:
        """End training within an epoch, with a checkpoint if anything was done: interrupted, or by an error in data."""
        error = self.batches.error
        if self.checkpointing.on:
            self.recovery.rewind(self.step, running)
        try:
            if (running.batches or epoch > 1) and self.step.is_finite():
                self.checkpointing.write(self.checkpointing.within(epoch - 1, running, rate))
        finally:
            self.trainer.epochs -= not running.batches
            if error is not None:
                raise error
        self.trainer.stop(f"interrupted in epoch {epoch}")

    def _interrupted(self) -> bool:
        return self.interruption.asked

    def _validate(self) -> dict[str, float]:
        if self.validation is None:
            return {}
        found = evaluate(self.trainer.network, self.validation, self.step.measuring)
        return {f"val_{name}": value for name, value in found.items()}

    def _record(
        self, epoch: int, record: dict[str, float], running: RunningRecord, rate: float, started: float
    ) -> None:
        """Tell the schedule, the callbacks and the history of an epoch."""
        trainer = self.trainer
        record["seconds"] = time.perf_counter() - started
        before = self.checkpointing.within(epoch - 1, running, rate)
        with self._kept(lambda: before):
            observe_epoch(trainer.optimizer.schedule, record)
            for watcher in self.watchers:
                watcher.on_epoch(trainer, epoch, record)
                self.checkpointing.watched(watcher)
        self.checkpointing.check_record(record)
        trainer.history.append(record)
        self.bar.end_epoch(record)
        if self.interruption.asked:
            trainer.stop(f"interrupted after epoch {epoch}")

    @contextmanager
    def _kept(self, state: Callable[[], RunState | None]) -> Generator[None]:
        """If what is done now raises, write a checkpoint with the steps of the epoch."""
        try:
            yield
        except BaseException:
            self.checkpointing.write(state())
            raise
