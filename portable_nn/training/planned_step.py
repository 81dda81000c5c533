"""Training steps as plans: arrays written in place."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property
from typing import Any

from portable_nn.arrays import copies, namespace_of, owns_memory
from portable_nn.kernels import Kernels, Plan, Recorder, UnrecordedError, declares, is_ours, kernels_for
from portable_nn.layers import Run
from portable_nn.networks import Network
from portable_nn.networks.opacity import has_known_walk
from portable_nn.optimizers import Optimizer, Slots
from portable_nn.random import Key
from portable_nn.training.base_step import TrainingStep

__all__ = ["PlannedStep"]

_PLANS = 8
"""Batch shapes whose plans are kept, with their memory."""


class PlannedStep(TrainingStep):
    """Steps that write: parameters and gradients are one flat array each, and each batch shape has its plan.

    An optimizer whose rule is elementwise gets the flat arrays, and its slots are flat, too. Any other gets lists of
    arrays in their shapes.
    """

    def __init__(self, network: Network, optimizer: Optimizer, kernels: Kernels):
        self._kernels = kernels
        self._elementwise = declares(type(optimizer), "elementwise")
        # Somebody's own rule may read what it gets after a kernel has returned.
        updating = kernels.updating() if is_ours(type(optimizer)) else (kernels, nullcontext())
        self._update_kernels, self._updating = updating
        self._plans: dict[Any, Callable[..., Any]] = {}
        super().__init__(network, optimizer)

    def _copied(self, params: list[Any], slots: Slots) -> tuple[list[Any], Slots]:
        return params, slots

    def _trained(self, arrays: list[Any]) -> list[Any]:
        return [arrays[i] for i in self._positions]

    def _take(self, params: list[Any], slots: Slots) -> None:
        """Go on with copies of these arrays; the list of slots is used up: each goes before the next is made."""
        if self._elementwise:
            flats: list[Flat] = []
            while slots:
                flats.append(Flat(slots.pop(0)))
            self._rule_slots, slots = [[flat.whole] for flat in flats], [flat.views for flat in flats]
        else:
            self._rule_slots = slots = [copies(slot) for slot in slots]
        self._flat = Flat(self._trained(params))
        params = list(params)
        for i, view in zip(self._positions, self._flat.views, strict=True):
            params[i] = view
        self._params = params
        super()._take(params, slots)

    @property
    def vector(self) -> Any:
        """All trained parameters in one array, to be written into."""
        return self._flat.whole

    @property
    def gradient(self) -> Any:
        """The gradient by `vector` that `differentiate` found."""
        return self._grads.whole

    def differentiate(self, x: Any, t: Any, weight: Any = None, key: Key | None = None) -> Any:
        """Write the gradient, and return the loss."""
        params = self.network.arrays()
        for mine, current in zip(self._params, params, strict=True):
            if mine is not current:  # somebody has assigned a parameter
                self._take(params, list(self._slots))
                params = self._params
                break
        shapes = x.shape, t.shape, weight is None, self.network.version
        plan = self._plans.get(shapes)
        if plan is not None:
            return plan(params, x, t, weight, key)
        if len(self._plans) == _PLANS:
            self._plans.clear()
        self._plans[shapes], loss = self._planned(params, x, t, weight, key)
        return loss

    def _advance(self, x: Any, t: Any, weight: Any, key: Key | None) -> Any:
        loss = self.differentiate(x, t, weight, key)
        params, grads = self._flat.views, self._grads.views
        if self.on_gradients is not None:
            by_name = dict(zip(self._names, grads, strict=True))
            for name, gradient in self.on_gradients(by_name).items():
                by_name[name][...] = gradient
        if self._elementwise:
            params, grads = [self._flat.whole], [self._grads.whole]
        numbers = self.optimizer.numbers()
        with self._updating:
            updated = self.optimizer.apply(self._update_kernels, list(params), list(grads), self._slot_lists(), numbers)
        self._write_updated([params, *self._rule_slots], [updated[0], *updated[1]])
        return loss

    def _write_updated(self, mine: list[list[Any]], new: list[list[Any]]) -> None:
        """Write what a rule has returned; where it gave an array of ours back, as it is before anything is written."""
        pairs = [pair for rows in zip(mine, new, strict=True) for pair in zip(*rows, strict=True)]
        pairs = [(array, value) for array, value in pairs if value is not array]
        if pairs:
            ours = {id(array) for arrays in mine for array in arrays}
            given = [copies([v])[0] if id(v) in ours or not owns_memory(v) else v for _, v in pairs]
            for (array, _), value in zip(pairs, given, strict=True):
                array[...] = value

    def _slot_lists(self) -> Slots:
        return [list(slot) for slot in self._rule_slots]

    def _planned(
        self, params: list[Any], x: Any, t: Any, weight: Any, key: Key | None
    ) -> tuple[Callable[..., Any], Any]:
        """Return the function that writes the gradients and returns the loss for such batches, and the loss."""
        given: dict[str, Any] = {"params": params, "x": x, "t": t, "weight": weight, "key": key}
        for trusting in (True, False) if has_known_walk(self.network) else ():
            recorder = Recorder(self._kernels, trusting=trusting)
            inputs = {name: recorder.input(tree) for name, tree in given.items()}
            run = Run(self.network.place, recorder, training=True, key=inputs["key"])
            arrays = (inputs[name] for name in ("params", "x", "t", "weight"))
            try:
                loss, grads = self.network.loss_and_gradients(run, *arrays)
                grads = self._trained(grads)
                values = recorder.values(grads)
            except UnrecordedError:
                continue
            if recorder.is_opaque:  # whose code must run once a step
                self._write(grads)
            del grads
            recorder.forget(values)  # they make room for the flat array
            into = list(zip(values, self._grads.views, strict=True))
            plan = Plan(recorder, inputs, loss, into=into, reuses=True)
            return plan, loss if recorder.is_opaque else plan(*given.values())
        return self._walk, self._walk(*given.values())

    @cached_property
    def _grads(self) -> "Flat":
        """Where plans write the gradients."""
        return Flat(self._trained(self._params))

    def _walk(self, params: list[Any], x: Any, t: Any, weight: Any, key: Key | None) -> Any:
        """Do what a plan does, for networks whose layout is somebody's own."""
        run = Run(self.network.place, self._kernels, training=True, key=key)
        loss, grads = self.network.loss_and_gradients(run, params, x, t, weight)
        self._write(self._trained(grads))
        return loss

    def _write(self, grads: list[Any]) -> None:
        for view, gradient in zip(self._grads.views, grads, strict=True):
            view[...] = gradient


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
