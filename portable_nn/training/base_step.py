"""What all training steps have in common: from a batch to updated parameters, again and again.

A step has four phases: `gradient`, `reduce`, `transform` (clipping and decay) and `apply` (the optimizer's rule).
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from portable_nn.arrays import copies, overflow_unreported
from portable_nn.errors import ShapeError
from portable_nn.kernels import is_recordable, kernels_for
from portable_nn.kernels.portable.loss_scaling import FIRST_LOSS_SCALE
from portable_nn.layers import Run
from portable_nn.metrics import Measuring
from portable_nn.networks import Network
from portable_nn.optimizers import Numbers, Optimizer, Slots
from portable_nn.optimizers.groups import Part
from portable_nn.random import Key
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.batches import Batches
from portable_nn.training.callbacks import overrides

__all__ = ["LOOK_EVERY", "Done", "Snapshot", "TrainingStep", "made_for", "versions"]

LOOK_EVERY = 50
"""Steps of an epoch between two looks at the losses; each look waits for the device."""

_SECONDS = 0.05
"""How long nothing is heard of steps at most, if one does not take longer."""


class Snapshot(NamedTuple):
    """The arrays of a network and an optimizer, the number of updates made, and the loss scale, if there is one."""

    arrays: list[Any]
    slots: Slots
    steps: int
    loss_scale: Any


def made_for(network: Network, optimizer: Optimizer) -> tuple[Any, ...]:
    """Return all that a step may take for granted."""
    return network, optimizer, network.loss_function, list(network.trainable()), versions(network, optimizer)


def versions(network: Network, optimizer: Optimizer) -> tuple[int, int, int]:
    """Return how often options of the two were replaced."""
    return network.version, optimizer.version, optimizer.grouping


class Done(NamedTuple):
    """What some steps have done.

    Attributes
    ----------
    losses : array of shape (S,), or list of S 0-d arrays
        Of each step, on its device. Losses by output: a tuple of such arrays, or a list of S tuples.
    weights : array of shape (S,), or list of S numbers or 0-d arrays
        What a mean over each batch divides by: see `Loss.total_weight`. By output, likewise.
    rows : list of S int
        How many samples each batch had.
    measured : list of S tuples, or tuple
        What `Measuring` returned for each batch, if there are metrics; as a tuple, with an axis (S, ...) in each array.
    """

    losses: Any
    weights: Any
    rows: list[int]
    measured: Any


class TrainingStep(ABC):
    """The steps of a training run: each takes a batch, updates the network and the optimizer, and returns the loss.

    A step may reuse the memory of the arrays that it replaces. Only arrays of the run's own are replaced so: each
    snapshot keeps the arrays that anyone may have seen, and goes on with copies.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
    accumulate : int
        In how many micro-batches the gradient of a batch is computed, one after the other.
    measuring : Measuring, optional
        What is measured on each batch, by the outputs of the training pass.
    """

    def __init__(self, network: Network, optimizer: Optimizer, accumulate: int = 1, measuring: Measuring | None = None):
        self.network, self.optimizer, self.accumulate, self.measuring = network, optimizer, accumulate, measuring
        self.outputs: Any = None
        """Of the network, on the last batch, if something is measured."""
        self.made_for = made_for(network, optimizer)
        self.is_scaled = network.place.precision == "float16"
        """Whether the loss is scaled, as the range of the data type is small."""
        self._names, self._positions = list(network.trainable()), list(network.trainable().values())
        self._slots: Slots = []
        self._parts: list[Part] = []
        self._live: list[Part] = []
        self._boxes = list(network.sharing.parameters.values())
        self._states = list(network.sharing.states.values())
        self._updating: AbstractContextManager[None] = nullcontext()
        """In which `transform` and `apply` run: kernels may wait until its end, to be launched together."""
        self.after_batch: Callable[[int, dict[str, Any]], None] | None = None
        """What is told of each update; see `Callback.on_batch`."""
        self.on_gradients: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None
        """What may replace gradients by name; see `Callback.on_gradients`."""

    def watch(self, trainer: Any, watchers: Iterable[Any]) -> None:
        """Tell these callbacks of updates and gradients, as far as they override what is told."""
        batches = [watcher.on_batch for watcher in watchers if overrides(watcher, "on_batch")]
        changes = [watcher.on_gradients for watcher in watchers if overrides(watcher, "on_gradients")]

        def after_batch(step: int, record: dict[str, Any]) -> None:
            for tell in batches:
                tell(trainer, step, record)

        def on_gradients(gradients: dict[str, Any]) -> Mapping[str, Any]:
            changed: dict[str, Any] = {}
            for change in changes:
                new: Mapping[str, Any] | None = change(trainer, gradients | changed)
                changed |= {} if new is None else self._checked(new, gradients)
            return changed

        self.after_batch = after_batch if batches else None
        self.on_gradients = on_gradients if changes else None

    def _checked(self, changed: Mapping[str, Any], gradients: dict[str, Any]) -> dict[str, Any]:
        for name, array in changed.items():
            if name not in gradients:
                raise KeyError(f"on_gradients returned {name!r}; there are gradients of {', '.join(gradients)}")
            if getattr(array, "shape", None) != gradients[name].shape:
                needed, got = gradients[name].shape, getattr(array, "shape", type(array).__name__)
                raise ShapeError(f"on_gradients needs to return an array of shape {needed} for {name}, got {got}")
        return dict(changed)

    def begin(self) -> None:
        """Take over the network and the optimizer as they are now."""
        arrays = self.network.arrays()
        if self.is_scaled and self.optimizer.loss_scale is None:
            self.optimizer.loss_scale = self.network.place.asarray(FIRST_LOSS_SCALE)
        slots = self.optimizer.slots_of(self._names, self._trained(arrays))
        self._look()
        self._take(*self._copied(arrays, slots))

    def _look(self) -> None:
        """See what a callback may have replaced: options, and which parameters are updated alike."""
        self._version, self._grouping = self.network.version, self.optimizer.grouping
        # Somebody's own layer may change its mind at any time.
        self._may_draw = self.network.is_random or not all(is_recordable(type(part)) for part in self.network.layers)
        trained = self._trained(self.network.arrays())
        self._parts = self.optimizer.parts(self._names, trained, list(self.network.parameters))
        self._live = self.optimizer.live(self._parts)

    def _look_again(self) -> None:
        grouping = self._grouping
        self._look()
        if self._grouping != grouping:
            self.go_on_with_copies()

    def _trained(self, arrays: list[Any]) -> list[Any]:
        return [arrays[i] for i in self._positions]

    def go_on_with_copies(self) -> None:
        """Leave the arrays of the network, which somebody may have seen, as they are from now on."""
        self._take(*self._copied(self.network.arrays(), list(self._slots)))

    def __call__(self, x: Any, t: Any, weight: Any = None) -> Any:
        """Update from a batch as `Network.batch` returns it; return its loss, 0-d on its device, or those by output."""
        if self.network.version != self._version or self.optimizer.grouping != self._grouping:
            self._look_again()
        gradient = self.gradient if self.accumulate == 1 else self.accumulated_gradient
        loss = gradient(x, t, weight, self._next_key() if self._may_draw else None)
        self.reduce()
        with self._updating:
            self.apply(*self.transform())
        if self._states:
            self.write_states()
        self.optimizer.steps += 1
        return loss

    @abstractmethod
    def gradient(self, x: Any, t: Any, weight: Any, key: Key | None) -> Any:
        """Find the gradient of the loss on a batch and what becomes of states, and return the loss."""

    @abstractmethod
    def accumulated_gradient(self, x: Any, t: Any, weight: Any, key: Key | None) -> Any:
        """Do what `gradient` does, with the memory that a micro-batch needs."""

    def reduce(self) -> None:  # noqa: B027  (there is nothing to do as long as there is one process)
        """Make one gradient of those of all processes: there is one."""

    @abstractmethod
    def transform(self) -> tuple[list[Any], list[Any], Numbers]:
        """Return parameters and gradients, part by part, after clipping and decay, and the numbers of the update."""

    @abstractmethod
    def apply(self, params: list[Any], grads: list[Any], numbers: Numbers) -> None:
        """Make what `transform` returned the next parameters and slots, by the optimizer's rule."""

    @abstractmethod
    def write_states(self) -> None:
        """Make what became of states in `gradient` their values."""

    def measured(self, run: Run, t: Any, weight: Any) -> Any:
        """Return what is measured on the last batch, by its outputs."""
        assert self.measuring is not None
        return self.measuring(run, self.outputs, t, weight)

    def _next_key(self) -> Key | None:
        return self.network.next_key() if self.network.is_random else None

    def over(
        self,
        batches: Batches | BatchStream,
        epoch: int,
        skip: int = 0,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Generator[Done]:
        """Take the steps of an epoch after the first `skip`, and yield what was done since it was yielded last.

        That is at steps which `LOOK_EVERY` divides, after some time, when it is `interrupted`, and at the end. All of a
        batch but x is at the network's place.
        """
        run, criterion, several = self.network.run(), self.network.criterion, len(self.network.order.inputs) > 1
        done, since = Done([], [], [], []), time.perf_counter()
        for number, (x, t, weight) in enumerate(batches.epoch(epoch, skip), skip + 1):
            done.losses.append(self(self.network.inputs(x, is_known=True), t, weight))
            if self.after_batch is not None:
                self.after_batch(number, criterion.record(done.losses[-1]))
            done.weights.append(criterion.total_weight(run, t, weight))
            if self.measuring is not None:
                done.measured.append(self.measured(run, t, weight))
            done.rows.append(batches.unpadded or (x[0] if several or x.__class__ is tuple else x).shape[0])
            del x, t, weight  # the next batch may get their memory, still warm
            if number % LOOK_EVERY == 0 or time.perf_counter() - since > _SECONDS or interrupted():
                yield done
                done, since = Done([], [], [], []), time.perf_counter()
        if done.rows:
            yield done

    def snapshot(self) -> Snapshot:
        """Return the arrays of network and optimizer and the number of updates made, and go on with copies."""
        optimizer = self.optimizer
        snapshot = Snapshot(self.network.arrays(), self._slots, optimizer.steps, optimizer.loss_scale)
        if self.is_scaled:
            (optimizer.loss_scale,) = copies([optimizer.loss_scale])
        self.go_on_with_copies()
        return snapshot

    def restore(self, snapshot: Snapshot) -> None:
        """Set network and optimizer back to a snapshot."""
        params, slots, self.optimizer.steps, scale = snapshot
        self.optimizer.loss_scale = scale if scale is None else copies([scale])[0]
        self._take(*self._copied(params, list(slots)))

    def weights(self, into: list[Any] | None = None) -> list[Any]:
        """Return copies of the network's arrays, in the memory of earlier ones where it can be written."""
        if into is None or not kernels_for(self.network.place.xp).updates:
            return copies(self.network.arrays())
        for copied, array in zip(into, self.network.arrays(), strict=True):
            copied[...] = array
        return into

    def start_anew(self, weights: list[Any], steps: int) -> None:
        """Set the network's arrays to those after so many updates, and slots, which may be NaN, to the beginning."""
        self.network.set_arrays(weights)
        self.optimizer.steps, self.optimizer.loss_scale = steps, None
        if self.optimizer.slots:
            self.optimizer.state, self.optimizer.steps, self.optimizer.thawed = {}, 0, {}
        self.begin()

    def weights_norm(self) -> float:
        """Return the norm of all parameters, infinite if its square overflows; this waits for the device."""
        half_squares = kernels_for(self.network.place.xp).half_squares
        with overflow_unreported():
            return math.sqrt(2.0 * float(sum(half_squares(box.value) for box in self._boxes)))

    def _copied(self, params: list[Any], slots: Slots) -> tuple[list[Any], Slots]:
        """Return copies, or what `_take` copies by itself."""
        return copies(params), [copies(slot) for slot in slots]

    def is_finite(self) -> bool:
        """Tell whether all parameters and states are finite; this waits for the device."""
        finite = kernels_for(self.network.place.xp).all_finite
        return all(bool(finite(array)) for array in self.network.arrays())

    @property
    def names(self) -> list[str]:
        """The parameters that are trained."""
        return self._names

    def _take(self, params: list[Any], slots: Slots) -> None:
        self.network.set_arrays(params)
        self._slots = slots
        self.optimizer.keep(self._names, slots)
