"""Softmax as a layer, for networks whose output is to be probabilities or their logarithms. N = batch, C = classes."""

from collections.abc import Sequence
from typing import Any, ClassVar

from portable_nn.initializers import glorot_uniform
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.padding import Axes
from portable_nn.layers.shapes import from_front, integer

__all__ = ["LogSoftmax", "Softmax"]


class _OverClasses(Layer):
    kernel: ClassVar[str]
    options = ("axis",)
    weights_before = staticmethod(glorot_uniform())

    def __init__(self, axis: int = -1):
        super().__init__()
        self.axis = integer(type(self).__name__, "axis", axis)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x."""
        from_front(self, self.axis, shape)
        return shape

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps y."""
        y = getattr(run.kernels, self.kernel)(x, self.axis)
        return y, y

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx."""
        return getattr(run.kernels, self.kernel + "_gradient")(dy, saved, self.axis), {}

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of x, unless they are that of the classes."""
        return axes[0] if axes[0] != (from_front(self, self.axis, shapes[0]),) else None


class Softmax(_OverClasses):
    """y_c = exp(x_c) / sum_k exp(x_k) over an axis.

    To train a classifier, use the loss SoftmaxWithLoss instead.

    Parameters
    ----------
    axis : int
        That of the classes: the last by default; 1 for images (N, C, H, W).

    Raises
    ------
    ShapeError
        If x has no such axis.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.Softmax().forward([[1.0, 1.0, 1.0, 1.0]]))
    [[0.25 0.25 0.25 0.25]]
    """

    kernel = "softmax"


class LogSoftmax(_OverClasses):
    """y_c = log(exp(x_c) / sum_k exp(x_k)) over an axis, also where the exponentials would overflow or vanish.

    Parameters
    ----------
    axis : int
        As in `Softmax`.

    Raises
    ------
    ShapeError
        As in `Softmax`.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.LogSoftmax().forward([[0.0, 1000.0]]))
    [[-1000.     0.]]
    """

    kernel = "log_softmax"
