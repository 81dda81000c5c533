"""What comes into a layer, checked and brought to its place."""

from typing import Any, cast

from portable_nn.arrays import FLOATING_DTYPES, Array, Place, device_of, move, namespace_of
from portable_nn.errors import DTypeError

__all__ = ["as_tuple", "checked_input", "place_of"]


def as_tuple(parts: Any) -> tuple[Any, ...]:
    """Return what a layer takes or gives, one array or a tuple of them, as a tuple."""
    return cast("tuple[Any, ...]", parts) if isinstance(parts, tuple) else (parts,)


def checked_input(x: Any, place: Place, owner: object) -> Any:
    """Return x at `place` in the place's data type; `owner` names itself in errors.

    Raises
    ------
    DTypeError
        If x is not numeric.
    NamespaceError
        If x is of another library, NumPy excepted.
    """
    xp = namespace_of(x)
    if not xp.isdtype(x.dtype, ("real floating", "integral", "bool")):
        raise DTypeError(f"{owner} needs x of real numbers, got dtype {x.dtype}")
    return move(x, place)


def place_of(x: Array) -> Place:
    """Return where x lies, with its data type, or the one to which a network would cast it."""
    xp = namespace_of(x)
    name = str(x.dtype).rpartition(".")[2]
    if name not in FLOATING_DTYPES:
        wide = xp.isdtype(x.dtype, "real floating") and x.dtype.itemsize >= 8  # such as big-endian numbers
        name = "float64" if wide else "float32"
    return Place(xp, device_of(x), name)
