"""The topology of a network: which layer takes which values, and gives which."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from portable_nn.errors import ShapeError
from portable_nn.kernels import is_recordable
from portable_nn.layers.inputs import UNCAST
from portable_nn.layers.layer import Arrays, Layer

__all__ = ["Step", "Tape", "Topology", "output_box"]


@dataclass(frozen=True)
class Step:
    """One layer at its place in a graph.

    Attributes
    ----------
    name : str
        The layer's name, which begins the names of its parameters.
    inputs, outputs : tuple of str
        The names of the values that it takes and gives.
    differentiated : tuple of int
        The positions of the inputs that have a derivative.
    own, paths : tuple of str
        The layer's names of the arrays that it takes, and their paths: of the layer's first step, if it has several.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    differentiated: tuple[int, ...]
    own: tuple[str, ...]
    paths: tuple[str, ...]


Tape = list[tuple[Step, Arrays, Any]]
"""Each step of a forward walk with the parameters that it took, and what its layer saved."""


class Topology:
    """Values by name and the layers between them, in the order in which they were put there, each after what it needs.

    Attributes
    ----------
    inputs, outputs : list of str
        The names of the values that come from outside, and that are asked for. With outputs, nothing more is added.
    output_names : list of str, optional
        What the outputs are called outside, if they were given names there.
    steps : list of Step
    """

    def __init__(self) -> None:
        self.inputs: list[str] = []
        self.steps: list[Step] = []
        self.outputs: list[str] = []
        self.output_names: list[str] | None = None

    def add_input(self, name: str) -> None:
        """Add an input; ValueError if the name is taken or there are outputs."""
        self.inputs.append(self._new(name))

    def add(self, layer: Layer, inputs: Sequence[str], name: str | None) -> Step:
        """Add a layer, named after its class and a number by default.

        Raises
        ------
        ValueError
            As for `add_input`, or if the layer does not take as many inputs.
        """
        if not layer.takes(len(inputs)):
            raise ValueError(f"{layer!r} does not take {len(inputs)} input{'s' * (len(inputs) != 1)}")
        name = self._new(name or self.default_name(layer))
        count = layer.output_count
        outputs = (name,) if count == 1 else tuple(self._new(f"{name}.{i}") for i in range(1, count + 1))
        differentiated = layer.differentiated(len(inputs))
        first = next((step.name for step in self.steps if step.layer is layer), name)
        own = tuple(layer.boxes())
        paths = tuple(f"{first}.{name}" for name in own)
        self.steps.append(Step(name, layer, tuple(inputs), outputs, differentiated, own, paths))
        return self.steps[-1]

    def default_name(self, layer: Layer) -> str:
        """Return the name that `add` gives to a layer without one."""
        kind, taken = type(layer).__name__.lower(), self._taken()
        return next(name for i in itertools.count(1) if (name := f"{kind}{i}") not in taken)

    def finish(self, outputs: Sequence[str], names: Sequence[str] | None = None) -> None:
        """Say what is asked for, and perhaps what it is called outside.

        Raises
        ------
        ValueError
            If that is nothing, was said before, or leaves a value without use; or if a value that some layer takes as a
            constant does not come from outside or has other uses, as its derivative would then be missing there; or if
            a name would be taken for another in records of training.
        """
        self._new("")
        if not outputs:
            raise ValueError("a graph needs at least one output")
        if len({*outputs}) < len(outputs):
            raise ValueError(f"each output needs to be another node, got {', '.join(outputs)}")
        used = {name for step in self.steps for name in step.inputs} | set(outputs)
        for name in self.values():
            if name not in used:
                raise ValueError(f"the node {name} is not used: it leads to no output")
        constants = self.constants()
        for step in self.steps:
            for i, name in enumerate(step.inputs):
                is_label = i in step.layer.constants and step.layer.kind_of_input(i) not in UNCAST
                if is_label and name not in constants:
                    raise ValueError(f"the node {step.name} has no derivative by {name}: it needs an input for itself")
        self.outputs, self.output_names = list(outputs), _output_names(names)

    def first_names(self) -> dict[int, str]:
        """Return the name of the first step of each layer, by the layer's identity."""
        return {id(step.layer): step.name for step in reversed(self.steps)}

    def distinct_layers(self) -> dict[str, Layer]:
        """Return each layer once, by the name of its first step."""
        first = self.first_names()
        return {step.name: step.layer for step in self.steps if first[id(step.layer)] == step.name}

    def flat(self) -> "Topology":
        """Return the same without networks among the layers: their steps are there instead, named by path."""
        flat, known = Topology(), {name: name for name in self.inputs}
        flat.inputs = list(self.inputs)
        for step in self.steps:
            within: Topology | None = getattr(step.layer, "order", None) if is_recordable(type(step.layer)) else None
            if within is None:
                flat.steps.append(replace(step, inputs=tuple(known[name] for name in step.inputs)))
                known |= {name: name for name in step.outputs}
                continue
            inner = within.flat()
            inside = dict(zip(inner.inputs, (known[name] for name in step.inputs), strict=True))
            paths = dict(zip(step.own, step.paths, strict=True))
            for part in inner.steps:
                inside |= {name: f"{step.name}.{name}" for name in part.outputs}
                part = replace(
                    part,
                    name=f"{step.name}.{part.name}",
                    inputs=tuple(inside[name] for name in part.inputs),
                    outputs=tuple(inside[name] for name in part.outputs),
                    paths=tuple(paths[path] for path in part.paths),
                )
                flat.steps.append(part)
            known |= dict(zip(step.outputs, (inside[name] for name in inner.outputs), strict=True))
        flat.outputs, flat.output_names = [known[name] for name in self.outputs], self.output_names
        return flat

    def constants(self) -> set[str]:
        """Return the inputs that have no derivative: labels, say, which only losses take."""
        differentiated = {step.inputs[i] for step in self.steps for i in step.differentiated}
        return set(self.inputs) - differentiated

    def values(self) -> list[str]:
        """Return the names of all values."""
        return [*self.inputs, *(name for step in self.steps for name in step.outputs)]

    def last_uses(self) -> dict[str, list[str]]:
        """Return for each step the values that nothing needs after it."""
        last = {name: step.name for step in self.steps for name in (*step.outputs, *step.inputs)}
        uses: dict[str, list[str]] = {step.name: [] for step in self.steps}
        for name, step in last.items():
            if name not in self.outputs:
                uses[step].append(name)
        return uses

    def input_shape(self) -> tuple[int, ...] | None:
        """Return the shape of one sample that the first layer which fixes it needs, if those before keep it."""
        for step in self.steps:
            shape = step.layer.input_shape()
            if shape or {*step.layer.input_kinds} & {*UNCAST}:  # which make something of another size
                return shape
        return None

    def shapes(self, inputs: Sequence[tuple[int, ...]], what: str = "node") -> dict[str, Any]:
        """Return the shapes of all values for inputs of these shapes; ShapeError names the step that refuses them."""
        if len(inputs) != len(self.inputs):
            raise ShapeError(f"this graph has the inputs {', '.join(self.inputs)}: call forward with all of them")
        shapes: dict[str, Any] = dict(zip(self.inputs, inputs, strict=True))
        for step in self.steps:
            try:
                shape = step.layer.output_shape(*(shapes[name] for name in step.inputs))
            except ShapeError as error:
                raise ShapeError(f"{what} {step.name}: {error}") from None
            shapes.update(zip(step.outputs, (shape,) if len(step.outputs) == 1 else shape, strict=True))
        return shapes

    def _new(self, name: str) -> str:
        if self.outputs:
            raise ValueError("the graph has its output already, and cannot grow")
        if name in self._taken():
            raise ValueError(f"there is a node {name} already")
        if "\n" in name:
            raise ValueError(f"the name of a node needs to be one line, got {name!r}")
        return name

    def _taken(self) -> set[str]:
        return {*self.values(), *(step.name for step in self.steps)}


def _output_names(names: Sequence[str] | None) -> list[str] | None:
    for name in names or ():
        if not name or "\n" in name or f"{name}_".startswith("val_"):
            raise ValueError(
                f'the name of an output needs to be one line that does not begin with "val_", got {name!r}'
            )
    return list(names) if names else None


def output_box(name: str) -> str:
    """Return what pictures call the box of an output: no value's name, as those are one line."""
    return f"output\n{name}"
