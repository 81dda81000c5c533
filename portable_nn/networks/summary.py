"""A network as a table."""

import math
from collections.abc import Mapping

from portable_nn.layers import Layer, Parameter

__all__ = ["summary"]


def summary(
    layers: Mapping[str, Layer], parameters: Mapping[str, Parameter], input_shape: tuple[int, ...] | None = None
) -> str:
    """Return a table of layers in a row: name and class, output shape, number of parameters of its own.

    Parameters
    ----------
    input_shape : tuple of int, optional
        The shape of one sample. By default that of the first layer that fixes it, if those before keep the shape.
    """
    shapes = _output_shapes(layers, input_shape)
    rows = [("layer", "output shape", "parameters")]
    for name, layer in layers.items():
        own = {full: p for full, p in parameters.items() if full.rpartition(".")[0] == name}
        count = sum(math.prod(p.shape) for p in own.values())
        shared = len(layer.parameters) - len(own)
        rows.append((f"{name} {layer!r}", shapes[name], f"{count:,}" + (" (shared)" if shared else "")))
    total = sum(math.prod(p.shape) for p in parameters.values())
    frozen = sum(math.prod(p.shape) for p in parameters.values() if not p.trainable)
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows]
    rule = "-" * max(map(len, lines))
    return "\n".join(
        [lines[0], rule, *lines[1:], rule, f"{total:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")]
    )


def _output_shapes(layers: Mapping[str, Layer], input_shape: tuple[int, ...] | None) -> dict[str, str]:
    if input_shape is None:
        input_shape = next((fixed for layer in layers.values() if (fixed := layer.input_shape())), None)
    shape = None if input_shape is None else (1, *input_shape)
    shapes: dict[str, str] = {}
    for name, layer in layers.items():
        shape = None if shape is None else layer.output_shape(shape)
        shapes[name] = "?" if shape is None else f"({', '.join(['N', *map(str, shape[1:])])})"
    return shapes
