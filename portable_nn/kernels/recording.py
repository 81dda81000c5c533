"""Watching a run, to learn which kernels it calls on what."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

from portable_nn.arrays import is_array
from portable_nn.kernels._dispatch import Kernel, Kernels

__all__ = ["Call", "Recorder", "UnrecordedError", "Value", "leaves", "mapped"]

Tree: TypeAlias = Any
"""An array, a number or anything else, or a tuple or list of trees."""


@dataclass(frozen=True)
class Value:
    """An array of the run, whatever its elements: an input, or what a kernel returned."""

    number: int


@dataclass(frozen=True)
class Call:
    """A call of a kernel: its arguments and its result, with values in the place of arrays."""

    name: str
    kernel: Kernel
    arguments: tuple[Tree, ...]
    result: Tree


class UnrecordedError(Exception):
    """An array came from elsewhere than a kernel: the run cannot be repeated from its calls."""


class Recorder(Kernels):
    """Kernels that do their work and write down what they were called with.

    What depends on no input is not written down: it is a constant.

    Attributes
    ----------
    calls : list of Call
    arrays : dict of Value to array
        What each value was in this run.
    inputs, constants : set of Value
        Where the values that no call returned come from.
    """

    def __init__(self, kernels: Kernels):
        self.kernels = kernels
        self.calls: list[Call] = []
        self.arrays: dict[Value, Any] = {}
        self.inputs: set[Value] = set()
        self.constants: set[Value] = set()
        self._known: dict[int, Value] = {}  # by the identity of the array, which `arrays` keeps alive
        for name, kernel in vars(kernels).items():
            setattr(self, name, partial(self._call, name, kernel) if callable(kernel) else kernel)

    def input(self, tree: Tree) -> Tree:
        """Return the arrays of an input, or equal ones, to be used in the run. A tuple of integers is a random key."""
        if isinstance(tree, list):
            return [self.input(part) for part in cast("list[Any]", tree)]
        if tree is None:
            return None
        if id(tree) in self._known:
            tree = tree[...]  # given twice this time, it may be two arrays the next time
        self.inputs.add(self._new(tree))
        return tree

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

    def _call(self, name: str, kernel: Kernel, *arguments: Any) -> Any:
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

    def _new(self, array: Any) -> Value:
        value = Value(len(self.arrays))
        self.arrays[value] = array
        self._known[id(array)] = value
        return value


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
