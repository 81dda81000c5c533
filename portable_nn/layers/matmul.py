"""The matrix product with a weight. I = inputs, O = outputs."""

from typing import Any, Self

from portable_nn.arrays import Array, Namespace
from portable_nn.errors import ShapeError
from portable_nn.initializers import Initializer
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.parameter import Parameter, Transposed
from portable_nn.layers.weights import adopt_arrays, declare, size

__all__ = ["MatMul"]


class MatMul(Layer):
    """y = x W over the last axis of x: x (..., I), W (I, O), y (..., O).

    Parameters
    ----------
    inputs, outputs : int
        I and O.
    W : initializer, Parameter or Transposed, optional
        As in `Affine`.
    xp, device, dtype, seed : optional
        As in `Affine`.

    Raises
    ------
    ShapeError
        If a size is not positive or a shared parameter has another shape.
    """

    options = ("inputs", "outputs")

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        W: Initializer | Parameter | Transposed | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str = "float32",
        seed: int | None = None,
    ):
        super().__init__()
        self.inputs, self.outputs = size("MatMul", "inputs", inputs), size("MatMul", "outputs", outputs)
        self.parameters["W"] = declare("MatMul", "W", (self.inputs, self.outputs), W)
        self.initialize_if_asked(xp, device, dtype, seed)

    @classmethod
    def from_arrays(cls, W: Array) -> Self:
        """Return the layer with this weight, in its namespace, on its device and of its data type.

        Raises
        ------
        ShapeError, NamespaceError, DTypeError
            If W is not a floating array of shape (I, O).
        """
        if W.ndim != 2:
            raise ShapeError(f"MatMul needs W of shape (I, O), got {W.shape}")
        layer = cls(*W.shape)
        adopt_arrays(layer, {"W": W})
        return layer

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (..., O) for (..., I)."""
        if len(shape) < 2 or shape[-1] != self.inputs:
            raise ShapeError(f"MatMul needs x of shape (..., {self.inputs}), got {shape}")
        return *shape[:-1], self.outputs

    def input_shape(self) -> tuple[int, ...]:
        """Return (I,)."""
        return (self.inputs,)

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y = x W; keeps x."""
        return run.kernels.matmul(x, params["W"]), x

    def backward_pass(self, run: Run, params: Arrays, kept: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx = dy W^T and dW = x^T dy."""
        return run.kernels.matmul_gradient_x(dy, params["W"]), {"W": run.kernels.matmul_gradient_W(dy, kept)}
