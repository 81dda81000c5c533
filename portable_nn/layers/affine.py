"""The affine layer, y = x W + b. N = batch, I = inputs, O = outputs."""

import math
from typing import Any, Self

from portable_nn.arrays import Array, Namespace, as_array
from portable_nn.errors import ShapeError
from portable_nn.initializers import Initializer, zeros
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.parameter import Parameter, Transposed
from portable_nn.layers.weights import adopt_arrays, declare, size

__all__ = ["Affine"]


class Affine(Layer):
    """y = x W + b: x (N, I) or (N, ...) with axes that multiply to I, W (I, O), b (O,), y (N, O).

    Parameters
    ----------
    inputs, outputs : int
        I and O.
    bias : bool
        Whether there is a b.
    W, b : initializer, Parameter or Transposed, optional
        How to draw the parameter, or another layer's parameter to share: `W=encoder.parameters["W"].T`. By default W
        suits the activation that follows in the network (He before ReLU and its kin, else Glorot), and b is zero.
    xp, device, dtype, seed : optional
        Given a namespace or a seed, the parameters are drawn at once; otherwise the network does it.

    Raises
    ------
    ShapeError
        If a size is not positive or a shared parameter has another shape.
    """

    options = ("inputs", "outputs", "bias")

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        W: Initializer | Parameter | Transposed | None = None,
        b: Initializer | Parameter | Transposed | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str = "float32",
        seed: int | None = None,
    ):
        super().__init__()
        self.inputs, self.outputs = size("Affine", "inputs", inputs), size("Affine", "outputs", outputs)
        self.bias = bool(bias)
        self.parameters["W"] = declare("Affine", "W", (self.inputs, self.outputs), W)
        if bias:
            self.parameters["b"] = declare("Affine", "b", (self.outputs,), b or zeros())
        self.initialize_if_asked(xp, device, dtype, seed)

    @classmethod
    def from_arrays(cls, W: Array, b: Array | None = None) -> Self:
        """Return the layer with these parameters, in their namespace, on their device and of their data type.

        Raises
        ------
        ShapeError, NamespaceError, DTypeError
            If W is not (I, O) and b not (O,), or they are not floating arrays of one library and device.
        """
        weight, b = as_array(W, "W"), as_array(b, "b")
        if weight.ndim != 2 or (b is not None and b.shape != (weight.shape[1],)):
            got = f"{weight.shape} and {b.shape}" if b is not None else f"{weight.shape}"
            raise ShapeError(f"Affine needs W of shape (I, O) and b of shape (O,), got {got}")
        layer = cls(*weight.shape, bias=b is not None)
        adopt_arrays(layer, {"W": weight} if b is None else {"W": weight, "b": b})
        return layer

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, O) for (N, ...)."""
        if len(shape) < 2 or math.prod(shape[1:]) != self.inputs:
            raise ShapeError(f"Affine needs x of shape (N, {self.inputs}), got {shape}")
        return shape[0], self.outputs

    def input_shape(self) -> tuple[int, ...]:
        """Return (I,)."""
        return (self.inputs,)

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y = x W + b; keeps x."""
        return run.kernels.affine(x, params["W"], params.get("b")), x

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx = dy W^T, dW = x^T dy and db = sum of dy over the batch."""
        grads = {"W": run.kernels.affine_gradient_W(dy, saved)}
        if "b" in params:
            grads["b"] = run.kernels.affine_gradient_b(dy)
        return run.kernels.affine_gradient_x(dy, params["W"], saved.shape), grads
