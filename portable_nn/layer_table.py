"""The closed table of layers and losses that may stand in a text or a file, and how their parameters are tied."""

from collections.abc import Mapping

from portable_nn import layers as layer_module
from portable_nn import losses as loss_module
from portable_nn.layers import Layer, Parameter

__all__ = ["layer_table", "tie"]

_NOT_CONCRETE = {"Layer", "Run", "Parameter", "State", "Transposed", "Loss", "LossByOutput"}
layer_table: dict[str, type[Layer]] = {
    name: getattr(module, name)
    for module in (layer_module, loss_module)
    for name in module.__all__
    if name not in _NOT_CONCRETE
}
"""Layers by the names of their classes, losses among them."""


def tie(layers: Mapping[str, Layer], name: str, to: str, *, transposed: bool) -> None:
    """Make the parameter or state `name` ("affine2.W") of one of the layers by path that of another, or its transpose.

    Raises
    ------
    KeyError
        If there is no such parameter.
    ValueError
        If the other parameter is tied itself or has another shape.
    """
    layer, _, own = name.rpartition(".")
    other_layer, _, other = to.rpartition(".")
    if own in layers[layer].states:
        shared_state = layers[other_layer].states[other]
        if shared_state.shape != layers[layer].states[own].shape:
            raise ValueError(f"{name} is tied to {to}, which has another shape")
        layers[layer].states[own] = shared_state
        return
    parameter = layers[other_layer].parameters[other]
    if not isinstance(parameter, Parameter):
        raise ValueError(f"{name} is tied to {to}, which is tied itself")
    shared = parameter.T if transposed else parameter
    if shared.shape != layers[layer].parameters[own].shape:
        raise ValueError(f"{name} is tied to {to}, which has another shape")
    layers[layer].parameters[own] = shared
