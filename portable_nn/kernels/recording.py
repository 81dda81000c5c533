"""Watching a run, to learn which kernels it calls on what."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

from portable_nn.arrays import copies, is_array
from portable_nn.kernels._dispatch import Kernel, Kernels
from portable_nn.kernels.declarations import is_ours, is_recordable

__all__ = ["Call", "Recorder", "UnrecordedError", "Value", "leaves", "mapped"]

Tree: TypeAlias = Any
"""An array, a number or anything else, or a tuple or list of trees."""


@dataclass(frozen=True)
class Value:
    """An array of the run, whatever its elements: an input, or what a kernel returned; or what opaque code hands on."""

    number: int


@dataclass(frozen=True)
class Call:
    """A call of a kernel: its arguments and its result, with values in the place of arrays.

    An `opaque` one is no kernel but somebody's own code, of which nothing is known: it may keep what it gets, return
    what it has, and do something else the next time.
    """

    name: str
    kernel: Kernel
    arguments: tuple[Tree, ...]
    result: Tree
    opaque: bool = False


@dataclass(frozen=True, eq=False)
class Kept:
    """What opaque code hands on to later opaque code."""

    thing: Any


class UnrecordedError(Exception):
    """An array came from elsewhere than a kernel: the run cannot be repeated from its calls."""


class Recorder(Kernels):
    """Kernels that do their work and write down what they were called with.

    What depends on no input is not written down: it is a constant.

    Parameters
    ----------
    kernels : Kernels
    trusting : bool
        Whether to believe classes that declare themselves recordable; this library's are always believed.

    Attributes
    ----------
    calls : list of Call
    arrays : dict of Value to array
        What each value was in this run.
    inputs, constants : set of Value
        Where the values that no call returned come from.
    """

    def __init__(self, kernels: Kernels, *, trusting: bool = True):
        self.kernels = kernels
        self._trusting = trusting
        self.calls: list[Call] = []
        self.arrays: dict[Value, Any] = {}
        self.inputs: set[Value] = set()
        self.constants: set[Value] = set()
        self._known: dict[int, Value] = {}  # by the identity of the array, which `arrays` keeps alive
        for name, kernel in vars(kernels).items():
            setattr(self, name, partial(self._call, name, kernel) if callable(kernel) else kernel)

    def input(self, tree: Tree) -> Tree:
        """Return the arrays of an input, or equal ones, to be used in the run. A tuple of integers is a random key."""
        if isinstance(tree, list) or _is_several(tree):
            parts: list[Any] = [self.input(part) for part in cast("list[Any]", tree)]
            return tuple(parts) if isinstance(tree, tuple) else parts
        if tree is None:
            return None
        if id(tree) in self._known:
            tree = _another(tree)  # given twice this time, it may be two arrays the next time
        self.inputs.add(self._new(tree))
        return tree

    @property
    def is_opaque(self) -> bool:
        """Whether somebody's own code was called."""
        return any(call.opaque for call in self.calls)

    def records(self, kind: type) -> bool:
        """Tell whether the code of a class is watched call by call: otherwise it goes through `opaque`."""
        return is_recordable(kind) if self._trusting else is_ours(kind)

    def constant(self, array: Any) -> Any:
        """Return an array which is the same in every run."""
        self.constants.add(self._new(array))
        return array

    def opaque(self, name: str, function: Callable[..., Any], arguments: tuple[Tree, ...], *, keeps: bool) -> Tree:
        """Return what `function` returns, and write down that it is called anew in every run.

        It returns a tree of arrays; if it `keeps`, a pair of such a tree and a thing for later opaque code.
        """
        values = self.values(arguments)
        result = function(*mapped(lambda leaf: leaf.thing if isinstance(leaf, Kept) else leaf, arguments))
        arrays, *kept = result if keeps else (result,)
        # In another run it need not return one array twice, or one that it got.
        arrays = mapped(lambda leaf: None if leaf is None else self._made(_another(leaf)), arrays)
        result = (arrays, *(self._made(Kept(thing)) for thing in kept)) if keeps else arrays
        self.calls.append(Call(f"{name}_{len(self.calls)}", function, values, self.values(result), opaque=True))
        return result

    def values(self, tree: Tree) -> Tree:
        """Return a tree with values in the place of its arrays; UnrecordedError for arrays from elsewhere."""
        if id(tree) in self._known:
            return self._known[id(tree)]
        if isinstance(tree, tuple | list):
            parts = [self.values(part) for part in cast("list[Any]", tree)]
            return tuple(parts) if isinstance(tree, tuple) else parts
        if is_array(tree):
            raise UnrecordedError
        return tree

    def forget(self, values: list[Value]) -> None:
        """Keep the arrays of these values alive no longer."""
        for value in values:
            if value in self.arrays:
                del self._known[id(self.arrays.pop(value))]

    def _call(self, name: str, kernel: Kernel, *arguments: Any, **named: Any) -> Any:
        arguments = _positional(kernel, arguments, named) if named else arguments
        values = self.values(arguments)
        result = kernel(*arguments)
        new = [array for array in leaves(result) if is_array(array) and id(array) not in self._known]
        if not new:
            return result  # an argument, as it was
        made = {self._new(array) for array in new}
        if any(isinstance(value, Value) and value not in self.constants for value in leaves(values)):
            self.calls.append(Call(name, kernel, values, self.values(result)))
        else:
            self.constants |= made
        return result

    def _made(self, thing: Any) -> Any:
        self._new(thing)
        return thing

    def _new(self, array: Any) -> Value:
        value = Value(len(self.arrays))
        self.arrays[value] = array
        self._known[id(array)] = value
        return value


def _is_several(tree: Any) -> bool:
    """Tell whether this is a tuple of arrays, and no random key."""
    return isinstance(tree, tuple) and not isinstance(tree[0], int)


def _another(array: Any) -> Any:
    """Return the array as another object."""
    other = array[...]
    return copies([array])[0] if other is array else other  # as where arrays never change


def _positional(kernel: Kernel, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the arguments of a call without their names."""
    given = inspect.signature(kernel).bind(*arguments, **named)
    last = list(given.arguments)[-1]
    given.apply_defaults()
    names = list(given.arguments)
    return tuple(given.arguments[name] for name in names[: names.index(last) + 1])


def leaves(tree: Tree) -> list[Any]:
    """Return what stands in a tree, in order."""
    if isinstance(tree, tuple | list):
        return [leaf for part in cast("list[Any]", tree) for leaf in leaves(part)]
    return [tree]


def mapped(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """Return a tree with `function` applied to all that stands in it."""
    if isinstance(tree, tuple | list):
        parts = [mapped(function, part) for part in cast("list[Any]", tree)]
        return tuple(parts) if isinstance(tree, tuple) else parts
    return function(tree)
