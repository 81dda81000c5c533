"""What comes into a layer: arrays of the kind that it asks for, checked and brought to its place."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

from portable_nn.arrays import (
    PRECISIONS,
    Array,
    Place,
    backend_name,
    device_of,
    is_on_cpu,
    move,
    namespace_of,
    to_numpy,
)
from portable_nn.errors import DTypeError

__all__ = ["UNCAST", "as_tuple", "check_values", "checked_input", "input_dtype", "place_of"]

UNCAST = ("integral", "bool")
"""The kinds of inputs that layers get as they are, or not at all."""

_CASTS = {
    "integral": ("whole numbers", '{x}.astype("int64")', "{x}.long()"),
    "bool": ("booleans", '{x}.astype("bool")', "{x}.bool()"),
}
"""What each kind is called, and how NumPy and torch make it."""


def as_tuple(parts: Any) -> tuple[Any, ...]:
    """Return what a layer takes or gives, one array or a tuple of them, as a tuple."""
    return cast("tuple[Any, ...]", parts) if isinstance(parts, tuple) else (parts,)


class _Layer(Protocol):
    def kind_of_input(self, position: int) -> str: ...
    def check_values(self, *inputs: Any) -> None: ...


def checked_input(x: Any, place: Place, owner: object, kind: str = "real floating", name: str = "x") -> Any:
    """Return x at `place` in the data type of its kind there; `owner` names itself in errors.

    Raises
    ------
    DTypeError
        If x is not numeric, or for a kind that is never cast, of another one.
    NamespaceError
        If x is of another library, NumPy excepted.
    ValueError
        If x has whole numbers that the place's integers cannot hold.
    """
    xp = namespace_of(x)
    if kind in UNCAST:
        needed, of_numpy, of_torch = _CASTS[kind]
        if not xp.isdtype(x.dtype, kind):
            cast = (of_torch if backend_name(xp) == "torch" else of_numpy).format(x=name)
            raise DTypeError(f"{owner} needs {name} of {needed}, got dtype {x.dtype}: pass {cast} if they are such")
        if kind == "integral":
            _check_range(x, place, owner, name)
        return move(x, place, input_dtype(kind, place), name)
    if not xp.isdtype(x.dtype, ("real floating", "integral", "bool")):
        raise DTypeError(f"{owner} needs {name} of real numbers, got dtype {x.dtype}")
    return move(x, place, name=name)


def input_dtype(kind: str, place: Place) -> Any:
    """Return the data type that inputs of a kind have at `place`."""
    return {"integral": place.index_dtype, "bool": place.xp.bool}.get(kind, place.dtype)


def _check_range(x: Any, place: Place, owner: object, name: str) -> None:
    """Raise ValueError for whole numbers too large for the place's integers, which JAX has of 32 bits by default."""
    given, here = namespace_of(x).iinfo(x.dtype), place.xp.iinfo(place.index_dtype)
    if (given.min >= here.min and given.max <= here.max) or 0 in x.shape or not is_on_cpu(x):
        return
    for number in (int(to_numpy(x).min()), int(to_numpy(x).max())):
        if not here.min <= number <= here.max:
            raise ValueError(f"{owner} needs {name} of whole numbers from {here.min} to {here.max}, got {number}")


def check_values(layer: _Layer, inputs: Sequence[Any]) -> None:
    """Let a layer look at the inputs that it takes uncast, those that are on the CPU: raises as its own method does."""
    seen = [
        None if x is None or layer.kind_of_input(i) not in UNCAST or 0 in x.shape or not is_on_cpu(x) else to_numpy(x)
        for i, x in enumerate(inputs)
    ]
    if any(x is not None for x in seen):
        layer.check_values(*seen)


def place_of(x: Array) -> Place:
    """Return where x lies, with its data type, or the one to which a network would cast it."""
    xp = namespace_of(x)
    name = str(x.dtype).rpartition(".")[2]
    if name not in PRECISIONS or (name == "float16" and backend_name(xp) in ("numpy", "array_api_strict")):
        wide = xp.isdtype(x.dtype, "real floating") and x.dtype.itemsize >= 8  # such as big-endian numbers
        name = "float64" if wide else "float32"
    return Place(xp, device_of(x), name)
