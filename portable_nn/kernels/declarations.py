"""What a class says of itself: whether its passes may be recorded or compiled, and the like."""

__all__ = ["declares", "is_ours", "is_recordable"]

_PACKAGE = __name__.partition(".")[0]


def is_ours(kind: type) -> bool:
    """Tell whether a class is one of this library's, and no subclass of one."""
    return kind.__module__.partition(".")[0] == _PACKAGE


def declares(kind: type, name: str) -> bool:
    """Tell whether a class says `name = True` in its own body: a subclass may do something else, so it says so anew."""
    return vars(kind).get(name) is True


def is_recordable(kind: type) -> bool:
    """Tell whether one run of a class's code stands for all others: it calls the same kernels whatever the data."""
    return is_ours(kind) or declares(kind, "recordable")
