"""Print the public API: every public name with its arguments, a line each, and the methods where they are defined.

Usage: python ci/api.py >docs/api.txt
"""

import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

MODULES = (
    "portable_nn",
    "portable_nn.adapters.sklearn",
    "portable_nn.adapters.tensorboard",
    "portable_nn.datasets",
    "portable_nn.initializers",
    "portable_nn.metrics",
    "portable_nn.random",
    "portable_nn.testing",
    "portable_nn.training",
)


def public_names() -> dict[str, Any]:
    """Return what each public name stands for; one that stands in several modules only once."""
    found: dict[str, Any] = {}
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:
            thing = getattr(module, name)
            if not isinstance(thing, ModuleType) and all(thing is not other for other in found.values()):
                found[f"{module.__name__}.{name}"] = thing
    return found


def arguments(function: Any) -> str:
    """Return the arguments of a function or a class in parentheses, without types; nothing where none are ours."""
    made = isinstance(function, type) and (function.__init__ is object.__init__ or issubclass(function, BaseException))
    if made or not (inspect.isroutine(function) or isinstance(function, type)):
        return ""
    parameters = inspect.signature(function).parameters.values()
    bare = [
        p.replace(annotation=p.empty, default=p.default if p.default is p.empty else _Said(p.default))
        for p in parameters
    ]
    return str(inspect.Signature(bare))


class _Said:
    """A default value that is printed alike everywhere: a function or class by its name."""

    def __init__(self, value: Any):
        named = inspect.isroutine(value) or isinstance(value, type)
        self._text = value.__qualname__ if named else repr(value)

    def __repr__(self) -> str:
        return self._text if " at 0x" not in self._text else "..."


def members(kind: type, public: list[type]) -> Iterator[str]:
    """Yield the public methods and properties of a class with their arguments, but for those of a public base."""
    known = {name for base in kind.__mro__[1:] if base in public for name in dir(base)}
    for name in sorted({*dir(kind)} - known):
        owner = next(base for base in kind.__mro__ if name in vars(base))
        if name.startswith("_") or not owner.__module__.startswith("portable_nn."):
            continue
        member = inspect.getattr_static(kind, name)
        if not getattr(member, "__module__", owner.__module__).startswith("portable_nn."):  # made by scikit-learn
            continue
        if isinstance(member, property):
            yield name
        elif inspect.isroutine(member):
            yield name + arguments(getattr(kind, name))


def lines() -> list[str]:
    """Return the whole API."""
    names = public_names()
    public = [thing for thing in names.values() if isinstance(thing, type)]
    found: list[str] = []
    for name, thing in names.items():
        found.append(name + arguments(thing))
        if isinstance(thing, type):
            found += [f"{name}.{member}" for member in members(thing, public)]
    return sorted(found)


if __name__ == "__main__":
    print(*lines(), sep="\n")
