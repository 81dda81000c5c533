"""Training steps as plans: arrays written in place."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cached_property
from itertools import chain
from operator import is_not
from typing import Any, ClassVar

from portable_nn.arrays import copies, each, is_several, namespace_of, owns_memory
from portable_nn.kernels import Kernels, Plan, Recorder, UnrecordedError, declares, is_ours
from portable_nn.layers import Run, State
from portable_nn.losses import LossByOutput
from portable_nn.metrics import Measuring
from portable_nn.networks import Network
from portable_nn.networks.opacity import has_known_walk
from portable_nn.optimizers import Numbers, Optimizer, Slots
from portable_nn.optimizers.groups import taken
from portable_nn.optimizers.parts import slots_by_part
from portable_nn.random import Key
from portable_nn.training.accumulation import Shares, micro_key, micro_rows, weighted
from portable_nn.training.base_step import TrainingStep
from portable_nn.training.flat import Flat, Layout
from portable_nn.training.samples import count
from portable_nn.training.states import StateMemory

__all__ = ["PlannedStep"]

_PLANS = 8
"""Batch shapes whose plans are kept, with their memory."""


class PlannedStep(TrainingStep):
    """Steps that write: parameters and gradients are one flat array each, and each batch shape has its plan.

    An optimizer whose rule is elementwise gets the flat arrays, and its slots are flat, too: with groups, for each part
    that is updated alike a run of them. Any other gets lists of arrays in their shapes.
    """

    unit: ClassVar[int] = 0
    """As of `kernels.pack`, for all arrays."""

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        kernels: Kernels,
        accumulate: int = 1,
        measuring: Measuring | None = None,
    ):
        self._kernels = kernels
        self._elementwise = declares(type(optimizer), "elementwise")
        # Somebody's own rule may read what it gets after a kernel has returned.
        updating = kernels.updating() if is_ours(type(optimizer)) else (kernels, nullcontext())
        self._update_kernels, together = updating
        self._plans: dict[Any, Callable[..., Any]] = {}
        self._layout = Layout((), {})
        self._memory: StateMemory | None = None
        super().__init__(network, optimizer, accumulate, measuring)
        self._updating = together

    def _copied(self, params: list[Any], slots: Slots) -> tuple[list[Any], Slots]:
        return params, slots

    def _look(self) -> None:
        before = self._layout
        super()._look()
        self._several = len(self.network.order.inputs) > 1 or isinstance(self.network.criterion, LossByOutput)
        alike = len(self._live) == 1 and self._live[0].is_plain
        self._plain = alike and not callable(self.optimizer.weight_decay)
        self._layout = Layout.of(self._parts, self._trained(self.network.arrays()), self.unit)
        if self._layout != before:
            self._plans.clear()
            for name in ("_grads", "_total", "_into"):
                vars(self).pop(name, None)

    def _take(self, params: list[Any], slots: Slots) -> None:
        """Go on with copies of these arrays; the list of slots is used up: each goes before the next is made."""
        if self._elementwise:
            flats: list[Flat] = []
            while slots:
                flats.append(Flat(slots.pop(0), self._layout))
            self._slot_rows = [[[flat.run(part)] for flat in flats] for part in self._live]
            slots = [flat.views for flat in flats]
        self._flat = Flat(self._trained(params), self._layout)
        if not self._elementwise:
            slots = [[*map(_laid_as, slot, self._flat.views)] for slot in slots]
            self._slot_rows = slots_by_part(self._live, slots)
        self._param_rows = self._rows(self._flat)
        self._written: list[list[Any]] = [*self._param_rows, *chain(*self._slot_rows)]
        vars(self).pop("_grad_rows", None)
        params = list(params)
        for i, view in zip(self._positions, self._flat.views, strict=True):
            params[i] = view
        if self._states:
            params[-len(self._states) :] = self._remembered(params[-len(self._states) :])
        self._params = self._computed = params
        super()._take(params, slots)

    def _remembered(self, states: list[Any]) -> list[Any]:
        """Return the memory in which these states, or copies of them, are from now on."""
        if self._memory is None:
            self._memory = StateMemory(self._states, states)
        else:
            self._memory.take(states)
        return self._memory.views

    def _rows(self, flat: "Flat") -> list[list[Any]]:
        """Return what the optimizer gets of each part that is not frozen."""
        return [[flat.run(part)] if self._elementwise else taken(part, flat.views) for part in self._live]

    @property
    def vector(self) -> Any:
        """All trained parameters in one array, to be written into."""
        return self._flat.whole

    @property
    def slope(self) -> Any:
        """The gradient by `vector`."""
        return self._grads.whole

    def gradient(self, x: Any, t: Any, weight: Any = None, key: Key | None = None, *dout: Any) -> Any:
        """Write the gradient, and return the loss; `dout` as in `Network.loss_and_gradients`."""
        if self._memory is not None and self._memory.are_replaced():
            self.go_on_with_copies()
        for mine, box in zip(self._params, self._boxes, strict=False):
            if mine is not box.value:  # somebody has assigned a parameter
                self.go_on_with_copies()
                break
        if self._several or x.__class__ is tuple:
            shapes = _shapes(x, t, weight, *dout)
        else:
            shapes = x.shape, t.shape, None if weight is None else weight.shape
        plan = self._plans.get((shapes, self._version))
        if plan is not None:
            result = plan(self._computed, x, t, weight, key, *dout)
        else:
            if len(self._plans) == _PLANS:
                del self._plans[next(iter(self._plans))]
            self._plans[shapes, self._version], result = self._planned(self._computed, x, t, weight, key, *dout)
        if self.measuring is None:
            return result
        loss, self.outputs = result
        return loss

    def accumulated_gradient(self, x: Any, t: Any, weight: Any, key: Key | None) -> Any:
        """Write the gradient, added up from micro-batches, and return the loss."""
        rows, end, before = micro_rows(x, self.accumulate), count(x), self._computed
        if end <= rows:
            return self.gradient(x, t, weight, key)
        run = self.network.run()
        shares = Shares(self.network.criterion, run, t, weight)

        def add(state: None, first: int, batch: tuple[Any, ...]) -> tuple[None, Any, Any]:
            share = shares.of(run, *batch[1:])
            # What losses by output count cannot be made up for when their gradients are one.
            dout, factor = ((run.arrays(share),), 1.0) if is_several(share) else ((), share)
            loss = self.gradient(*batch, micro_key(key, first, count(batch[0])), *dout)
            if self._memory is not None:
                self._computed = [*before[: -len(self._states)], *self._memory.between()]
            self._add_up(factor, first=first == 0, last=first + rows >= end)
            return None, weighted(share, loss), self.outputs

        _, loss, self.outputs = self._kernels.accumulate(add, None, (x, t, weight), rows)
        self._computed = before
        return loss

    def _add_up(self, share: Any, *, first: bool, last: bool) -> None:
        """Add a share of the gradient to the total, or last of all the total to the gradient: in place."""
        slope, total = self.slope, self._total
        slope *= share
        if first:
            total[...] = slope
        elif last:
            slope += total
        else:
            total += slope

    def transform(self) -> tuple[list[Any], list[Any], Numbers]:
        """Let `on_gradients` and the optimizer change the gradient and the parameters, in place if it can be."""
        if self.on_gradients is not None:
            by_name = dict(zip(self._names, self._grads.views, strict=True))
            for name, gradient in self.on_gradients(by_name).items():
                by_name[name][...] = gradient
        numbers = self.optimizer.numbers() if self._plain else self.optimizer.numbers_for(self._live)
        params, grads = [*map(list, self._param_rows)], [*map(list, self._grad_rows)]
        return *self.optimizer.transform(self._update_kernels, params, grads, numbers, self._live), numbers

    def apply(self, params: list[Any], grads: list[Any], numbers: Numbers) -> None:
        """Write the updated parameters and slots."""
        optimizer, kernels = self.optimizer, self._update_kernels
        if self._plain:
            slots = [*map(list, self._slot_rows[0])]
            row, slots = optimizer.rule(kernels, params[0], grads[0], slots, numbers)
            new = [row, *slots]
        else:
            slots = [[list(slot) for slot in row] for row in self._slot_rows]
            rows, changed = optimizer.apply(kernels, params, grads, slots, numbers, self._live)
            new = [*rows, *chain(*changed)]
        for ours, theirs in zip(self._written, new, strict=True):
            if len(ours) != len(theirs) or any(map(is_not, ours, theirs)):
                self._write_updated(self._written, new)
                return

    def write_states(self) -> None:
        """Write what the batch has made of states."""
        if self._memory is not None:
            self._memory.write()

    def _write_updated(self, mine: list[list[Any]], new: list[list[Any]]) -> None:
        """Write what a rule has returned; where it gave an array of ours back, as it is before anything is written."""
        pairs = [pair for rows in zip(mine, new, strict=True) for pair in zip(*rows, strict=True)]
        pairs = [(array, value) for array, value in pairs if value is not array]
        ours = {id(array) for arrays in mine for array in arrays}
        given = [copies([v])[0] if id(v) in ours or not owns_memory(v) else v for _, v in pairs]
        for (array, _), value in zip(pairs, given, strict=True):
            array[...] = value

    def _planned(
        self, params: list[Any], x: Any, t: Any, weight: Any, key: Key | None, *dout: Any
    ) -> tuple[Callable[..., Any], Any]:
        """Return the function that writes the gradients and returns the loss for such batches, and the loss.

        Where something is measured, the outputs stand beside each loss.
        """
        given: dict[str, Any] = {"params": params, "x": x, "t": t, "weight": weight, "key": key}
        given |= {"dout": dout[0]} if dout else {}
        for trusting in (True, False) if has_known_walk(self.network) else ():
            recorder = Recorder(self._kernels, trusting=trusting)
            inputs = {name: recorder.input(tree) for name, tree in given.items()}
            run = Run(self.network.place, recorder, training=True, key=inputs["key"])
            arrays = (inputs[name] for name in inputs if name != "key")
            try:
                loss, grads = self.network.loss_and_gradients(run, *arrays)
                grads = self._trained(grads)
                values, states = recorder.values(grads), recorder.values([*run.changed.values()])
            except UnrecordedError:
                continue
            if recorder.is_opaque:  # whose code must run once a step
                self._write(grads, run.changed)
            del grads
            recorder.forget(values)  # they make room for the flat array
            into = list(zip(values, self._into.views, strict=True))
            into += list(zip(states, map(self._new_states.__getitem__, run.changed), strict=True))
            result = loss if self.measuring is None else (loss, run.outputs)
            plan = Plan(recorder, inputs, result, into=into, reuses=True)
            return plan, result if recorder.is_opaque else plan(*given.values())
        return self._walk, self._walk(*given.values())

    @cached_property
    def _grads(self) -> "Flat":
        """The gradients."""
        return Flat(self._trained(self._params), self._layout)

    @cached_property
    def _into(self) -> "Flat":
        """Where plans write the gradients."""
        return self._grads

    @cached_property
    def _total(self) -> Any:
        """Where the gradients of micro-batches are added up."""
        return copies([self.slope])[0]

    @cached_property
    def _grad_rows(self) -> list[list[Any]]:
        return self._rows(self._grads)

    def _walk(self, params: list[Any], x: Any, t: Any, weight: Any, key: Key | None, *dout: Any) -> Any:
        """Do what a plan does, for networks whose layout is somebody's own."""
        run = Run(self.network.place, self._kernels, training=True, key=key)
        loss, grads = self.network.loss_and_gradients(run, params, x, t, weight, *dout)
        self._write(self._trained(grads), run.changed)
        return loss if self.measuring is None else (loss, run.outputs)

    def _write(self, grads: list[Any], changed: Mapping[State, Any]) -> None:
        for view, gradient in zip(self._into.views, grads, strict=True):
            view[...] = gradient
        for state, value in changed.items():
            self._new_states[state][...] = value

    @property
    def _new_states(self) -> Mapping[State, Any]:
        """Where plans write what becomes of states."""
        return {} if self._memory is None else self._memory.new


def _laid_as(slot: Any, parameter: Any) -> Any:
    """Return a copy of a slot that lies in memory as its parameter does: sums over it round alike, wherever it was."""
    xp = namespace_of(slot)
    if slot.shape != parameter.shape:
        return copies([xp.reshape(xp.reshape(slot, (-1,)), slot.shape)])[0]
    copied = xp.zeros_like(parameter, dtype=slot.dtype)
    copied[...] = slot
    return copied


def _shapes(*batch: Any) -> Any:
    """Return the shapes of all arrays, some of which are in tuples."""
    return each(lambda array: array.shape, batch)
