"""What is given to a graph for its passes forward and back, checked and brought to its place."""

from collections.abc import Mapping, Sequence
from typing import Any

from portable_nn.arrays import Place, as_array, move, namespace_of
from portable_nn.errors import ShapeError
from portable_nn.layers.inputs import UNCAST, checked_input
from portable_nn.layers.topology import Topology
from portable_nn.losses import Loss

__all__ = ["derivatives", "inputs"]


def inputs(order: Topology, given: Mapping[str, Any], place: Place, what: str, kinds: Sequence[str]) -> list[Any]:
    """Return the arrays of all inputs in their order, from arrays or numbers by name.

    All have the data type of `place`, but for labels, and inputs of a kind that is not cast.

    Raises
    ------
    TypeError
        If an input is missing or misnamed.
    ShapeError, DTypeError, LabelError, NamespaceError
        If an array does not fit; the message names the node.
    """
    if set(given) != set(order.inputs):
        raise TypeError(f"this graph needs values for {', '.join(order.inputs)}, got {', '.join(given)}")
    constants = order.constants()
    kind_of = dict(zip(order.inputs, kinds, strict=True))
    arrays = {name: _given(name, given[name], place, kind_of[name], keep=name in constants) for name in order.inputs}
    shapes = order.shapes([array.shape for array in arrays.values()], what)
    for step in order.steps:
        if isinstance(step.layer, Loss) and step.inputs[1] in arrays:
            y, *taken = step.inputs
            made = step.layer.targets(shapes[y], arrays[taken[0]], place, *(arrays[name] for name in taken[1:]))
            if kind_of.get(taken[0]) in UNCAST and getattr(step.layer, "ignore_label", None) is not None:
                raise ValueError(
                    f"{step.name} ignores labels of {taken[0]}, which other layers take as it is: give it two inputs"
                )
            arrays |= {n: array for n, array in zip(taken, made, strict=False) if kind_of.get(n) not in UNCAST}
    return list(arrays.values())


def derivatives(outputs: Mapping[str, Any], douts: Sequence[Any], place: Place) -> list[Any]:
    """Return the derivatives by all outputs, from arrays or numbers; 1 for numbers, if left out.

    Raises
    ------
    ShapeError
        If there is not one for each output, in its shape.
    """
    douts = douts or [1.0] * len(outputs)
    if len(douts) != len(outputs):
        raise ShapeError(f"backward needs a derivative for each of {', '.join(outputs)}, got {len(douts)}")
    arrays: list[Any] = []
    for (name, value), dout in zip(outputs.items(), douts, strict=True):
        array = (
            place.asarray(dout) if isinstance(dout, int | float) else move(as_array(dout, "dout"), place, name="dout")
        )
        if array.shape != value.shape:
            raise ShapeError(f"backward needs a derivative of shape {value.shape} for {name}, got {array.shape}")
        arrays.append(array)
    return arrays


def _given(name: str, value: Any, place: Place, kind: str, *, keep: bool) -> Any:
    if isinstance(value, int | float):
        if kind not in UNCAST:
            return place.asarray(value)
        value = as_array([value], name)[0, ...]
    value = as_array(value, f"the input {name}")
    if keep and kind not in UNCAST:
        namespace_of(value)  # raises for what is no array
        return value
    return checked_input(value, place, f"the input {name}", kind)
