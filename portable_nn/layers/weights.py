"""How layers with weights come by them: declared to be drawn, shared with another layer, or given as arrays."""

from portable_nn.arrays import Array, Place, device_of, namespace_of
from portable_nn.errors import DTypeError, NamespaceError, ShapeError
from portable_nn.initializers import Initializer
from portable_nn.layers.layer import Layer
from portable_nn.layers.parameter import Parameter, Transposed

__all__ = ["adopt_arrays", "declare"]


def declare(
    owner: str, name: str, shape: tuple[int, ...], source: Initializer | Parameter | Transposed | None
) -> Parameter | Transposed:
    """Return the parameter `name` of the layer `owner`: shared if `source` is one, else new, to be drawn by `source`.

    Raises
    ------
    ShapeError
        If a size is not a positive integer, or the shared parameter has another shape.
    """
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise ShapeError(f"{owner} needs positive integer sizes, got {name} of shape {shape}")
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
        parameter.value = place.asarray(array)
