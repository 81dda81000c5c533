"""A training step as one pure function: arrays in, other arrays out."""

from collections.abc import Callable
from typing import Any

from portable_nn.arrays import is_several
from portable_nn.kernels import PORTABLE, Kernel, kernels_at
from portable_nn.kernels.portable.loss_scaling import chosen, next_loss_scale
from portable_nn.layers import Run
from portable_nn.layers.run import check_gradients
from portable_nn.metrics import Measuring
from portable_nn.networks import Network
from portable_nn.optimizers import Numbers, Optimizer, Slots
from portable_nn.optimizers.groups import rows
from portable_nn.optimizers.parts import joined, joined_slots, slots_by_part
from portable_nn.random import Key
from portable_nn.training.accumulation import Shares, micro_key, micro_rows, weighted
from portable_nn.training.mixed_step import scaled
from portable_nn.training.samples import count

__all__ = ["pure_gradient", "pure_step", "pure_update"]


def pure_gradient(
    network: Network, micro_batches: int = 1, accumulate: Kernel = PORTABLE.accumulate
) -> Callable[..., tuple[list[Any], Slots, Any]]:
    """Return the first half of `pure_step`: its result is (loss, gradients of what is trained, new states, outputs)."""
    place, kernels, trained = network.place, kernels_at(network.place), network.trainable()
    sharing, first_state = network.sharing, len(network.sharing.parameters)

    def one(
        params: list[Any], scale: Any, x: Any, t: Any, weight: Any, key: Key | None, *dout: Any
    ) -> tuple[Any, list[Any], list[Any], Any]:
        run = Run(place, kernels, training=True, key=key if network.is_random else None)
        dout = dout if scale is None else (scaled(scale, *dout),)
        loss, grads = network.loss_and_gradients(run, params, x, t, weight, *dout)
        grads = grads if scale is None else [None if g is None else g * (1.0 / scale) for g in grads]
        found = {name: grads[i] for name, i in trained.items()}
        check_gradients("the network", {name: params[i] for name, i in trained.items()}, found)
        return loss, list(found.values()), sharing.after(params, run.changed)[first_state:], run.outputs

    def gradient(
        params: list[Any], slots: Slots, x: Any, t: Any, weight: Any, key: Key | None, numbers: Numbers
    ) -> tuple[list[Any], Slots, Any]:
        rows = micro_rows(x, micro_batches)
        scale = slots[-1][0][0] if place.precision == "float16" else None
        if count(x) <= rows:
            return params, slots, one(params, scale, x, t, weight, key)
        shares = Shares(network.criterion, Run(place, kernels, training=True), t, weight)

        def add(states: list[Any], first: Any, batch: tuple[Any, ...]) -> tuple[list[Any], Any, Any]:
            share = shares.of(Run(place, kernels, training=True), *batch[1:])
            # What losses by output count cannot be made up for when their gradients are one.
            dout, factor = ((share,), 1.0) if is_several(share) else ((), share)
            key_of_rows = micro_key(key, first, count(batch[0]))
            loss, grads, states, y = one([*params[:first_state], *states], scale, *batch, key_of_rows, *dout)
            return states, (weighted(share, loss), [factor * gradient for gradient in grads]), y

        states, (loss, grads), y = accumulate(add, params[first_state:], (x, t, weight), rows)
        return params, slots, (loss, grads, states, y)

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
    network: Network,
    optimizer: Optimizer,
    micro_batches: int = 1,
    accumulate: Kernel = PORTABLE.accumulate,
    measuring: Measuring | None = None,
) -> Callable[..., tuple[list[Any], Slots, Any]]:
    """Return the function (params, slots, x, t, weight, key, numbers) -> (params, slots, (loss, weight of the batch)).

    It reads nothing of the network and the optimizer but what stays fixed, and writes nothing. `accumulate` is the
    kernel that goes through the micro-batches of a batch. With metrics, a third part of the result is what they
    measure, or the outputs, if a metric may not be compiled.
    """
    gradient, update = pure_gradient(network, micro_batches, accumulate), pure_update(network, optimizer)
    place, kernels, first_state = network.place, kernels_at(network.place), len(network.sharing.parameters)

    def step(
        params: list[Any], slots: Slots, x: Any, t: Any, weight: Any, key: Key | None, numbers: Numbers
    ) -> tuple[list[Any], Slots, Any]:
        params, slots, (loss, grads, states, y) = gradient(params, slots, x, t, weight, key, numbers)
        old = params[first_state:]
        params, slots, counts = update(params, slots, grads, key, numbers)
        params = [*params[:first_state], *(states if counts is None else chosen(counts, states, old))]
        run = Run(place, kernels, training=True)
        result = loss, network.criterion.total_weight(run, t, weight)
        if measuring is not None:
            result = *result, measuring(run, y, t, weight) if measuring.is_known else y
        return params, slots, result

    return step
