"""Graphs as text that other programs draw."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from portable_nn.arrays import to_numpy
from portable_nn.layers.topology import output_box
from portable_nn.rendering.expansion import Clusters, Drawable, expanded

__all__ = ["boxes", "shown", "to_dot", "to_mermaid"]


def to_mermaid(graph: Drawable, *, expand_nested: bool = False) -> str:
    """Return a graph in the language of Mermaid, left to right.

    Values stand on the arrows forward, derivatives on dashed arrows back, if forward and backward passes were made.
    With `expand_nested`, networks among the layers are subgraphs of their layers.
    """
    graph, clusters = expanded(graph, expand_nested)
    identifiers: dict[str, str] = {}
    nodes: dict[str, str] = {}
    for i, (key, text, is_step) in enumerate(boxes(graph)):
        identifiers[key] = f"n{i}"
        begin, end = ("[", "]") if is_step else ("([", "])")
        label = ": ".join(text).replace('"', "#quot;")
        nodes[key] = f'n{i}{begin}"{label}"{end}'
    lines = ["graph LR", *_nested(nodes, clusters, 'subgraph c{}["{}"]', "end")]
    for begin, end, _, value, derivative in graph.edges():
        label = "" if value is None else f'|"{shown(value)}"|'
        lines.append(f"  {identifiers[begin]} -->{label} {identifiers[end]}")
        if derivative is not None:
            lines.append(f'  {identifiers[end]} -.->|"{shown(derivative)}"| {identifiers[begin]}')
    return "\n".join(lines)


def to_dot(graph: Drawable, *, expand_nested: bool = False) -> str:
    """Return a graph in the language of Graphviz, with the labels and clusters of `to_mermaid`."""
    graph, clusters = expanded(graph, expand_nested)
    identifiers: dict[str, str] = {}
    nodes: dict[str, str] = {}
    for i, (key, text, is_step) in enumerate(boxes(graph)):
        identifiers[key] = f"n{i}"
        label = ": ".join(text).replace("\\", "\\\\").replace('"', '\\"')
        nodes[key] = f'n{i} [label="{label}"' + ("]" if is_step else ", shape=oval]")
    lines = ["digraph {", "  rankdir=LR", "  node [shape=box, style=rounded]"]
    lines += _nested(nodes, clusters, 'subgraph cluster_{} {{ label="{}"', "}")
    for begin, end, _, value, derivative in graph.edges():
        label = "" if value is None else f' [label="{shown(value)}"]'
        lines.append(f"  {identifiers[begin]} -> {identifiers[end]}{label}")
        if derivative is not None:
            # Without constraint, as an arrow back would turn the layers round.
            options = f'label="{shown(derivative)}", style=dashed, constraint=false'
            lines.append(f"  {identifiers[end]} -> {identifiers[begin]} [{options}]")
    return "\n".join([*lines, "}"])


def _nested(nodes: Mapping[str, str], clusters: Clusters, begin: str, end: str) -> Iterator[str]:
    """Yield the lines of nodes, those of a network between the lines that begin and end it; a network is not parted."""
    within: list[str] = []
    count = itertools.count()
    for key, line in [*nodes.items(), ("", "")]:
        path = [*clusters.get(key, ())]
        while within != path[: len(within)]:
            within.pop()
            yield f"{'  ' * len(within)}  {end}"
        for network in path[len(within) :]:
            yield f"{'  ' * len(within)}  {begin.format(next(count), network)}"
            within.append(network)
        if line:
            yield f"{'  ' * len(within)}  {line}"


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
