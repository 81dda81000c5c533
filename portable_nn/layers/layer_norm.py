"""Normalization of each sample, or position, over its last axes."""

from collections.abc import Sequence
from typing import Any

from portable_nn.errors import ShapeError
from portable_nn.initializers import constant, zeros
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.padding import Axes
from portable_nn.layers.parameter import Parameter
from portable_nn.layers.shapes import integers
from portable_nn.layers.weights import positive, size

__all__ = ["LayerNorm", "RMSNorm"]


class _OverLastAxes(Layer):
    options = ("normalized_shape", "epsilon")

    def __init__(self, normalized_shape: int | Sequence[int], epsilon: float):
        super().__init__()
        name = type(self).__name__
        if isinstance(normalized_shape, Sequence):
            sizes = integers(name, "normalized_shape", normalized_shape)
            if not sizes:
                raise ShapeError(f"{name} needs a normalized_shape of one axis at least, got {normalized_shape!r}")
            shape = self.normalized_shape = [size(name, "normalized_shape", number) for number in sizes]
        else:
            self.normalized_shape = size(name, "normalized_shape", normalized_shape)
            shape = [self.normalized_shape]
        self.epsilon = positive(name, "epsilon", epsilon)
        self.parameters["gamma"] = Parameter(tuple(shape), constant(1.0))

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x, (N, ..., *normalized_shape)."""
        normalized = self.parameters["gamma"].shape
        if len(shape) <= len(normalized) or shape[-len(normalized) :] != normalized:
            last = ", ".join(map(str, normalized))
            raise ShapeError(f"{self} needs x of shape (N, ..., {last}), got {shape}")
        return shape

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of x, unless one is normalized over."""
        return axes[0] if max(axes[0]) < len(shapes[0]) - len(self.parameters["gamma"].shape) else None


class LayerNorm(_OverLastAxes):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, sample by sample: x and y (N, ..., *normalized_shape).

    Mean and variance (biased) are those of the last axes, at each position for itself, in training and outside.
    Parameters of the shape `normalized_shape`: gamma, 1 at first, and beta, 0 at first. An optimizer with
    `decay="weights"` leaves them out if they have one axis; for several, say `groups={"*.gamma": {"weight_decay": 0.0},
    "*.beta": {"weight_decay": 0.0}}`. Ba, Kiros, Hinton, Layer normalization (arXiv 1607.06450), equation 4.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The size of the last axis, or the sizes of the last axes.
    epsilon : float
        More than 0.

    Raises
    ------
    ShapeError
        If a size is not positive, or the last axes of x have other sizes.
    ValueError
        If `epsilon` is out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> layer = pnn.LayerNorm(3)
    >>> print(layer.forward([[1.0, 2.0, 3.0], [10.0, 10.0, 40.0]]).round(3))
    [[-1.225  0.     1.225]
     [-0.707 -0.707  1.414]]
    >>> pnn.LayerNorm((2, 3)).forward([[1.0, 2.0, 3.0]])
    Traceback (most recent call last):
    portable_nn.errors.ShapeError: LayerNorm([2, 3]) needs x of shape (N, ..., 2, 3), got (1, 3)
    """

    def __init__(self, normalized_shape: int | Sequence[int], *, epsilon: float = 1e-5):
        super().__init__(normalized_shape, epsilon)
        self.parameters["beta"] = Parameter(self.parameters["gamma"].shape, zeros())

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps x, its means and 1 / sqrt(variance + epsilon)."""
        y, center, inverse = run.kernels.layer_norm(x, params["gamma"], params["beta"], self.epsilon)
        return y, (x, center, inverse)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx, dgamma and dbeta."""
        dx, dgamma, dbeta = run.kernels.layer_norm_gradient(dy, *saved, params["gamma"])
        return dx, {"gamma": dgamma, "beta": dbeta}


class RMSNorm(_OverLastAxes):
    """y = gamma x / sqrt(mean(x^2) + epsilon), sample by sample: x and y (N, ..., *normalized_shape).

    The mean is that of the last axes, at each position for itself, in training and outside. Parameter of the shape
    `normalized_shape`: gamma, 1 at first; of weight decay holds what `LayerNorm` says. Zhang, Sennrich, Root mean
    square layer normalization (NeurIPS 2019), equation 4.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The size of the last axis, or the sizes of the last axes.
    epsilon : float
        More than 0.

    Raises
    ------
    ShapeError
        If a size is not positive, or the last axes of x have other sizes.
    ValueError
        If `epsilon` is out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.RMSNorm(2).forward([[3.0, 4.0], [0.0, 2.0]]).round(3))
    [[0.849 1.131]
     [0.    1.414]]
    """

    def __init__(self, normalized_shape: int | Sequence[int], *, epsilon: float = 1e-6):
        super().__init__(normalized_shape, epsilon)

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps x, and 1 / sqrt(mean(x^2) + epsilon)."""
        y, inverse = run.kernels.rms_norm(x, params["gamma"], self.epsilon)
        return y, (x, inverse)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx and dgamma."""
        dx, dgamma = run.kernels.rms_norm_gradient(dy, *saved, params["gamma"])
        return dx, {"gamma": dgamma}
