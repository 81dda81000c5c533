"""A network as a table."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from portable_nn.arrays import in_order
from portable_nn.layers import Layer, Parameter, State
from portable_nn.layers.topology import Topology

__all__ = ["InputShape", "summary"]

InputShape: TypeAlias = tuple[int, ...] | Mapping[str, tuple[int, ...]] | None


def summary(
    order: Topology,
    parameters: Mapping[str, Parameter],
    states: Mapping[str, State],
    input_shape: InputShape = None,
) -> str:
    """Return a table of the layers: name and call, output shape, number of parameters of its own.

    Parameters
    ----------
    input_shape : tuple of int, or for several inputs a mapping of their names to such, optional
        The shape of one sample. By default that of the first layer that fixes it, if those before keep the shape; of
        several inputs that of the first layer which takes each.
    """
    rows = [("layer", "output shape", "parameters")]
    for path, layer, shape in _leaves(order, _input_shapes(order, input_shape), ""):
        own = [p for full, p in parameters.items() if full.rpartition(".")[0] == path]
        count = f"{sum(math.prod(p.shape) for p in own):,}"
        shared = " (shared)" if len(layer.boxes()) > len(own) else ""
        shown = "?" if shape is None else f"({', '.join(['N', *map(str, shape[1:])])})"
        rows.append((f"{path} {layer!r}", shown, count + shared))
    total = sum(math.prod(p.shape) for p in parameters.values())
    frozen = sum(math.prod(p.shape) for p in parameters.values() if not p.trainable)
    kept = sum(math.prod(state.shape) for state in states.values())
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows]
    rule = "-" * max(map(len, lines))
    count = f"{total:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")
    count += f"; {kept:,} numbers of state" if kept else ""
    return "\n".join([lines[0], rule, *lines[1:], rule, count])


def _input_shapes(order: Topology, input_shape: InputShape) -> list[Any] | None:
    """Return the shapes of the inputs, for a batch of one; None if they are not known."""
    one = len(order.inputs) == 1
    if input_shape is None:
        takers = {step.inputs: step.layer for step in reversed(order.steps)}
        fixed = (takers[name,].input_shape() if (name,) in takers else None for name in order.inputs)
        shapes = [order.input_shape()] if one else list(fixed)
    else:
        by_name = {order.inputs[0]: input_shape} if one and isinstance(input_shape, tuple | list) else input_shape
        shapes = in_order(by_name, order.inputs, "input_shape")
    return None if None in shapes else [(1, *shape) for shape in shapes if shape is not None]


def _leaves(order: Topology, inputs: Sequence[Any] | None, path: str) -> Iterator[tuple[str, Layer, Any]]:
    """Yield each layer that is not made of others, with its path and the shape of its first output."""
    shapes: dict[str, Any] = {} if inputs is None else order.shapes(inputs)
    for step in order.steps:
        within: Topology | None = getattr(step.layer, "order", None)
        if within is None:
            yield path + step.name, step.layer, shapes.get(step.outputs[0])
        else:
            taken = [shapes[name] for name in step.inputs] if shapes else None
            yield from _leaves(within, taken, f"{path}{step.name}.")
