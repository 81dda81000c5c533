"""Gated linear units: one half of x lets the other half through. N = batch, C = channels of x along an axis."""

from collections.abc import Sequence
from typing import Any, ClassVar

from portable_nn.errors import ShapeError
from portable_nn.initializers import glorot_uniform
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.padding import Axes
from portable_nn.layers.shapes import from_front, integer

__all__ = ["GLU", "SwiGLU"]


class _Gate(Layer):
    kernel: ClassVar[str]
    options = ("axis",)
    weights_before = staticmethod(glorot_uniform())

    def __init__(self, axis: int = -1):
        super().__init__()
        self.axis = integer(type(self).__name__, "axis", axis)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x, with half its size along the axis."""
        axis = from_front(self, self.axis, shape)
        if shape[axis] % 2:
            raise ShapeError(f"{self} needs x with an even size along its axis {self.axis}, got {shape}")
        return *shape[:axis], shape[axis] // 2, *shape[axis + 1 :]

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps x."""
        return getattr(run.kernels, self.kernel)(x, from_front(self, self.axis, x.shape)), x

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx."""
        axis = from_front(self, self.axis, saved.shape)
        return getattr(run.kernels, self.kernel + "_gradient")(dy, saved, axis), {}

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of x, unless they are those of the halves."""
        return axes[0] if axes[0] != (from_front(self, self.axis, shapes[0]),) else None


class GLU(_Gate):
    """y = a sigmoid(b), with a the first half of x along an axis and b, the gate, the second, as in torch.

    x (..., C, ...), y (..., C / 2, ...). Dauphin, Fan, Auli, Grangier (ICML 2017), eq. 1.

    Parameters
    ----------
    axis : int
        The last by default; 1 for the channels of images.

    Raises
    ------
    ShapeError
        If there is no such axis, or its size is odd.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.GLU().forward([[2.0, 3.0, 0.0, 50.0]]))
    [[1. 3.]]
    """

    kernel = "glu"


class SwiGLU(_Gate):
    """y = a silu(b), with a the first half of x along an axis and b, the gate, the second: torch's order for GLU.

    x (..., C, ...), y (..., C / 2, ...). Where weights come from elsewhere, the gate may have been the first half.
    Shazeer, GLU variants improve transformer (arXiv 2002.05202).

    Parameters
    ----------
    axis : int
        As in `GLU`.

    Raises
    ------
    ShapeError
        As in `GLU`.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.SwiGLU().forward([[2.0, 3.0, 0.0, 50.0]]))
    [[  0. 150.]]
    """

    kernel = "swiglu"
