"""Training steps as one pure function, which the backend may compile."""

import math
from collections.abc import Callable, Generator
from typing import Any

from portable_nn.arrays import copies, flat, is_several
from portable_nn.kernels import PORTABLE, Kernel, kernels_at
from portable_nn.kernels.portable.loss_scaling import chosen, next_loss_scale
from portable_nn.layers import Run
from portable_nn.layers.inputs import input_dtype
from portable_nn.layers.run import check_gradients
from portable_nn.networks import Network
from portable_nn.optimizers import Numbers, Optimizer, Slots
from portable_nn.optimizers.groups import rows
from portable_nn.optimizers.parts import joined, joined_slots, slots_by_part
from portable_nn.random import Key
from portable_nn.training.accumulation import Shares, micro_key, micro_rows, weighted
from portable_nn.training.base_step import Done, TrainingStep, versions
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.batches import Batches
from portable_nn.training.mixed_step import scaled
from portable_nn.training.samples import count

__all__ = ["CompiledStep", "pure_step"]

_NO_KEY: Key = (0, 0)
"""In the place of a key that nothing asks for: with None a compiled function would be another one."""

_STEPS = 50
"""Steps in one call, at most: more would hide progress, and gain nothing."""

_WORK = 2_500_000_000
"""Multiplications in one call, about: some 50 ms on one core."""


def pure_gradient(
    network: Network, micro_batches: int = 1, accumulate: Kernel = PORTABLE.accumulate
) -> Callable[..., tuple[list[Any], Slots, Any]]:
    """Return the first half of `pure_step`: its result is (loss, gradients of what is trained, new states)."""
    place, kernels, trained = network.place, kernels_at(network.place), network.trainable()
    sharing, first_state = network.sharing, len(network.sharing.parameters)

    def one(
        params: list[Any], scale: Any, x: Any, t: Any, weight: Any, key: Key | None, *dout: Any
    ) -> tuple[Any, list[Any], list[Any]]:
        run = Run(place, kernels, training=True, key=key if network.is_random else None)
        dout = dout if scale is None else (scaled(scale, *dout),)
        loss, grads = network.loss_and_gradients(run, params, x, t, weight, *dout)
        grads = grads if scale is None else [None if g is None else g * (1.0 / scale) for g in grads]
        found = {name: grads[i] for name, i in trained.items()}
        check_gradients("the network", {name: params[i] for name, i in trained.items()}, found)
        return loss, list(found.values()), sharing.after(params, run.changed)[first_state:]

    def gradient(
        params: list[Any], slots: Slots, x: Any, t: Any, weight: Any, key: Key | None, numbers: Numbers
    ) -> tuple[list[Any], Slots, Any]:
        rows = micro_rows(x, micro_batches)
        scale = slots[-1][0][0] if place.precision == "float16" else None
        if count(x) <= rows:
            return params, slots, one(params, scale, x, t, weight, key)
        shares = Shares(network.criterion, Run(place, kernels, training=True), t, weight)

        def add(states: list[Any], first: Any, batch: tuple[Any, ...]) -> tuple[list[Any], Any]:
            share = shares.of(Run(place, kernels, training=True), *batch[1:])
            # What losses by output count cannot be made up for when their gradients are one.
            dout, factor = ((share,), 1.0) if is_several(share) else ((), share)
            key_of_rows = micro_key(key, first, count(batch[0]))
            loss, grads, states = one([*params[:first_state], *states], scale, *batch, key_of_rows, *dout)
            return states, (weighted(share, loss), [factor * gradient for gradient in grads])

        states, (loss, grads) = accumulate(add, params[first_state:], (x, t, weight), rows)
        return params, slots, (loss, grads, states)

    return gradient


