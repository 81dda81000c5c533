"""One training step: from a batch to updated parameters."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

from portable_nn.arrays import namespace_of
from portable_nn.kernels import Plan, Recorder, UnrecordedError, kernels_for
from portable_nn.layers import Layer, Run
from portable_nn.networks import Network
from portable_nn.optimizers import Numbers, Optimizer, Slots
from portable_nn.random import Key

__all__ = ["CompiledStep", "PlannedStep", "Snapshot", "TrainingStep", "copies", "pure_step", "training_step"]

_PLANS = 8
"""Batch shapes whose plans are kept, with their memory."""

Snapshot = tuple[list[Any], Slots, int]
"""The arrays of a network and an optimizer, and the number of updates made."""


def pure_step(network: Network, optimizer: Optimizer) -> Callable[..., tuple[list[Any], Slots, Any]]:
    """Return the function (params, slots, x, t, weight, key, numbers) -> (params, slots, loss).

    It reads nothing of the network and the optimizer but what stays fixed, and writes nothing.
    """
    place, kernels = network.place, kernels_for(network.place.xp)
    trained = list(network.trainable().values())

    def step(
        params: list[Any], slots: Slots, x: Any, t: Any, weight: Any, key: Key, numbers: Numbers
    ) -> tuple[list[Any], Slots, Any]:
        run = Run(place, kernels, training=True, key=key)
        loss, grads = network.loss_and_gradients(run, params, x, t, weight)
        old, grads = [params[i] for i in trained], [grads[i] for i in trained]
        updated, slots = optimizer.apply(kernels, old, grads, slots, numbers)
        params = list(params)
        for i, array in zip(trained, updated, strict=True):
            params[i] = array
        return params, slots, loss

    return step


def training_step(network: Network, optimizer: Optimizer, earlier: "TrainingStep | None" = None) -> "TrainingStep":
    """Return the steps of a training run, in the way that suits the network's backend.

    Those of an `earlier` run go on if nothing has changed that they were made for.

    Raises
    ------
    ShapeError, ValueError
        If the optimizer has updated another network.
    """
    if earlier is not None and earlier.made_for == made_for(network, optimizer):
        step = earlier
    else:
        writes = bool(kernels_for(network.place.xp).updates)
        step = (PlannedStep if writes and network.trainable() else CompiledStep)(network, optimizer)
    step.begin()
    return step


def made_for(network: Network, optimizer: Optimizer) -> tuple[Any, ...]:
    """Return all that a step may take for granted."""
    moving = ("schedule", "state", "steps")
    options = {name: value for name, value in vars(optimizer).items() if name not in moving}
    return network, optimizer, network.loss_function, list(network.trainable()), options, Layer.changes


class TrainingStep(ABC):
    """The steps of a training run: each takes a batch, updates the network and the optimizer, and returns the loss.

    A step may reuse the memory of the arrays that it replaces. Only arrays of the run's own are replaced so: each
    snapshot keeps the arrays that anyone may have seen, and goes on with copies.
    """

    def __init__(self, network: Network, optimizer: Optimizer):
        self.network, self.optimizer = network, optimizer
        self.made_for = made_for(network, optimizer)
        self._names, self._positions = list(network.trainable()), list(network.trainable().values())
        self._slots: Slots = []

    def begin(self) -> None:
        """Take over the network and the optimizer as they are now."""
        arrays = self.network.arrays()
        self._slots = self.optimizer.slots_of(self._names, [arrays[i] for i in self._positions])
        self.snapshot()

    def __call__(self, x: Any, t: Any, weight: Any = None) -> Any:
        """Update from a batch as `Network.batch` returns it, and return its loss, a 0-d array on its device."""
        key = self.network.next_key() if self.network.is_random else (0, 0)
        loss = self._advance(x, t, weight, key)
        self.optimizer.steps += 1
        return loss

    def snapshot(self) -> Snapshot:
        """Return the arrays of network and optimizer and the number of updates made, and go on with copies."""
        params, slots = self.network.arrays(), self._slots
        self._take(copies(params), [copies(slot) for slot in slots])
        return params, slots, self.optimizer.steps

    def restore(self, snapshot: Snapshot) -> None:
        """Set network and optimizer back to a snapshot."""
        params, slots, self.optimizer.steps = snapshot
        self._take(params, slots)

    def is_finite(self) -> bool:
        """Tell whether all parameters are finite; this waits for the device."""
        finite = kernels_for(self.network.place.xp).all_finite
        return all(bool(finite(array)) for array in self.network.arrays())

    @abstractmethod
    def _advance(self, x: Any, t: Any, weight: Any, key: Key) -> Any:
        """Update network and optimizer, and return the loss."""

    def _take(self, params: list[Any], slots: Slots) -> None:
        self.network.set_arrays(params)
        self._slots = slots
        self.optimizer.keep(self._names, slots)


class CompiledStep(TrainingStep):
    """Steps of one pure function, which the backend may compile: arrays in, other arrays out."""

    def __init__(self, network: Network, optimizer: Optimizer):
        super().__init__(network, optimizer)
        self._step = kernels_for(network.place.xp).compile_step(pure_step(network, optimizer))

    def _advance(self, x: Any, t: Any, weight: Any, key: Key) -> Any:
        params, slots, loss = self._step(
            self.network.arrays(), self._slots, x, t, weight, key, self.optimizer.numbers()
        )
        self._take(params, slots)
        return loss


class PlannedStep(TrainingStep):
    """Steps that write: parameters, gradients and each slot are one flat array, and each batch shape has its plan."""

    def __init__(self, network: Network, optimizer: Optimizer):
        self._kernels = kernels_for(network.place.xp)
        self._in_place = self._kernels.in_place()
        self._plans: dict[Any, Callable[..., Any]] = {}
        super().__init__(network, optimizer)

    def snapshot(self) -> Snapshot:
        """Return the arrays of network and optimizer and the number of updates made, and go on with copies."""
        snapshot = self.network.arrays(), self._slots, self.optimizer.steps
        self._take(*snapshot[:2])
        return snapshot

    def _trained(self, arrays: list[Any]) -> list[Any]:
        return [arrays[i] for i in self._positions]

    def _take(self, params: list[Any], slots: Slots) -> None:
        """Go on with copies of these arrays."""
        self._flat = Flat(self._trained(params))
        self._flat_slots = [Flat(slot) for slot in slots]
        params = list(params)
        for i, view in zip(self._positions, self._flat.views, strict=True):
            params[i] = view
        self._params = params
        super()._take(params, [flat.views for flat in self._flat_slots])

    def _advance(self, x: Any, t: Any, weight: Any, key: Key) -> Any:
        params = self.network.arrays()
        for mine, current in zip(self._params, params, strict=True):
            if mine is not current:  # somebody has assigned a parameter
                self._take(params, self._slots)
                params = self._params
                break
        shapes = x.shape, t.shape, weight is None, Layer.changes
        plan = self._plans.get(shapes)
        if plan is None:
            if len(self._plans) == _PLANS:
                self._plans.clear()
            plan = self._plans[shapes] = self._plan(params, x, t, weight, key)
        loss = plan(params, x, t, weight, key)
        slots = [[flat.whole] for flat in self._flat_slots]
        self.optimizer.apply(self._in_place, [self._flat.whole], [self._grads.whole], slots, self.optimizer.numbers())
        return loss

    def _plan(self, params: list[Any], x: Any, t: Any, weight: Any, key: Key) -> Callable[..., Any]:
        """Return the function that writes the gradients and returns the loss, for batches like this one."""
        recorder = Recorder(self._kernels)
        inputs = {
            name: recorder.input(tree)
            for name, tree in {"params": params, "x": x, "t": t, "weight": weight, "key": key}.items()
        }
        run = Run(self.network.place, recorder, training=True, key=inputs["key"])
        arrays = (inputs[name] for name in ("params", "x", "t", "weight"))
        try:
            loss, grads = self.network.loss_and_gradients(run, *arrays)
            values = recorder.values(self._trained(grads))
            del grads
            recorder.forget(values)  # they make room for the flat array
            return Plan(recorder, inputs, loss, into=list(zip(values, self._grads.views, strict=True)), reuses=True)
        except UnrecordedError:
            return self._walk

    @cached_property
    def _grads(self) -> "Flat":
        """Where plans write the gradients."""
        return Flat(self._trained(self._params))

    def _walk(self, params: list[Any], x: Any, t: Any, weight: Any, key: Key) -> Any:
        """Do what a plan does, for layers whose work no kernel does."""
        run = Run(self.network.place, self._kernels, training=True, key=key)
        loss, grads = self.network.loss_and_gradients(run, params, x, t, weight)
        for view, gradient in zip(self._grads.views, self._trained(grads), strict=True):
            view[...] = gradient
        return loss


class Flat:
    """Copies of arrays in one array.

    Attributes
    ----------
    whole : array of shape (size,)
    views : list of arrays
        Its parts, in the shapes of the arrays.
    """

    def __init__(self, arrays: list[Any]):
        self.whole, self.views = kernels_for(namespace_of(arrays[0])).pack(arrays)


def copies(arrays: list[Any]) -> list[Any]:
    """Return copies of arrays, where they are."""
    return [namespace_of(array).asarray(array, copy=True) for array in arrays]
