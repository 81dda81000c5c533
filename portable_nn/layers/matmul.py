"""The matrix product, with a weight or of two inputs. I = inputs, O = outputs."""

from typing import Any, Self

from portable_nn.arrays import Array, Namespace, as_array
from portable_nn.errors import ShapeError
from portable_nn.initializers import Initializer
from portable_nn.layers.arithmetic import broadcast
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.parameter import Parameter, Transposed
from portable_nn.layers.weights import adopt_arrays, declare, size

__all__ = ["MatMul"]


class MatMul(Layer):
    """y = x W over the last axis of x: x (..., I), W (I, O), y (..., O); without sizes, y = a b of two inputs.

    The two inputs are matrices or stacks of them, which broadcast: a (..., n, k), b (..., k, m), y (..., n, m).

    Parameters
    ----------
    inputs, outputs : int, optional
        I and O; both or neither.
    W : initializer, Parameter or Transposed, optional
        As in `Affine`.
    xp, device, dtype, seed : optional
        As in `Affine`.

    Raises
    ------
    ShapeError
        If a size is not positive or missing, or a shared parameter has another shape.
    """

    options = ("inputs", "outputs")

    def __init__(
        self,
        inputs: int | None = None,
        outputs: int | None = None,
        *,
        W: Initializer | Parameter | Transposed | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str = "float32",
        seed: int | None = None,
    ):
        super().__init__()
        self.inputs = self.outputs = None
        if inputs is not None and outputs is not None:
            self.inputs, self.outputs = size("MatMul", "inputs", inputs), size("MatMul", "outputs", outputs)
            self.parameters["W"] = declare("MatMul", "W", (self.inputs, self.outputs), W)
            self.initialize_if_asked(xp, device, dtype, seed)
        elif (inputs, outputs, W) != (None, None, None):
            raise ShapeError(f"MatMul needs both inputs and outputs for a weight, got {inputs} and {outputs}")

    @classmethod
    def from_arrays(cls, W: Array) -> Self:
        """Return the layer with this weight, in its namespace, on its device and of its data type.

        Raises
        ------
        ShapeError, NamespaceError, DTypeError
            If W is not a floating array of shape (I, O).
        """
        weight = as_array(W, "W")
        if weight.ndim != 2:
            raise ShapeError(f"MatMul needs W of shape (I, O), got {weight.shape}")
        layer = cls(*weight.shape)
        adopt_arrays(layer, {"W": weight})
        return layer

    def output_shape(self, a: tuple[int, ...], *b: tuple[int, ...]) -> tuple[int, ...]:
        """Return (..., O) for (..., I), or (..., n, m) for (..., n, k) and (..., k, m)."""
        if self.inputs is not None and self.outputs is not None:
            if b or len(a) < 2 or a[-1] != self.inputs:
                raise ShapeError(f"MatMul needs x of shape (..., {self.inputs}), got {', '.join(map(str, (a, *b)))}")
            return *a[:-1], self.outputs
        fit = len(b) == 1 and min(len(a), len(b[0])) > 1 and a[-1] == b[0][-2]
        stack = broadcast(a[:-2], b[0][:-2]) if fit else None
        if stack is None:
            raise ShapeError(f"MatMul needs two inputs (..., n, k) and (..., k, m), got {', '.join(map(str, (a, *b)))}")
        return *stack, a[-2], b[0][-1]

    def input_shape(self) -> tuple[int, ...] | None:
        """Return (I,), if there is a weight."""
        return None if self.inputs is None else (self.inputs,)

    def forward_pass(self, run: Run, params: Arrays, a: Any, b: Any = None) -> tuple[Any, Any]:
        """Return y = a W or y = a b; keeps the inputs."""
        return run.kernels.matmul(a, params.get("W", b)), (a, b)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return da = dy W^T and dW = a^T dy, or da = dy b^T and db = a^T dy."""
        a, b = saved
        if "W" in params:
            return run.kernels.matmul_gradient_x(dy, params["W"]), {"W": run.kernels.matmul_gradient_W(dy, a)}
        return (run.kernels.matmul_gradient_a(dy, b, a.shape), run.kernels.matmul_gradient_b(dy, a, b.shape)), {}

    def __repr__(self) -> str:
        return "MatMul()" if self.inputs is None else f"MatMul({self.inputs}, {self.outputs})"