def pure_update(network: Network, optimizer: Optimizer) -> Callable[..., tuple[list[Any], Slots, Any]]:
    """Return the second half of `pure_step`, the function (params, slots, gradients, key, numbers).

    Its result is whether the update counts, or None where each does; see `kernels.portable.loss_scaling`.
    """
    kernels, trained = kernels_at(network.place), list(network.trainable().values())
    arrays = network.arrays()
    parts = optimizer.parts(list(network.trainable()), [arrays[i] for i in trained], list(network.parameters))
    parts = optimizer.live(parts)

    def update(
        params: list[Any], slots: Slots, grads: list[Any], key: Key | None, numbers: Numbers
    ) -> tuple[list[Any], Slots, Any]:
        before = [params[i] for i in trained]
        slots, scale = (slots[:-1], slots[-1][0]) if network.place.precision == "float16" else (slots, None)
        ready = optimizer.transform(kernels, rows(parts, before), rows(parts, grads), numbers, parts)
        updated, changed = optimizer.apply(kernels, *ready, slots_by_part(parts, slots), numbers, parts)
        new, params, changed_slots = joined(parts, before, updated), list(params), joined_slots(parts, slots, changed)
        counts = None
        if scale is not None:
            counts, after = next_loss_scale(scale, grads)
            new = chosen(counts, new, before)
            changed_slots = [chosen(counts, *pair) for pair in zip(changed_slots, slots, strict=True)]
            changed_slots.append([after])
        for i, array in zip(trained, new, strict=True):
            params[i] = array
        return params, changed_slots, counts

    return update


def pure_step(
    network: Network, optimizer: Optimizer, micro_batches: int = 1, accumulate: Kernel = PORTABLE.accumulate
) -> Callable[..., tuple[list[Any], Slots, Any]]:
    """Return the function (params, slots, x, t, weight, key, numbers) -> (params, slots, (loss, weight of the batch)).

    It reads nothing of the network and the optimizer but what stays fixed, and writes nothing. `accumulate` is the
    kernel that goes through the micro-batches of a batch.
    """
    gradient, update = pure_gradient(network, micro_batches, accumulate), pure_update(network, optimizer)
    place, kernels, first_state = network.place, kernels_at(network.place), len(network.sharing.parameters)

    def step(
        params: list[Any], slots: Slots, x: Any, t: Any, weight: Any, key: Key | None, numbers: Numbers
    ) -> tuple[list[Any], Slots, Any]:
        params, slots, (loss, grads, states) = gradient(params, slots, x, t, weight, key, numbers)
        old = params[first_state:]
        params, slots, counts = update(params, slots, grads, key, numbers)
        params = [*params[:first_state], *(states if counts is None else chosen(counts, states, old))]
        run = Run(place, kernels, training=True)
        return params, slots, (loss, network.criterion.total_weight(run, t, weight))

    return step


