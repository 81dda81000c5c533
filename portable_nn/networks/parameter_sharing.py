"""Which layer uses which parameter or state, where several may use one."""

from collections.abc import Mapping, Sequence
from typing import Any

from portable_nn.kernels import Kernels
from portable_nn.layers import Parameter, State, Transposed
from portable_nn.layers.layer import Arrays

__all__ = ["ParameterSharing"]


class ParameterSharing:
    """The distinct parameters and states of a network, and the way from each place where one is used to it.

    They are the same if they are the same object; values are never compared.

    Parameters
    ----------
    uses : mapping of str to Parameter or Transposed
        By the path of the use, such as "2.1.W": the name of a layer, perhaps of one in it, and the layer's own name.
    states : mapping of str to State
        Likewise.

    Attributes
    ----------
    parameters : dict of str to Parameter
    states : dict of str to State
        Each once, by the path of its first use.
    boxes : list of Parameter and State
        All of them: the parameters in order, the states in order.
    names : list of str
        Their paths.

    Raises
    ------
    ValueError
        If the transpose of a parameter is used that is used nowhere itself.
    """

    def __init__(self, uses: Mapping[str, Parameter | Transposed], states: Mapping[str, State]):
        first: dict[int, tuple[str, Parameter]] = {}
        for path, shared in uses.items():
            if isinstance(shared, Parameter):
                first.setdefault(id(shared), (path, shared))
        self.parameters = dict(first.values())
        first_of: dict[State, str] = {}
        for path, state in states.items():
            first_of.setdefault(state, path)
        self.states = {path: state for state, path in first_of.items()}
        self._shared_states = {path: first_of[state] for path, state in states.items() if first_of[state] != path}
        self.boxes: list[Parameter | State] = [*self.parameters.values(), *self.states.values()]
        self.names = [*self.parameters, *self.states]
        positions = {identity: i for i, identity in enumerate(first)}
        self._uses: list[tuple[str, int, bool]] = []
        for path, shared in uses.items():
            box = shared.parameter if isinstance(shared, Transposed) else shared
            if id(box) not in positions:
                raise ValueError(f"{path} is the transpose of a parameter of no layer in the network")
            self._uses.append((path, positions[id(box)], box is not shared))
        self._plain = list(uses) == list(self.parameters)  # mostly all are used once, as they are

    def by_path(self, kernels: Kernels, params: Sequence[Any]) -> Arrays:
        """Return `params`, in the order of `boxes`, by the path of each use, transposed where it is shared so."""
        if self._plain:
            return dict(zip(self.parameters, params, strict=True))
        return {path: kernels.transpose(params[i]) if transposed else params[i] for path, i, transposed in self._uses}

    def collected(self, kernels: Kernels, grads: Arrays) -> list[Any]:
        """Return the gradient of each of `boxes`: the sum over its uses; None where nothing came."""
        if self._plain:
            return list(map(grads.get, self.parameters))
        sums: list[Any] = [None] * len(self.parameters)
        for path, i, transposed in reversed(self._uses):  # in the order in which they were found
            if path in grads:
                gradient = kernels.transpose(grads[path]) if transposed else grads[path]
                sums[i] = gradient if sums[i] is None else kernels.add(sums[i], gradient)
        return sums

    def after(self, arrays: Sequence[Any], changed: Mapping[State, Any]) -> list[Any]:
        """Return the arrays of all boxes with what has become of states in their place."""
        count = len(self.parameters)
        states = zip(self.states.values(), arrays[count:], strict=True)
        return [*arrays[:count], *(changed.get(state, array) for state, array in states)]

    def ties(self) -> dict[str, dict[str, Any]]:
        """Return for each use of a parameter or state with another name that name, and whether it is transposed."""
        names = list(self.parameters)
        ties = [(path, names[i], transposed) for path, i, transposed in self._uses if names[i] != path]
        ties += [(path, first, False) for path, first in self._shared_states.items()]
        return {path: {"to": first, "transposed": transposed} for path, first, transposed in ties}

    def named(self, names: Sequence[str], layers: Sequence[str]) -> list[Parameter]:
        """Return the parameters with these names, or of layers with these names; all of them for no names.

        Raises
        ------
        KeyError
            If there is no such parameter, and no such one among `layers`.
        """
        if not names:
            return list(self.parameters.values())
        chosen: list[Parameter] = []
        boxes = list(self.parameters.values())
        for wanted in names:
            of_layer = [boxes[i] for path, i, _ in self._uses if path.startswith(f"{wanted}.")]
            if wanted in self.parameters:
                chosen.append(self.parameters[wanted])
            elif wanted in self.states:
                raise KeyError(f"{wanted} is a state, which no gradient changes: its layer says when it does")
            elif of_layer or wanted in layers:
                chosen += of_layer
            else:
                raise KeyError(f"there is no parameter or layer {wanted!r}; there are {', '.join(self.parameters)}")
        return chosen
