"""Activations made of pieces, each a polynomial of x (N, ...); the maths stands in `kernels/portable/piecewise.py`.

N = batch, C = channels.
"""

from collections.abc import Sequence
from typing import Any

from portable_nn.errors import ShapeError
from portable_nn.initializers import constant, glorot_uniform, he_normal, lecun_normal
from portable_nn.layers.activations import Activation
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.padding import Axes
from portable_nn.layers.parameter import Parameter
from portable_nn.layers.shapes import from_front, integer
from portable_nn.layers.weights import size

__all__ = ["HardSigmoid", "HardSwish", "HardTanh", "LeakyReLU", "Maxout", "PReLU", "ReLU", "ReLU6"]


class ReLU(Activation):
    """max(x, 0); the derivative at 0 is 0. Nair and Hinton (ICML 2010)."""

    kernel, keeps_output = "relu", True


class LeakyReLU(Activation):
    """The identity for x > 0, else slope x; the derivative at 0 is slope. Maas, Hannun, Ng (ICML 2013).

    Parameters
    ----------
    slope : float
        The derivative for negative x.
    """

    kernel, options = "leaky_relu", ("slope",)

    def __init__(self, slope: float = 0.01):
        super().__init__()
        self.slope = float(slope)


class PReLU(Layer):
    """The identity for x > 0, else slope x, with slopes that are learnt: x and y (N, C, ...).

    The parameter `slope` is (C,), one for each channel along axis 1, or (1,), one for all. The decay of an optimizer
    with `decay="weights"` leaves it out, as the paper does. He, Zhang, Ren, Sun, Delving deep into rectifiers (ICCV
    2015).

    Parameters
    ----------
    num_parameters : int
        C, or 1 for one slope.
    init : float
        What the slopes are at first.

    Raises
    ------
    ShapeError
        If `num_parameters` is not positive, or there are several and x has other channels.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> layer = pnn.PReLU(2, init=0.5)
    >>> print(layer.forward([[-2.0, 3.0], [1.0, -4.0]]))
    [[-1.  3.]
     [ 1. -2.]]
    >>> print(layer.backward([[1.0, 1.0], [1.0, 1.0]]), layer.grads["slope"])
    [[0.5 1. ]
     [1.  0.5]] [-2. -4.]
    """

    options = ("num_parameters", "init")
    weights_before = staticmethod(he_normal())

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        super().__init__()
        self.num_parameters = size("PReLU", "num_parameters", num_parameters)
        self.init = float(init)
        self.parameters["slope"] = Parameter((self.num_parameters,), constant(self.init))

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x."""
        if self.num_parameters > 1 and (len(shape) < 2 or shape[1] != self.num_parameters):
            raise ShapeError(f"{self} needs x of shape (N, {self.num_parameters}, ...), got {shape}")
        return shape

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps x."""
        return run.kernels.prelu(x, params["slope"]), x

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx and dslope."""
        dx, dslope = run.kernels.prelu_gradient(dy, saved, params["slope"])
        return dx, {"slope": dslope}

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of x, unless each position has a slope of its own."""
        return axes[0] if self.num_parameters == 1 or axes[0] != (1,) else None


class HardTanh(Activation):
    """x, at least min_val and at most max_val; the derivative there is 0. Collobert (2004).

    Parameters
    ----------
    min_val, max_val : float

    Raises
    ------
    ValueError
        If `min_val` is not less than `max_val`.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.HardTanh().forward([[-3.0, 0.5, 2.0]]))
    [[-1.   0.5  1. ]]
    """

    kernel, keeps_output, options = "hard_tanh", True, ("min_val", "max_val")
    weights_before = staticmethod(glorot_uniform())

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0):
        super().__init__()
        if not min_val < max_val:
            raise ValueError(f"HardTanh needs a min_val below max_val, got {min_val} and {max_val}")
        self.min_val, self.max_val = float(min_val), float(max_val)


class ReLU6(Activation):
    """x, at least 0 and at most 6; the derivative there is 0. Krizhevsky, Convolutional deep belief networks (2010).

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.ReLU6().forward([[-1.0, 2.0, 8.0]]))
    [[0. 2. 6.]]
    """

    kernel, keeps_output, numbers = "hard_tanh", True, ("min_val", "max_val")
    min_val, max_val = 0.0, 6.0


class HardSigmoid(Activation):
    """x / 6 + 1/2, at least 0 and at most 1, as torch and Keras have it. Howard et al., MobileNetV3 (ICCV 2019).

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.HardSigmoid().forward([[-4.0, 0.0, 1.5]]))
    [[0.   0.5  0.75]]
    """

    kernel, keeps_output = "hard_sigmoid", True
    weights_before = staticmethod(glorot_uniform())


class HardSwish(Activation):
    """The product of x and its `HardSigmoid`, close to SiLU. Howard et al., MobileNetV3 (ICCV 2019).

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.HardSwish().forward([[-4.0, -1.5, 3.0]]))
    [[-0.    -0.375  3.   ]]
    """

    kernel = "hard_swish"


class Maxout(Layer):
    """The largest of each `pieces` neighbours along an axis: x (..., C, ...), y (..., C / pieces, ...).

    Behind an affine layer of `pieces` times as many outputs it is the maxout layer of the paper. Of several that are
    largest, the first gets the derivative. Goodfellow, Warde-Farley, Mirza, Courville, Bengio (ICML 2013).

    Parameters
    ----------
    pieces : int
        How many affine functions each y is the largest of; it divides C.
    axis : int
        The last by default; 1 for the channels of images.

    Raises
    ------
    ShapeError
        If `pieces` is not positive or does not divide C, or there is no such axis.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> layer = pnn.Maxout(2)
    >>> print(layer.forward([[1.0, 3.0, -1.0, -2.0]]))
    [[ 3. -1.]]
    >>> print(layer.backward([[1.0, 1.0]]))
    [[0. 1. 1. 0.]]
    """

    options = ("pieces", "axis")
    weights_before = staticmethod(lecun_normal())  # of two normal pieces, the larger has the second moment of one

    def __init__(self, pieces: int, axis: int = -1):
        super().__init__()
        self.pieces = size("Maxout", "pieces", pieces)
        self.axis = integer("Maxout", "axis", axis)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x, with a `pieces`-th of its size along the axis."""
        axis = from_front(self, self.axis, shape)
        if shape[axis] % self.pieces:
            raise ShapeError(f"{self} needs x of which {self.pieces} divides the size along the axis, got {shape}")
        return *shape[:axis], shape[axis] // self.pieces, *shape[axis + 1 :]

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps which of the pieces is the largest."""
        axis = from_front(self, self.axis, x.shape)
        y, which = run.kernels.maxout(x, self.pieces, axis)
        return y, (which, axis)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dy at the largest pieces."""
        which, axis = saved
        return run.kernels.maxout_gradient(dy, which, self.pieces, axis), {}

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of x, unless they are those of the pieces."""
        return axes[0] if axes[0] != (from_front(self, self.axis, shapes[0]),) else None