class CompiledStep(TrainingStep):
    """Steps of one pure function: arrays in, other arrays out.

    Where data are at hand, many steps are one call. How many depends on sizes alone, so that a run rounds alike each
    time.
    """

    def __init__(self, network: Network, optimizer: Optimizer, accumulate: int = 1, *, compiled: bool = True):
        super().__init__(network, optimizer, accumulate)
        self._kernels = kernels_at(network.place) if compiled else PORTABLE
        self._joins = self._kernels.compile_steps is not PORTABLE.compile_steps
        self._versions: tuple[int, ...] = ()

    def _look(self) -> None:
        super()._look()
        self._may_draw = True  # `_next_key` says
        if versions(self.network, self.optimizer) != self._versions:
            self._compile()

    def _compile(self) -> None:
        self._versions = versions(self.network, self.optimizer)
        step = pure_step(self.network, self.optimizer, self.accumulate, self._kernels.accumulate)
        self._step, self._steps = self._kernels.compile_step(step), self._kernels.compile_steps(step)
        self._halves: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def _next_key(self) -> Key:
        if versions(self.network, self.optimizer) != self._versions:  # a callback has replaced an option
            self._look()
        return super()._next_key() or _NO_KEY

    def steps_in_a_call(self, batch_size: int) -> int:
        """Return how many steps `take` is best called for."""
        parameters = sum(math.prod(array.shape) for array in self.network.arrays())
        return max(1, min(_STEPS, _WORK // (6 * parameters * batch_size + 1))) if self._joins else 1

    def over(
        self,
        batches: Batches | BatchStream,
        epoch: int,
        skip: int = 0,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Generator[Done]:
        """Take the steps of an epoch after the first `skip`: as many in each call as suits, the rest one by one."""
        told = self.after_batch is not None or self.on_gradients is not None
        if told or not isinstance(batches, Batches) or (count := self._steps_in_a_call_for(batches)) == 1:
            yield from super().over(batches, epoch, skip, interrupted)
            return
        order, size, alone = batches.order(epoch), count * batches.batch_size, batches.batch_size
        first, together = skip * alone, batches.samples // size * size
        joined = range(-(-first // size) * size, together, size)
        for start in range(first, min(joined.start, batches.samples), alone):
            yield self.take(batches.arrays, order[None, start : start + alone])
        for start in joined:
            yield self.take(batches.arrays, order[start : start + size].reshape(count, alone))
        for start in range(max(joined.start, together), batches.samples, alone):
            yield self.take(batches.arrays, order[None, start : start + alone])

    def _steps_in_a_call_for(self, batches: Batches) -> int:
        return self.steps_in_a_call(batches.batch_size) if batches.lie_at(self.network.place) else 1

    def take(self, data: list[Any], orders: Any) -> Done:
        """Update from the batches of data [x, t, weight] that are at indices `orders` (S, n), a NumPy array."""
        numbers: list[Numbers] = []
        keys: list[Key] = []
        for _ in range(orders.shape[0]):
            keys.append(self._next_key())
            numbers.append(self._numbers())
            self.optimizer.steps += 1
        place = self.network.place
        x, *others = data
        dtypes = (*(input_dtype(kind, place) for kind in self.network.input_kinds), place.xp.bool)  # that of a mask
        cast = tuple(
            part if part.dtype == d else place.xp.astype(part, d) for part, d in zip(flat(x), dtypes, strict=False)
        )
        x = cast if is_several(x) else cast[0]
        params, slots, (losses, weights) = self._steps(
            self.network.arrays(),
            self._given_slots(),
            [x, *others],
            orders,
            keys,
            numbers,
        )
        self._take_back(params, slots)
        return Done(losses, weights, [orders.shape[1]] * orders.shape[0])

    def __call__(self, x: Any, t: Any, weight: Any = None) -> Any:
        """Update from a batch, and return its loss: all phases in one call, unless somebody looks at the gradient."""
        if self.on_gradients is not None:
            return super().__call__(x, t, weight)
        key = self._next_key()
        given = self.network.arrays(), self._given_slots()
        params, slots, (loss, _) = self._step(*given, x, t, weight, key, self._numbers())
        self._take_back(params, slots)
        self.optimizer.steps += 1
        return loss

    def gradient(self, x: Any, t: Any, weight: Any, key: Key | None) -> Any:
        """Find the gradient, and return the loss."""
        if self._halves is None:
            gradient = pure_gradient(self.network, self.accumulate, self._kernels.accumulate)
            halves = gradient, pure_update(self.network, self.optimizer)
            self._halves = self._kernels.compile_step(halves[0]), self._kernels.compile_step(halves[1])
        params, slots, (loss, self._found, self._new_states) = self._halves[0](
            self.network.arrays(), self._given_slots(), x, t, weight, key, self._numbers()
        )
        self._take_back(params, slots)
        return loss

    accumulated_gradient = gradient

    def transform(self) -> tuple[list[Any], list[Any], Numbers]:
        """Let `on_gradients` change the gradient; `pure_update` does the rest."""
        by_name = dict(zip(self._names, self._found, strict=True))
        by_name |= {} if self.on_gradients is None else self.on_gradients(by_name)
        self._found: list[Any] = []
        return self.network.arrays(), list(by_name.values()), self._numbers()

    def apply(self, params: list[Any], grads: list[Any], numbers: Numbers) -> None:
        """Update the network, by `pure_update`."""
        assert self._halves is not None
        params, slots, self._counts = self._halves[1](params, self._given_slots(), grads, _NO_KEY, numbers)
        self._take_back(params, slots)

    def write_states(self) -> None:
        """Put what the batch has made of states into the network."""
        arrays, new = self.network.arrays(), self._new_states
        old = arrays[-len(self._states) :]
        new = new if self._counts is None else chosen(self._counts, new, old)
        self._take([*arrays[: -len(old)], *new], self._slots)

    def _given_slots(self) -> Slots:
        """Return the slots, with the loss scale as one more if there is one."""
        return [*self._slots, [self.optimizer.loss_scale]] if self.is_scaled else self._slots

    def _take_back(self, params: list[Any], slots: Slots) -> None:
        """Go on with what was made of these and of `_given_slots`."""
        if self.is_scaled:
            *slots, (self.optimizer.loss_scale,) = slots
        self._take(params, slots)

    def _take(self, params: list[Any], slots: Slots) -> None:
        if self._states and not self._joins:  # a layer may have made a state of what is not its own
            params = [*params[: -len(self._states)], *copies(params[-len(self._states) :])]
        super()._take(params, slots)

    def _numbers(self) -> Numbers:
        return self.optimizer.numbers_for(self._live)
