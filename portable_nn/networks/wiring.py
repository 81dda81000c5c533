"""Which layer uses which parameter, where several may use one."""

from collections.abc import Mapping, Sequence
from typing import Any

from portable_nn.kernels import Kernels
from portable_nn.layers import Layer, Parameter, Transposed
from portable_nn.layers.layer import Arrays

__all__ = ["Wiring"]


class Wiring:
    """The distinct parameters of named layers, and the way from each layer to its own.

    Parameters are the same if they are the same object; values are never compared.

    Parameters
    ----------
    layers : mapping of str to Layer
        A layer may appear under several names.

    Attributes
    ----------
    parameters : dict of str to Parameter
        Each once, named after the first layer that has it.
    boxes : list of Parameter
        The same, in order.
    distinct_layers : dict of str to Layer
        Each once, under its first name.

    Raises
    ------
    ValueError
        If a layer uses the transpose of a parameter that no layer has.
    """

    def __init__(self, layers: Mapping[str, Layer]):
        self.distinct_layers = _first_names(layers)
        self.parameters = _first_names(
            {
                f"{layer_name}.{name}": parameter
                for layer_name, layer in layers.items()
                for name, parameter in layer.parameters.items()
                if isinstance(parameter, Parameter)
            }
        )
        self.boxes = list(self.parameters.values())
        positions = {id(parameter): i for i, parameter in enumerate(self.parameters.values())}
        self._uses: dict[str, list[tuple[str, int, bool]]] = {name: [] for name in layers}
        for layer_name, layer in layers.items():
            for name, shared in layer.parameters.items():
                transposed = isinstance(shared, Transposed)
                position = positions.get(id(shared.parameter if transposed else shared))
                if position is None:
                    raise ValueError(f"{layer_name}.{name} is the transpose of a parameter of no layer in the network")
                self._uses[layer_name].append((name, position, transposed))

    def layer_params(self, layer: str, kernels: Kernels, params: Sequence[Any]) -> Arrays:
        """Return those of `params` that a layer uses, by its own names, transposed where it shares so."""
        return {
            name: kernels.transpose(params[i]) if transposed else params[i] for name, i, transposed in self._uses[layer]
        }

    def add_gradients(self, layer: str, kernels: Kernels, grads: list[Any], layer_grads: Arrays) -> None:
        """Add the gradients of a layer to `grads`, in which None stands for nothing yet."""
        for name, i, transposed in self._uses[layer]:
            gradient = kernels.transpose(layer_grads[name]) if transposed else layer_grads[name]
            grads[i] = gradient if grads[i] is None else kernels.add(grads[i], gradient)

    def ties(self) -> dict[str, dict[str, Any]]:
        """Return for each parameter of a layer that is another's the name of that one, and whether it is transposed."""
        names = list(self.parameters)
        return {
            f"{layer}.{name}": {"to": names[i], "transposed": transposed}
            for layer in self.distinct_layers
            for name, i, transposed in self._uses[layer]
            if names[i] != f"{layer}.{name}"
        }

    def named(self, names: Sequence[str]) -> list[Parameter]:
        """Return the parameters with these names, or of layers with these names; all of them for no names.

        Raises
        ------
        KeyError
            If there is no such parameter or layer.
        """
        chosen: list[Parameter] = []
        for wanted in names or tuple(self._uses):
            if wanted in self.parameters:
                chosen.append(self.parameters[wanted])
            elif wanted in self._uses:
                chosen += [list(self.parameters.values())[i] for _, i, _ in self._uses[wanted]]
            else:
                raise KeyError(f"there is no parameter or layer {wanted!r}; there are {', '.join(self.parameters)}")
        return chosen


def _first_names(things: Mapping[str, Any]) -> dict[str, Any]:
    first: dict[int, tuple[str, Any]] = {}
    for name, thing in things.items():
        first.setdefault(id(thing), (name, thing))
    return dict(first.values())
