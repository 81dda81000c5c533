"""What comes into a network: arrays, or mappings of the names of its inputs and outputs to arrays."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from portable_nn.arrays import Place, as_array, in_order, is_several, same_length
from portable_nn.layers.inputs import UNCAST, checked_input

__all__ = ["arranged", "placed", "single"]


def arranged(owner: str, names: Sequence[str], x: Any) -> Any:
    """Return the inputs of these names: an array for one, else the tuple of their arrays. See `Network.arranged`."""
    if len(names) > 1 and is_several(x) and len(x) == len(names):  # as it was returned before
        x = dict(zip(names, x, strict=True))
    x = as_array(x, "x")
    if len(names) == 1 and not isinstance(x, Mapping):
        return x
    arrays = in_order(x, names, f"{owner}: x")
    same_length(arrays, names, f"{owner}: x")
    return arrays if len(names) > 1 else arrays[0]


def placed(place: Place, names: Sequence[str], kinds: Sequence[str], arrays: Sequence[Any]) -> tuple[Any, ...]:
    """Return the arrays of inputs of these kinds at `place`; raises as `checked_input` does, naming the input."""
    return tuple(
        array
        if kind not in UNCAST and place.is_ready(array)
        else checked_input(array, place, f"the input {name}", kind)
        for name, kind, array in zip(names, kinds, arrays, strict=True)
    )


def single(owner: str, names: Sequence[str] | None, what: str, part: Any) -> Any:
    """Return targets or sample weights for one output: an array as it is, or that by the output's name.

    Raises
    ------
    TypeError, ValueError
        If it is a mapping, and the output has no name, or another.
    """
    if not isinstance(part, Mapping):
        return part
    if names is None:
        came = ", ".join(map(str, cast("Mapping[str, Any]", part))) or "nothing"
        raise TypeError(
            f"{owner} needs {what} to be an array, as its output has no name, got a mapping of {came}: "
            f"give the array, or the output a name, with output(name=node)"
        )
    return in_order(part, names, what)[0]
