"""Arrays at the door: plain lists of numbers are taken, and what no kernel can read is refused by name."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from portable_nn.arrays.namespaces import compat, device_of, is_array, numpy
from portable_nn.errors import DTypeError, NamespaceError, ShapeError

__all__ = ["as_array", "is_nested_list"]


def as_array(thing: Any, name: str) -> Any:
    """Return an argument as an array: plain nested lists of numbers as NumPy's, all else as it is.

    Of a mapping of names to such things all are returned so, as a dict.

    Parameters
    ----------
    thing : object
    name : str
        As errors call it.

    Raises
    ------
    ShapeError
        If lists in it are of different lengths.
    DTypeError
        If a list holds something else than numbers, or a NumPy array bfloat16, of which NumPy knows nothing.
    NamespaceError
        If a list holds arrays of another library than NumPy.
    TypeError
        If it is a masked or sparse array, or one without values (torch's "meta").
    """
    if isinstance(thing, list | tuple):
        return _from_lists(cast("Sequence[Any]", thing), name)
    if compat.is_numpy_array(thing):
        if isinstance(thing, numpy.ma.MaskedArray):
            raise TypeError(
                f"{name} needs to be an array without a mask, got a masked array, whose mask would be lost: "
                f"use {name}.filled(...), or leave the samples out"
            )
        if thing.dtype.name == "bfloat16":
            raise DTypeError(f'{name} needs a data type of NumPy, got bfloat16: use {name}.astype("float32")')
    elif compat.is_torch_array(thing):
        _check_tensor(thing, name)
    elif isinstance(thing, Mapping):
        by_name = cast("Mapping[Any, Any]", thing)
        return {key: as_array(part, f"{name}[{key!r}]") for key, part in by_name.items()}
    return thing


def is_nested_list(thing: object) -> bool:
    """Tell whether something is a list of numbers, or of such lists, by its first elements; lists of arrays are not."""
    if not isinstance(thing, list):
        return False
    first = _first(cast("list[Any]", thing))
    return not is_array(first) and hasattr(first, "__float__")


def _first(thing: Any) -> Any:
    while isinstance(thing, list | tuple) and thing:
        thing = cast("Sequence[Any]", thing)[0]
    return cast("Any", thing)


def _from_lists(lists: Sequence[Any], name: str) -> Any:
    first = _first(lists)
    if is_array(first) and not compat.is_numpy_array(first):
        raise NamespaceError(f"{name} needs to be one array, got a list of {type(first).__name__}: stack them")
    try:
        array = numpy.asarray(lists)
    except (ValueError, TypeError, OverflowError) as error:
        raise ShapeError(
            f"{name} needs lists of equal lengths, got ragged ones (pad_sequences makes an array and a mask of them): "
            f"{error}"
        ) from None
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name} needs lists of real numbers, got {type(first).__name__} {first!r}")
    return array


def _check_tensor(tensor: Any, name: str) -> None:
    if str(tensor.layout) != "torch.strided":
        raise TypeError(f"{name} needs to be a dense array, got one of {tensor.layout}: use {name}.to_dense()")
    if device_of(tensor).type == "meta":
        raise TypeError(f'{name} needs to be an array with values, got a tensor on the device "meta", which has none')
