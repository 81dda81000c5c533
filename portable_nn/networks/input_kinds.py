"""How whole numbers and booleans go through a graph: as they are, to the layers that ask for them."""

from collections.abc import Mapping
from typing import NamedTuple

from portable_nn.layers import Layer
from portable_nn.layers.inputs import UNCAST
from portable_nn.layers.topology import Topology

__all__ = ["InputKinds", "input_kinds"]

_FLOATS = "real floating"


class InputKinds(NamedTuple):
    """What the inputs of a graph are, and what follows from it.

    Attributes
    ----------
    inputs : tuple of str
        The kind of each, as in `Layer.input_kinds`.
    casts : dict of str to tuple of int
        By the name of a step the positions of the inputs that it gets uncast, and takes as floats.
    carried : frozenset of str
        The steps that move uncast values on: these have no derivative.
    cast_outputs : frozenset of str
        The outputs that are uncast values, and are to be floats.
    """

    inputs: tuple[str, ...]
    casts: Mapping[str, tuple[int, ...]]
    carried: frozenset[str]
    cast_outputs: frozenset[str]


def input_kinds(order: Topology) -> InputKinds:
    """Return the kinds of the inputs, from what the layers that take them, moved or not, ask for.

    An input that some take uncast and others as floats comes uncast. ValueError if it is asked for as whole numbers and
    as booleans.
    """
    wanted = _wanted(order)
    kinds = {name: _common(name, wanted[name]) for name in order.inputs}
    if {*kinds.values()} != {"any"}:
        kinds = {name: _FLOATS if kind == "any" else kind for name, kind in kinds.items()}
    if not {*kinds.values()} & {*UNCAST}:
        return InputKinds(tuple(kinds.values()), {}, frozenset(), frozenset())
    found = {name: kind if kind in UNCAST else _FLOATS for name, kind in kinds.items()}
    casts: dict[str, tuple[int, ...]] = {}
    carried: set[str] = set()
    for step in order.steps:
        taken = _taken(step.layer, len(step.inputs))
        moved = {found[step.inputs[i]] for i, kind in taken.items() if kind == "any"}
        given = moved.pop() if len(moved) == 1 else _FLOATS
        as_floats = (_FLOATS, "any") if given == _FLOATS else (_FLOATS,)
        cast = tuple(i for i, kind in taken.items() if kind in as_floats and found[step.inputs[i]] != _FLOATS)
        casts |= {step.name: cast} if cast else {}
        carried |= {step.name} if given != _FLOATS else set()
        found |= dict.fromkeys(step.outputs, given)
    outputs = frozenset(name for name in order.outputs if found[name] != _FLOATS)
    return InputKinds(tuple(kinds.values()), casts, frozenset(carried), outputs)


def _wanted(order: Topology) -> dict[str, set[str]]:
    """Return the kinds for which each value is asked: "any" for an output."""
    wanted: dict[str, set[str]] = {name: set() for name in order.values()}
    for name in order.outputs:
        wanted[name].add("any")
    for step in reversed(order.steps):
        of_outputs = set[str]().union(*(wanted[name] for name in step.outputs))
        for i, kind in _taken(step.layer, len(step.inputs)).items():
            wanted[step.inputs[i]] |= of_outputs if kind == "any" else {kind}
    return wanted


def _taken(layer: Layer, count: int) -> dict[int, str]:
    """Return the kinds of the inputs of a layer by position, without labels: those are as the loss wants them."""
    kinds = {i: layer.kind_of_input(i) for i in range(count)}
    return {i: kind for i, kind in kinds.items() if kind != _FLOATS or i not in layer.constants}


def _common(name: str, kinds: set[str]) -> str:
    uncast = kinds & {*UNCAST}
    if len(uncast) > 1:
        raise ValueError(f"the node {name} is asked for as whole numbers and as booleans: make two inputs of it")
    return next(iter(uncast), "any" if kinds == {"any"} else _FLOATS)
