"""Training steps as plans: arrays written in place."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from portable_nn.arrays import namespace_of
from portable_nn.kernels import Kernels, Plan, Recorder, UnrecordedError, kernels_for
from portable_nn.layers import Layer, Run
from portable_nn.networks import Network
from portable_nn.optimizers import Optimizer, Slots
from portable_nn.random import Key
from portable_nn.training.base_step import Snapshot, TrainingStep

__all__ = ["PlannedStep"]

_PLANS = 8
"""Batch shapes whose plans are kept, with their memory."""


class PlannedStep(TrainingStep):
    """Steps that write: parameters, gradients and each slot are one flat array, and each batch shape has its plan."""

    def __init__(self, network: Network, optimizer: Optimizer, kernels: Kernels):
        self._kernels = kernels
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

    @property
    def vector(self) -> Any:
        """All trained parameters in one array, to be written into."""
        return self._flat.whole

    @property
    def gradient(self) -> Any:
        """The gradient by `vector` that `differentiate` found."""
        return self._grads.whole

    def differentiate(self, x: Any, t: Any, weight: Any = None, key: Key = (0, 0)) -> Any:
        """Write the gradient, and return the loss."""
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
        return plan(params, x, t, weight, key)

    def _advance(self, x: Any, t: Any, weight: Any, key: Key) -> Any:
        loss = self.differentiate(x, t, weight, key)
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
