"""Weights from data: after them each layer's outputs have variance 1."""

import math
from collections.abc import Mapping
from typing import Any

from portable_nn import random
from portable_nn.arrays import Array, Place, flat, namespace_of, widened
from portable_nn.initializers import orthogonal
from portable_nn.layers import Layer, Parameter, Run
from portable_nn.layers.inputs import UNCAST
from portable_nn.layers.layer import Arrays
from portable_nn.layers.parameter import laid_out
from portable_nn.networks.network import Network
from portable_nn.networks.positions import unmasked

__all__ = ["lsuv"]

_TOLERANCE = 0.01
_ITERATIONS = 10


def lsuv(network: Network, x: Array | Mapping[str, Array]) -> None:
    """Draw the weights of a network so that each layer which has some gives outputs of variance 1 on a batch.

    Layer by layer in the order of a pass, those of networks within too, W is drawn orthogonal, from the network's seed,
    and divided by the standard deviation of the layer's outputs y on x until |Var(y) - 1| < 0.01, ten times at most;
    y is over all its elements. A W of several layers is drawn for the first. Biases, embeddings, frozen parameters and
    all others keep their values. The pass is one of `predict`: without dropout, and with the states of normalization.
    Mishkin and Matas, All you need is a good init (ICLR 2016), algorithm 1: layer-sequential unit-variance.

    Parameters
    ----------
    network : Network
        A `Sequential`, `Graph` or other network; its weights are replaced.
    x : array or mapping of arrays
        Some samples, as `predict` takes them: as many as a batch of training has, or more.

    Raises
    ------
    ValueError
        If the outputs of a layer all are one number, so that no weights give them a variance, or are not finite, or
        if there is no layer with such weights. Nothing is changed then.
    ShapeError, DTypeError, NamespaceError, TypeError
        If x does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import portable_nn as pnn
    >>> x = 5.0 + 3.0 * np.random.default_rng(0).standard_normal((100, 20))
    >>> net = pnn.Sequential(pnn.Affine(20, 50), pnn.ReLU(), pnn.Affine(50, 10), seed=0)
    >>> print(net.predict(x).var().round(1))
    26.7
    >>> pnn.lsuv(net, x)
    >>> print(net.predict(x).var().round(1))
    1.0
    """
    if not isinstance(network, Network):  # pyright: ignore[reportUnnecessaryIsInstance]  (what a user gives)
        raise TypeError(f"lsuv needs a network, such as pnn.Sequential(...), got {type(network).__name__}")
    run, inputs = _Scaling(network), network.inputs(x)
    if len(flat(inputs)) > len(network.order.inputs):
        inputs = unmasked(network.order, run, inputs)
    network.forward_pass(run, network.pass_arrays(), *flat(inputs))
    if not run.scaled:
        raise ValueError(f"{network} has no layer with weights W to be drawn")
    for parameter, value in run.scaled.items():
        parameter.set(value, network.place, "W")


class _Scaling(Run):
    """A run that finds new weights for each layer, before it goes on with what the layer then returns.

    Attributes
    ----------
    scaled : dict of Parameter to array
        The new weights.
    """

    def __init__(self, network: Network):
        place = network.place
        super().__init__(Place(place.xp, place.device, place.dtype_name))
        self.scaled: dict[Parameter, Any] = {}
        self._seed = network.seed
        self._paths = {id(layer): path for path, layer in reversed([*network.leaves()])}

    def forward(self, layer: Any, params: Arrays, *inputs: Any) -> tuple[Any, Any]:
        """Return what the layer's forward pass returns, with the weights that are found."""
        path = self._paths.get(id(layer))
        if path is None or not params:
            return super().forward(layer, params, *inputs)
        params = params | {name: self._current(box, params[name]) for name, box in layer.boxes().items()}
        W = layer.boxes().get("W")
        if not isinstance(W, Parameter) or W in self.scaled or not _is_multiplied(layer, W):
            return super().forward(layer, params, *inputs)
        first = orthogonal()(random.generator(self._seed, "lsuv", path), W.shape)
        params["W"] = laid_out(self.place.asarray(first), self.place)
        y, saved = super().forward(layer, params, *inputs)
        for _ in range(_ITERATIONS):
            variance = _variance(y, path, layer)
            if abs(variance - 1.0) < _TOLERANCE:
                break
            params["W"] = params["W"] / math.sqrt(variance)
            y, saved = super().forward(layer, params, *inputs)
        self.scaled[W] = params["W"]
        return y, saved

    def _current(self, box: Any, given: Any) -> Any:
        """Return the array of a parameter, or its transpose, as it is now."""
        if isinstance(box, Parameter):
            return self.scaled.get(box, given)
        return self.kernels.transpose(self.scaled[box.parameter]) if box.parameter in self.scaled else given


def _is_multiplied(layer: Layer, W: Parameter) -> bool:
    """Tell whether weights are to be drawn: those that inputs are multiplied by, and that are not frozen."""
    return W.trainable and len(W.shape) > 1 and layer.kind_of_input(0) not in UNCAST


def _variance(y: Any, path: str, layer: Layer) -> float:
    variance = float(namespace_of(y).var(widened(y))) if math.prod(y.shape) else math.nan
    if not 0.0 < variance < math.inf:
        raise ValueError(
            f"lsuv needs outputs whose variance is more than 0 and finite, got {variance} from layer {path}, {layer}: "
            "give x of several samples that differ, and look for layers before it that give one number only"
        )
    return variance
