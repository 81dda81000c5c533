"""CuPy: rows of a matrix by their numbers, and the sums that are the gradient: in one order, without a look at them."""

import math
from typing import Any

from portable_nn.kernels.fast import _cuda

__all__ = ["RowKernels"]

_Out = Any  # an array of what was returned before, whose memory is given away, or None


class RowKernels:
    """The kernels of embeddings, as a launcher runs them. `cupy` sorts."""

    def __init__(self, cupy: Any, device: _cuda.Launcher):
        self._cupy, self._device = cupy, device

    def embedding(self, W: Any, x: Any, out: _Out = None) -> Any:
        """Return the rows of W (count, E) whose numbers are x (...), NaN where there is none: (..., E)."""
        device, (count, size), uses = self._device, W.shape, math.prod(x.shape)
        y = device.memory(out, (*x.shape, size), W.dtype)
        arrays = device.contiguous(W, W.dtype), device.contiguous(x, "int64"), y
        device.launch("embedding", _cuda.matrix_launch(uses, size), W.dtype, *arrays, uses, size, count)
        return y

    def embedding_gradient(self, dy: Any, x: Any, count: int, padding: int | None, out: _Out = None) -> Any:
        """Return for each row the sum of dy over its uses in x, from the first to the last."""
        device, size, uses = self._device, dy.shape[-1], math.prod(x.shape)
        dW = device.memory(out, (count, size), dy.dtype)
        x = device.contiguous(x, "int64").reshape(uses)
        arrays = device.contiguous(dy, dy.dtype), x, self._cupy.argsort(x), dW
        numbers = uses, size, count, -1 if padding is None else padding
        device.launch("embedding_gradient", _cuda.matrix_launch(count, size), dy.dtype, *arrays, *numbers)
        return dW
