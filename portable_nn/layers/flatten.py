"""Flatten: one axis for each sample."""

import math
from typing import Any

from portable_nn.errors import ShapeError
from portable_nn.layers.layer import Arrays, Layer, Run

__all__ = ["Flatten"]


class Flatten(Layer):
    """x (N, ...) as y (N, I), I the product of the further axes."""

    input_kinds = ("any",)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, I) for (N, ...)."""
        if not shape:
            raise ShapeError("Flatten needs x of shape (N, ...), got ()")
        return shape[0], math.prod(shape[1:])

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps the shape of x."""
        return run.kernels.reshape(x, self.output_shape(x.shape)), x.shape

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dy in the shape of x."""
        return run.kernels.reshape(dy, saved), {}
