"""Which layer uses which parameter, where several may use one."""

from collections.abc import Mapping, Sequence
from typing import Any

from portable_nn.kernels import Kernels
from portable_nn.layers import Parameter, Transposed
from portable_nn.layers.layer import Arrays

__all__ = ["ParameterSharing"]


class ParameterSharing:
    """The distinct parameters of a network, and the way from each place where one is used to it.

    Parameters are the same if they are the same object; values are never compared.

    Parameters
    ----------
    uses : mapping of str to Parameter or Transposed
        By the path of the use, such as "2.1.W": the name of a layer, perhaps of one in it, and the layer's own name.

    Attributes
    ----------
    parameters : dict of str to Parameter
        Each once, by the path of its first use.
    boxes : list of Parameter
        The same, in order.

    Raises
    ------
    ValueError
        If the transpose of a parameter is used that is used nowhere itself.
    """

    def __init__(self, uses: Mapping[str, Parameter | Transposed]):
        first: dict[int, tuple[str, Parameter]] = {}
        for path, shared in uses.items():
            if isinstance(shared, Parameter):
                first.setdefault(id(shared), (path, shared))
        self.parameters = dict(first.values())
        self.boxes = list(self.parameters.values())
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
        sums: list[Any] = [None] * len(self.boxes)
        for path, i, transposed in reversed(self._uses):  # in the order in which they were found
            if path in grads:
                gradient = kernels.transpose(grads[path]) if transposed else grads[path]
                sums[i] = gradient if sums[i] is None else kernels.add(sums[i], gradient)
        return sums

    def ties(self) -> dict[str, dict[str, Any]]:
        """Return for each use of a parameter that has another name that name, and whether it is transposed."""
        names = list(self.parameters)
        return {
            path: {"to": names[i], "transposed": transposed} for path, i, transposed in self._uses if names[i] != path
        }

    def named(self, names: Sequence[str], layers: Sequence[str]) -> list[Parameter]:
        """Return the parameters with these names, or of layers with these names; all of them for no names.

        Raises
        ------
        KeyError
            If there is no such parameter, and no such one among `layers`.
        """
        if not names:
            return self.boxes
        chosen: list[Parameter] = []
        for wanted in names:
            of_layer = [self.boxes[i] for path, i, _ in self._uses if path.startswith(f"{wanted}.")]
            if wanted in self.parameters:
                chosen.append(self.parameters[wanted])
            elif of_layer or wanted in layers:
                chosen += of_layer
            else:
                raise KeyError(f"there is no parameter or layer {wanted!r}; there are {', '.join(self.parameters)}")
        return chosen
