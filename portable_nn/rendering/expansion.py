"""Graphs with the layers of the networks among their layers in the place of these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from portable_nn.kernels import is_recordable
from portable_nn.layers import Layer
from portable_nn.layers.topology import Topology, output_box

__all__ = ["Clusters", "Drawable", "Expanded", "expanded"]

Clusters: TypeAlias = Mapping[str, tuple[str, ...]]
"""By the name of a step the networks in which it is, the outermost first, each as its path and its class."""

_Edge: TypeAlias = tuple[str, str, str, Any, Any]


class Drawable(Protocol):
    """What is drawn: a graph, perhaps with values and derivatives on its arrows."""

    @property
    def order(self) -> Topology:
        """The layers, in order, and what each takes."""
        ...

    def edges(self) -> list[tuple[str, str, str, Any, Any]]:
        """Return for each arrow where it begins and ends, its value's name, the value, and the derivative along it."""
        ...


@dataclass(frozen=True)
class Expanded:
    """A graph in which the layers of networks stand by themselves, named by path, "residual1.0".

    Attributes
    ----------
    order : Topology
    clusters : Clusters
    """

    graph: Drawable
    order: Topology
    clusters: Clusters

    def edges(self) -> list[_Edge]:
        """Return the arrows, with the values and derivatives that the graph knows: those outside its networks."""
        makers = {output: step.name for step in self.order.steps for output in step.outputs}
        names = _names(self.graph.order)
        known: dict[tuple[str, str], Any] = {(name, end): back for _, end, name, _, back in self.graph.edges()}
        values: dict[str, Any] = {name: value for _, _, name, value, _ in self.graph.edges()}
        ends = [(name, step.name, self._outside(step.name)) for step in self.order.steps for name in step.inputs]
        outer = zip(self.order.outputs, self.graph.order.outputs, strict=True)
        ends += [(inside, output_box(inside), output_box(name)) for inside, name in outer]
        arrows = [(name, outside) for name, _, outside in ends]
        return [
            (
                makers.get(name, name),
                end,
                name,
                values.get(names.get(name, "")),
                # Where several layers take what comes in, the derivative is the sum of theirs.
                known.get((names.get(name, ""), outside)) if arrows.count((name, outside)) == 1 else None,
            )
            for name, end, outside in ends
        ]

    def _outside(self, step: str) -> str:
        """Return the name of the step of the graph in which a step is."""
        return next((name for name in (outer.name for outer in self.graph.order.steps) if _is_in(step, name)), step)


def _is_in(step: str, outer: str) -> bool:
    return step == outer or step.startswith(f"{outer}.")


def expanded(graph: Drawable, expand_nested: bool) -> tuple[Drawable, Clusters]:
    """Return what is to be drawn of a graph, and which of its steps are in networks: none, unless they are expanded."""
    if not expand_nested:
        return graph, {}
    clusters, order = _clusters(graph.order, "", ()), graph.order.flat()
    order.output_names = graph.order.output_names or graph.order.outputs
    return Expanded(graph, order, clusters), clusters


def _within(layer: Layer) -> Topology | None:
    """Return the topology of a layer that is a network, as `Topology.flat` sees it."""
    return getattr(layer, "order", None) if is_recordable(type(layer)) else None


def _clusters(order: Topology, prefix: str, path: tuple[str, ...]) -> Clusters:
    found: dict[str, tuple[str, ...]] = {}
    for step in order.steps:
        name, within = prefix + step.name, _within(step.layer)
        if within is None:
            found[name] = path
        else:
            found |= _clusters(within, f"{name}.", (*path, f"{name}: {type(step.layer).__name__}"))
    return found


def _names(order: Topology) -> dict[str, str]:
    """Return what values of the flat graph are called in the graph, of those that are in both."""
    names = {name: name for name in order.inputs}
    for step in order.steps:
        within = _within(step.layer)
        inside = step.outputs if within is None else [f"{step.name}.{name}" for name in within.flat().outputs]
        names |= dict(zip(inside, step.outputs, strict=True))
    return names
