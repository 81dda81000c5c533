"""A network as a table."""

import math
from collections.abc import Mapping

from portable_nn.layers import Parameter
from portable_nn.networks.steps import Steps

__all__ = ["summary"]


def summary(order: Steps, parameters: Mapping[str, Parameter], input_shape: tuple[int, ...] | None = None) -> str:
    """Return a table of the layers: name and call, output shape, number of parameters of its own.

    Parameters
    ----------
    input_shape : tuple of int, optional
        The shape of one sample. By default that of the first layer that fixes it, if those before keep the shape.
    """
    shapes = _output_shapes(order, input_shape)
    rows = [("layer", "output shape", "parameters")]
    for step in order.steps:
        own = [p for full, p in parameters.items() if full.rpartition(".")[0] == step.name]
        count = f"{sum(math.prod(p.shape) for p in own):,}"
        shared = " (shared)" if len(step.layer.parameters) > len(own) else ""
        rows.append((f"{step.name} {step.layer!r}", shapes.get(step.outputs[0], "?"), count + shared))
    total = sum(math.prod(p.shape) for p in parameters.values())
    frozen = sum(math.prod(p.shape) for p in parameters.values() if not p.trainable)
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows]
    rule = "-" * max(map(len, lines))
    return "\n".join(
        [lines[0], rule, *lines[1:], rule, f"{total:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")]
    )


def _output_shapes(order: Steps, input_shape: tuple[int, ...] | None) -> dict[str, str]:
    if input_shape is None:
        fixed = (step.layer.input_shape() for step in order.steps)
        input_shape = next((shape for shape in fixed if shape), None)
    if input_shape is None or len(order.inputs) != 1:
        return {}
    shapes = order.shapes([(1, *input_shape)])
    return {name: f"({', '.join(['N', *map(str, shape[1:])])})" for name, shape in shapes.items()}
