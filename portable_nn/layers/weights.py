"""How layers with weights come by them: declared to be drawn, shared with another layer, or given as arrays."""

import math
import operator
from collections.abc import Mapping
from typing import Any

from portable_nn.arrays import Array, Namespace, Place, device_of, namespace_of
from portable_nn.errors import DTypeError, NamespaceError, ShapeError
from portable_nn.initializers import Initializer
from portable_nn.layers.layer import Layer
from portable_nn.layers.parameter import Parameter, Transposed

__all__ = ["adopt_arrays", "common_place", "declare", "draw", "index", "positive", "size"]


def size(owner: str, name: str, value: int) -> int:
    """Return `value`, any kind of positive integer, as a Python int.

    Raises
    ------
    ShapeError
        If it is not one.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise ShapeError(f"{owner} needs {name} to be a positive integer, got {value!r}")
    return number


def positive(owner: str, name: str, value: float) -> float:
    """Return `value` as a float; ValueError if it is not a finite number of more than 0."""
    if not 0.0 < value < math.inf:
        raise ValueError(f"{owner} needs {name} of more than 0, got {value}")
    return float(value)


def index(owner: str, name: str, value: int, count: int) -> int:
    """Return `value`, any kind of integer, as a Python int; ValueError if it is not one from 0 to count - 1."""
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if not 0 <= number < count:
        raise ValueError(f"{owner} needs {name} to be a whole number from 0 to {count - 1}, got {value!r}")
    return number


def declare(
    owner: str, name: str, shape: tuple[int, ...], source: Initializer | Parameter | Transposed | None
) -> Parameter | Transposed:
    """Return the parameter `name` of the layer `owner`: shared if `source` is one, else new, to be drawn by `source`.

    Raises
    ------
    ShapeError
        If the shared parameter has another shape.
    """
    if not isinstance(source, Parameter | Transposed):
        return Parameter(shape, source)
    if source.shape != shape:
        raise ShapeError(f"{owner} needs {name} of shape {shape}, got a shared parameter of shape {source.shape}")
    return source


def adopt_arrays(layer: Layer, arrays: dict[str, Array]) -> None:
    """Make copies of `arrays` the values of the layer's parameters, and their place the layer's.

    Raises
    ------
    DTypeError
        If they are not of one floating data type.
    NamespaceError
        If they are not of one library and device.
    """
    first, *others = arrays.values()
    xp = namespace_of(first)
    for array in (first, *others):
        if not namespace_of(array).isdtype(array.dtype, "real floating"):
            raise DTypeError(f"{type(layer).__name__} needs parameters of a floating dtype, got {array.dtype}")
    place = Place(xp, device_of(first), str(first.dtype).rpartition(".")[2])
    if not all(place.holds(other) for other in others):
        raise NamespaceError(
            f"{type(layer).__name__} needs its parameters in one library and on one device, as {place}"
        )
    layer.place = place
    for name, array in arrays.items():
        parameter = layer.parameters[name]
        assert isinstance(parameter, Parameter)
        parameter.set(array, place, name)


def common_place(layers: Mapping[str, Layer], xp: str | Namespace | None, device: Any, dtype: str | None) -> Place:
    """Return where named layers are to live: where those with parameters do, or as asked, or NumPy and float32.

    Raises
    ------
    NamespaceError
        If layers with parameters live elsewhere than the others or than asked for.
    MissingExtraError, BackendError, DTypeError
        If there is no such place.
    """
    holding = {name: layer for name, layer in layers.items() if layer.parameters or layer.states}
    placed = {name: layer.place for name, layer in holding.items() if layer.place is not None}
    if xp is None and device is None and dtype is None and placed:
        place = next(iter(placed.values()))
    else:
        place = Place("numpy" if xp is None else xp, device, dtype or "float32")
    for name, other in placed.items():
        if other != place and (dtype is None or other.without_precision() != place.without_precision()):
            raise NamespaceError(f"layer {name} has parameters in {other}, the network is in {place}")
    return place


def draw(layers: Mapping[str, Layer], place: Place, seed: int) -> None:
    """Draw the parameters of named layers, in their order, that have no value yet.

    Each layer's weights suit the next layer that has parameters or an opinion on the weights before it.
    """
    items = list(layers.items())
    drawn: set[int] = set()
    for i, (name, layer) in enumerate(items):
        after = (other for _, other in items[i + 1 :] if other.weights_before or other.parameters)
        default = next((other.weights_before for other in after), None)
        if id(layer) not in drawn:
            layer.initialize(place, seed, f"{name}.", default)
        drawn.add(id(layer))
