"""The chain rule as a table."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Protocol

from portable_nn.arrays import Place
from portable_nn.layers import Run
from portable_nn.layers.inputs import as_tuple
from portable_nn.layers.layer import Arrays
from portable_nn.layers.topology import Step, Tape
from portable_nn.rendering.drawing import shown
from portable_nn.rendering.expansion import Drawable

__all__ = ["explain"]

_HEADINGS = ("node", "input", "incoming gradient", "local derivative", "outgoing gradient")


class _Explained(Drawable, Protocol):
    """A graph that has a place, and after its passes values and gradients by name."""

    @property
    def place(self) -> Place: ...
    @property
    def values(self) -> Mapping[str, Any]: ...
    @property
    def gradients(self) -> Mapping[str, Any]: ...
    def run(self) -> Run: ...


def explain(graph: _Explained, tape: Tape | None) -> str:
    """Return a table with one row for each arrow into a layer, from the outputs back: incoming times local is outgoing.

    `tape` is what the layers saved in the forward pass. The gradient of a value that several layers take is the sum of
    its outgoing gradients.

    Raises
    ------
    RuntimeError
        If there was no forward pass with its backward pass.
    """
    if not graph.gradients or tape is None:
        raise RuntimeError("this graph needs a forward pass and a backward pass before explain")
    outgoing: dict[str, list[str]] = defaultdict(list)
    for _, end, _, _, derivative in graph.edges():
        if derivative is not None:
            outgoing[end].append(shown(derivative))
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for step, params, saved in reversed(tape):
        incoming = ", ".join(shown(graph.gradients[name]) for name in step.outputs)
        locals_ = _local_derivatives(graph, step, params, saved)
        for i, local, out in zip(step.differentiated, locals_, outgoing[step.name], strict=True):
            rows.append((f"{step.name}: {step.layer!r}", step.inputs[i], incoming, local, out))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _local_derivatives(graph: _Explained, step: Step, params: Arrays, saved: Any) -> list[str]:
    """Return the derivative by each input: of each output, if those are numbers; else its shape."""
    outputs = [graph.values[name] for name in step.outputs]
    if any(y.shape for y in outputs):
        shapes = ", ".join(str(tuple(y.shape)) for y in outputs)
        return [f"{shapes} by {tuple(graph.values[step.inputs[i]].shape)}" for i in step.differentiated]
    by_output: list[tuple[Any, ...]] = []
    for i in range(len(outputs)):
        unit = [graph.place.asarray(float(i == j)) for j in range(len(outputs))]
        by_output.append(as_tuple(step.layer.backward_pass(graph.run(), params, saved, *unit)[0]))
    return [", ".join(map(shown, by_input)) for by_input in zip(*by_output, strict=True)]
