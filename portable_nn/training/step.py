"""One training step as one pure function, which a backend may compile as a whole."""

from collections.abc import Callable
from typing import Any

from portable_nn.arrays import namespace_of
from portable_nn.kernels import kernels_for
from portable_nn.layers import Run
from portable_nn.networks import Network
from portable_nn.optimizers import Numbers, Optimizer, Slots
from portable_nn.random import Key

__all__ = ["TrainingStep", "copies", "pure_step"]


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


class TrainingStep:
    """The steps of a training run: each takes a batch, updates the network and the optimizer, and returns the loss.

    A backend may reuse the memory of the arrays that a step replaces. Only arrays of the run's own are replaced so:
    each snapshot keeps the arrays that anyone may have seen, and goes on with copies.

    Raises
    ------
    ShapeError, ValueError
        If the optimizer has updated another network.
    """

    def __init__(self, network: Network, optimizer: Optimizer):
        self.network, self.optimizer = network, optimizer
        self._names, self._positions = list(network.trainable()), list(network.trainable().values())
        self._slots = optimizer.slots_of(self._names, [network.arrays()[i] for i in self._positions])
        self.snapshot()
        self._step = kernels_for(network.place.xp).compile_step(pure_step(network, optimizer))

    def __call__(self, x: Any, t: Any, weight: Any = None) -> Any:
        """Update from a batch as `Network.batch` returns it, and return its loss, a 0-d array on its device."""
        network, optimizer = self.network, self.optimizer
        key = network.next_key() if network.is_random else (0, 0)
        params, slots, loss = self._step(network.arrays(), self._slots, x, t, weight, key, optimizer.numbers())
        self._take(params, slots)
        optimizer.steps += 1
        return loss

    def snapshot(self) -> tuple[list[Any], Slots, int]:
        """Return the arrays of network and optimizer and the number of updates made, and go on with copies."""
        params, slots = self.network.arrays(), self._slots
        self._take(copies(params), [copies(slot) for slot in slots])
        return params, slots, self.optimizer.steps

    def restore(self, snapshot: tuple[list[Any], Slots, int]) -> None:
        """Set network and optimizer back to a snapshot."""
        params, slots, self.optimizer.steps = snapshot
        self._take(params, slots)

    def is_finite(self) -> bool:
        """Tell whether all parameters are finite; this waits for the device."""
        finite = kernels_for(self.network.place.xp).all_finite
        return all(bool(finite(array)) for array in self.network.arrays())

    def _take(self, params: list[Any], slots: Slots) -> None:
        self.network.set_arrays(params)
        self._slots = slots
        self.optimizer.keep(self._names, slots)


def copies(arrays: list[Any]) -> list[Any]:
    """Return copies of arrays, where they are."""
    return [namespace_of(array).asarray(array, copy=True) for array in arrays]
