"""What a class says of itself: whether its passes may be recorded or compiled, and the like."""

from typing import Any

__all__ = ["declares", "is_ours", "is_recordable"]

_PACKAGE = __name__.partition(".")[0]


def is_ours(kind: type) -> bool:
    """Tell whether all code of a class's passes is this library's: it is one of its classes, and no subclass of one.

    Subclasses of a class that names its `WALKS`, methods that only pass on to layers, are too if they inherit these.
    """
    walks: tuple[str, ...] = getattr(kind, "WALKS", ())
    return _is_in_package(kind) or (bool(walks) and all(_is_in_package(getattr(kind, name)) for name in walks))


def _is_in_package(thing: Any) -> bool:
    return thing.__module__.partition(".")[0] == _PACKAGE


def declares(kind: type, name: str) -> bool:
    """Tell whether a class says `name = True` in its own body: a subclass may do something else, so it says so anew."""
    return vars(kind).get(name) is True


def is_recordable(kind: type) -> bool:
    """Tell whether one run of a class's code stands for all others: it calls the same kernels whatever the data."""
    return is_ours(kind) or declares(kind, "recordable")
