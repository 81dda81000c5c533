"""Graphs as text that other programs draw."""

import math
from collections.abc import Iterator
from typing import Any, Protocol

from portable_nn.arrays import to_numpy
from portable_nn.layers.topology import Topology, output_box

__all__ = ["Drawable", "boxes", "shown", "to_dot", "to_mermaid"]


class Drawable(Protocol):
    """What is drawn: a graph, perhaps with values and derivatives on its arrows."""

    @property
    def order(self) -> Topology:
        """The layers, in order, and what each takes."""
        ...

    def edges(self) -> list[tuple[str, str, str, Any, Any]]:
        """Return for each arrow where it begins and ends, its value's name, the value, and the derivative along it."""
        ...


def to_mermaid(graph: Drawable) -> str:
    """Return a graph in the language of Mermaid, left to right.

    Values stand on the arrows forward, derivatives on dashed arrows back, if forward and backward passes were made.
    """
    identifiers: dict[str, str] = {}
    lines = ["graph LR"]
    for i, (key, text, is_step) in enumerate(boxes(graph)):
        identifiers[key] = f"n{i}"
        begin, end = ("[", "]") if is_step else ("([", "])")
        label = ": ".join(text).replace('"', "#quot;")
        lines.append(f'  n{i}{begin}"{label}"{end}')
    for begin, end, _, value, derivative in graph.edges():
        label = "" if value is None else f'|"{shown(value)}"|'
        lines.append(f"  {identifiers[begin]} -->{label} {identifiers[end]}")
        if derivative is not None:
            lines.append(f'  {identifiers[end]} -.->|"{shown(derivative)}"| {identifiers[begin]}')
    return "\n".join(lines)


def to_dot(graph: Drawable) -> str:
    """Return a graph in the language of Graphviz, with the labels of `to_mermaid`."""
    identifiers: dict[str, str] = {}
    lines = ["digraph {", "  rankdir=LR", "  node [shape=box, style=rounded]"]
    for i, (key, text, is_step) in enumerate(boxes(graph)):
        identifiers[key] = f"n{i}"
        label = ": ".join(text).replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'  n{i} [label="{label}"' + ("]" if is_step else ", shape=oval]"))
    for begin, end, _, value, derivative in graph.edges():
        label = "" if value is None else f' [label="{shown(value)}"]'
        lines.append(f"  {identifiers[begin]} -> {identifiers[end]}{label}")
        if derivative is not None:
            # Without constraint, as an arrow back would turn the layers round.
            options = f'label="{shown(derivative)}", style=dashed, constraint=false'
            lines.append(f"  {identifiers[end]} -> {identifiers[begin]} [{options}]")
    return "\n".join([*lines, "}"])


def boxes(graph: Drawable) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Yield for each box its name in `Graph.edges`, the words in it, and whether it is a step of the graph."""
    for name in graph.order.inputs:
        yield name, (name,), False
    for step in graph.order.steps:
        yield step.name, (step.name, repr(step.layer)), True
    for name, shown_as in zip(graph.order.outputs, graph.order.output_names or graph.order.outputs, strict=True):
        yield output_box(name), (shown_as,), False


def shown(array: Any) -> str:
    """Return a number as it is, in six digits; an array as its shape, mean and Euclidean norm."""
    values: Any = to_numpy(array)
    if values.ndim == 0:
        return f"{float(values):.6g}"
    if not values.size:
        return f"{values.shape}"
    return f"{values.shape} mean {float(values.mean()):.3g} norm {math.sqrt(float((values * values).sum())):.3g}"
