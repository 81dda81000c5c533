"""One array or several: at the doors a mapping of names to arrays, within a tuple in the order of the names."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from portable_nn.errors import ShapeError

__all__ = ["check_names", "each", "flat", "in_order", "is_several", "same_length"]


def is_several(part: Any) -> bool:
    """Tell whether this is a tuple of several arrays."""
    return isinstance(part, tuple)


def flat(part: Any) -> tuple[Any, ...]:
    """Return one array, or a tuple of several, as a tuple."""
    return cast("tuple[Any, ...]", part) if isinstance(part, tuple) else (part,)


def each(function: Callable[[Any], Any], part: Any) -> Any:
    """Return what `function` makes of an array, or the tuple of what it makes of each of several; None of None."""
    if isinstance(part, tuple):
        return tuple(each(function, one) for one in cast("tuple[Any, ...]", part))
    return None if part is None else function(part)


def in_order(given: Any, names: Sequence[str], what: str, *, complete: bool = True) -> tuple[Any, ...]:
    """Return what a mapping has by these names, in their order.

    Parameters
    ----------
    given : mapping of str to anything
    names : sequence of str
    what : str
        As errors call it.
    complete : bool
        Whether there has to be something by each name; otherwise None stands for it.

    Raises
    ------
    TypeError
        If it is no mapping.
    ValueError
        If a name is missing or misspelt.
    """
    if not isinstance(given, Mapping):
        came = f"an array of shape {tuple(given.shape)}" if hasattr(given, "shape") else type(given).__name__
        example = ", ".join(f'"{name}": ...' for name in names)
        raise TypeError(f"{what} needs to be a mapping by {_listed(names)}, got {came}: write {{{example}}}")
    by_name = cast("Mapping[str, Any]", given)
    check_names(by_name, names, what, complete=complete)
    return tuple(by_name.get(name) for name in names)


def check_names(given: Iterable[Any], names: Sequence[str], what: str, *, complete: bool = True) -> None:
    """Raise ValueError, in which `what` is named, if one of the names is missing, or one given is another."""
    came = list(given)
    surplus = [name for name in came if name not in names]
    missing = [name for name in names if name not in came]
    if not surplus and not (missing and complete):
        return
    near = difflib.get_close_matches(str(surplus[0]), missing or names, 1, 0.6) if surplus else missing
    hint = f"{_listed(missing)} is missing"
    if surplus:
        hint = f"there is no {surplus[0]}" + (f", did you mean {near[0]}?" if near else "")
    raise ValueError(f"{what} needs the names {_listed(names)}, got {_listed(came) or 'none'}: {hint}")


def same_length(arrays: Sequence[Any], names: Sequence[str], what: str) -> None:
    """Raise ShapeError, in which `what` is named, unless all arrays have as many rows."""
    counts = [array.shape[0] if array.shape else None for array in arrays]
    if None in counts or len({*counts}) > 1:
        came = ", ".join(f"{tuple(array.shape)} for {name}" for array, name in zip(arrays, names, strict=True))
        raise ShapeError(f"{what} needs arrays of as many samples each, (N, ...), got {came}")


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names))
