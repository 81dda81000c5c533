"""The training loss as a function of one vector of all parameters, for optimizers from elsewhere."""

import math
from typing import Any

from portable_nn.arrays import to_numpy
from portable_nn.kernels import PORTABLE, kernels_at
from portable_nn.layers import Run
from portable_nn.networks import Network
from portable_nn.networks.opacity import opaque_parts
from portable_nn.optimizers import SGD
from portable_nn.training.planned_step import PlannedStep

__all__ = ["VectorLoss", "vector_loss"]


class VectorLoss:
    """The function vector -> (loss, gradient) of a network on one batch, a NumPy vector of float64 to the same.

    Parameters
    ----------
    network : Network
        Its parameters are set by each call; its states stay as they are.
    x, t, weight : arrays
        As `Network.batch` returns them.

    Attributes
    ----------
    start : NumPy array
        The vector of the parameters that the network had.
    """

    def __init__(self, network: Network, x: Any, t: Any, weight: Any = None):
        self._network, self._batch = network, (x, t, weight)
        self._shapes = [parameter.shape for parameter in network.sharing.parameters.values()]
        kernels, place = kernels_at(network.place), network.place

        def loss_and_gradients(params: Any, slots: Any, *batch: Any) -> Any:
            return params, slots, network.loss_and_gradients(Run(place, kernels, training=True), params, *batch)

        compiles = kernels if not opaque_parts(network) else PORTABLE
        self._function = compiles.compile_step(loss_and_gradients)
        self.start = self._joined(network.arrays()[: len(self._shapes)])

    def __call__(self, vector: Any) -> tuple[float, Any]:
        """Return the loss and its gradient."""
        self.put(vector)
        params, _, (loss, grads) = self._function(self._network.arrays(), [], *self._batch)
        self._network.set_arrays(params)
        return float(loss), self._joined(grads)

    def put(self, vector: Any) -> None:
        """Set the network's parameters to a vector."""
        arrays: list[Any] = []
        start = 0
        for shape in self._shapes:
            stop = start + math.prod(shape)
            arrays.append(self._network.place.asarray(vector[start:stop].reshape(shape)))
            start = stop
        self._network.set_arrays([*arrays, *self._network.arrays()[len(arrays) :]])

    def _joined(self, arrays: list[Any]) -> Any:
        xp = self._network.place.xp
        return to_numpy(xp.concat([xp.reshape(array, (-1,)) for array in arrays])).astype("float64")


class PlannedVectorLoss(VectorLoss):
    """The same by a plan, over the flat array that a network has where arrays can be written."""

    def __init__(self, network: Network, x: Any, t: Any, weight: Any = None):
        self._network, self._batch = network, (x, t, weight)
        self._step = PlannedStep(network, SGD(), kernels_at(network.place))
        self._step.begin()
        self.start = to_numpy(self._step.vector).astype("float64")

    def __call__(self, vector: Any) -> tuple[float, Any]:
        """Return the loss and its gradient."""
        self.put(vector)
        loss = self._step.gradient(*self._batch)
        return float(loss), to_numpy(self._step.slope).astype("float64")

    def put(self, vector: Any) -> None:
        """Set the network's parameters to a vector."""
        self._step.vector[...] = self._network.place.asarray(vector)


def vector_loss(network: Network, x: Any, t: Any, weight: Any = None) -> VectorLoss:
    """Return the loss as a function of a vector, in the way that suits the network's backend."""
    kind = PlannedVectorLoss if kernels_at(network.place).updates and network.trainable() else VectorLoss
    return kind(network, x, t, weight)
