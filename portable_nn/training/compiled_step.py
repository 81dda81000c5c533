"""Training steps as one pure function, which the backend may compile."""

import math
from collections.abc import Callable, Generator
from typing import Any

from portable_nn.arrays import copies, flat, is_several
from portable_nn.kernels import PORTABLE, kernels_at
from portable_nn.kernels.portable.loss_scaling import chosen
from portable_nn.layers import Run
from portable_nn.layers.inputs import input_dtype
from portable_nn.metrics import Measuring
from portable_nn.networks import Network
from portable_nn.optimizers import Numbers, Optimizer, Slots
from portable_nn.random import Key
from portable_nn.training.base_step import Done, TrainingStep, versions
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.batches import Batches
from portable_nn.training.pure_step import pure_gradient, pure_step, pure_update

__all__ = ["CompiledStep"]

_NO_KEY: Key = (0, 0)
"""In the place of a key that nothing asks for: with None a compiled function would be another one."""

_STEPS = 50
"""Steps in one call, at most: more would hide progress, and gain nothing."""

_WORK = 2_500_000_000
"""Multiplications in one call, about: some 50 ms on one core."""


class CompiledStep(TrainingStep):
    """Steps of one pure function: arrays in, other arrays out.

    Where data are at hand, many steps are one call. How many depends on sizes alone, so that a run rounds alike each
    time.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        accumulate: int = 1,
        measuring: Measuring | None = None,
        *,
        compiled: bool = True,
    ):
        super().__init__(network, optimizer, accumulate, measuring)
        self._measured: Any = None
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
        step = pure_step(self.network, self.optimizer, self.accumulate, self._kernels.accumulate, self.measuring)
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
        told = told or (self.measuring is not None and not self.measuring.is_known)
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
        params, slots, (losses, weights, *measured) = self._steps(
            self.network.arrays(),
            self._given_slots(),
            [x, *others],
            orders,
            keys,
            numbers,
        )
        self._take_back(params, slots)
        return Done(losses, weights, [orders.shape[1]] * orders.shape[0], measured[0] if measured else [])

    def __call__(self, x: Any, t: Any, weight: Any = None) -> Any:
        """Update from a batch, and return its loss: all phases in one call, unless somebody looks at the gradient."""
        if self.on_gradients is not None:
            return super().__call__(x, t, weight)
        key = self._next_key()
        given = self.network.arrays(), self._given_slots()
        params, slots, (loss, _, *measured) = self._step(*given, x, t, weight, key, self._numbers())
        self._take_back(params, slots)
        if self.measuring is not None:
            self._measured, self.outputs = (measured[0], None) if self.measuring.is_known else (None, measured[0])
        self.optimizer.steps += 1
        return loss

    def gradient(self, x: Any, t: Any, weight: Any, key: Key | None) -> Any:
        """Find the gradient, and return the loss."""
        if self._halves is None:
            gradient = pure_gradient(self.network, self.accumulate, self._kernels.accumulate)
            halves = gradient, pure_update(self.network, self.optimizer)
            self._halves = self._kernels.compile_step(halves[0]), self._kernels.compile_step(halves[1])
        params, slots, (loss, self._found, self._new_states, self.outputs) = self._halves[0](
            self.network.arrays(), self._given_slots(), x, t, weight, key, self._numbers()
        )
        self._measured = None
        self._take_back(params, slots)
        return loss

    accumulated_gradient = gradient

    def measured(self, run: Run, t: Any, weight: Any) -> Any:
        """Return what is measured on the last batch, which the step may have done."""
        return super().measured(run, t, weight) if self._measured is None else self._measured

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
