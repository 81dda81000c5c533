"""Normalization of each position by its neighbouring channels. N = batch, C = channels."""

import math
from collections.abc import Sequence
from typing import Any

from portable_nn.errors import ShapeError
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.padding import Axes
from portable_nn.layers.weights import positive
from portable_nn.layers.weights import size as positive_integer

__all__ = ["LocalResponseNorm"]


class LocalResponseNorm(Layer):
    """y_c = x_c / (k + alpha / size sum_j x_j^2)^beta over `size` channels j around c: x and y (N, C) or (N, C, ...).

    The window begins floor(size / 2) channels before c; what is no channel counts as 0. Alpha is divided by the size,
    as in torch, and unlike in the source: Krizhevsky, Sutskever, Hinton, ImageNet classification with deep
    convolutional neural networks (NIPS 2012), section 3.3.

    Parameters
    ----------
    size : int
    alpha, beta : float
        Any finite numbers; alpha not below 0.
    k : float
        More than 0.

    Raises
    ------
    ShapeError
        If `size` is not positive, or x has no axis of channels.
    ValueError
        If another option is out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> layer = pnn.LocalResponseNorm(2, alpha=2.0, beta=1.0)
    >>> print(layer.forward([[1.0, 2.0, 3.0]]).round(3))        # 1 / (1 + 1), 2 / (1 + 1 + 4), 3 / (1 + 4 + 9)
    [[0.5   0.333 0.214]]
    """

    options = ("size", "alpha", "beta", "k")

    def __init__(self, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size = positive_integer("LocalResponseNorm", "size", size)
        if not 0.0 <= alpha < math.inf:
            raise ValueError(f"LocalResponseNorm needs an alpha of 0 or more, got {alpha}")
        if not math.isfinite(beta):
            raise ValueError(f"LocalResponseNorm needs a finite beta, got {beta}")
        self.alpha, self.beta, self.k = float(alpha), float(beta), positive("LocalResponseNorm", "k", k)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x, (N, C) or (N, C, ...)."""
        if len(shape) < 2:
            raise ShapeError(f"{self} needs x of shape (N, C) or (N, C, ...), got {shape}")
        return shape

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps x, and what is raised to the power of beta."""
        y, s = run.kernels.local_response_norm(x, self.size, self.alpha, self.beta, self.k)
        return y, (x, s)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx."""
        return run.kernels.local_response_norm_gradient(dy, *saved, self.size, self.alpha, self.beta), {}

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of x, unless one is that of the channels."""
        return axes[0] if 1 not in axes[0] else None
