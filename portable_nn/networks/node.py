"""Values of a graph as Python sees them while it is built: layers are called on them, and operators make layers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portable_nn.layers import Add, Div, Layer, MatMul, Mul, Neg, Power, Rescale, Sub

__all__ = ["Node"]


@dataclass(frozen=True)
class Node:
    """A value of a graph: an input, or what a layer gives. Layers are called on nodes, and `+ - * / ** @` make layers.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> g = pnn.Graph(dtype="float64")
    >>> a, b, c = g.input("a"), g.input("b"), g.input("c")
    >>> g.output(2 * a * b - c**2)
    >>> print(g.forward(a=3.0, b=4.0, c=5.0))
    -1.0
    """

    graph: Any
    name: str

    def __repr__(self) -> str:
        return f"Node({self.name!r})"

    # What Python's operators mean on nodes: a number on one side is no node, but part of a layer.

    def __add__(self, other: "Node | float") -> Any:
        return self._with(other, Add, lambda number: Rescale(1.0, number))

    def __radd__(self, other: float) -> Any:
        return self + other

    def __sub__(self, other: "Node | float") -> Any:
        return self._with(other, Sub, lambda number: Rescale(1.0, -number))

    def __rsub__(self, other: float) -> Any:
        return self._with(other, Sub, lambda number: Rescale(-1.0, number))

    def __mul__(self, other: "Node | float") -> Any:
        return self._with(other, Mul, Rescale)

    def __rmul__(self, other: float) -> Any:
        return self * other

    def __truediv__(self, other: "Node | float") -> Any:
        return self._with(other, Div, lambda number: Rescale(1.0 / number))

    def __rtruediv__(self, other: float) -> Any:
        return self**-1 * other

    def __pow__(self, exponent: float) -> Any:
        return self._with(exponent, None, Power)

    def __matmul__(self, other: "Node") -> Any:
        return self._with(other, MatMul, None)

    def __neg__(self) -> Any:
        return Neg()(self)

    def _with(
        self, other: Any, of_nodes: Callable[[], Layer] | None, of_number: Callable[[float], Layer] | None
    ) -> Any:
        if isinstance(other, Node):
            return NotImplemented if of_nodes is None else of_nodes()(self, other)
        if of_number is None or not isinstance(other, int | float):
            return NotImplemented
        return of_number(other)(self)
