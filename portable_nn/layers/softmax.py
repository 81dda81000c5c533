"""Softmax as a layer, for networks whose output is to be probabilities. N = batch, C = classes."""

from typing import Any

from portable_nn.initializers import glorot_uniform
from portable_nn.layers.layer import Arrays, Layer, Run

__all__ = ["Softmax"]


class Softmax(Layer):
    """y_c = exp(x_c) / sum_k exp(x_k) over the last axis.

    To train a classifier, use the loss SoftmaxWithLoss instead.
    """

    weights_before = staticmethod(glorot_uniform())

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps y."""
        y = run.kernels.softmax(x)
        return y, y

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx = (diag(y) - y y^T) dy."""
        return run.kernels.softmax_gradient(dy, saved), {}
