"""Activations: layers without parameters that work element by element, on x of any shape (N, ...).

Each names its kernel; the maths, its source and its gradient stand in `kernels/portable/activations.py`.
"""

from typing import Any, ClassVar

from portable_nn.initializers import glorot_uniform, he_normal
from portable_nn.layers.layer import Arrays, Layer, Run

__all__ = ["ELU", "GELU", "Activation", "Identity", "LeakyReLU", "ReLU", "SiLU", "Sigmoid", "Softplus", "Tanh"]


class Activation(Layer):
    """An activation made of the kernels `kernel(x, *options)` and `kernel_gradient(dy, saved, *options)`."""

    kernel: ClassVar[str]
    keeps_output: ClassVar[bool] = False
    """Whether the gradient needs y, rather than x."""
    weights_before = staticmethod(he_normal())

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps y or x, whichever the gradient needs."""
        y = getattr(run.kernels, self.kernel)(x, *map(self.__getattribute__, self.options))
        return y, y if self.keeps_output else x

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx."""
        gradient = getattr(run.kernels, self.kernel + "_gradient")
        return gradient(dy, saved, *map(self.__getattribute__, self.options)), {}


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


class Sigmoid(Activation):
    """1 / (1 + exp(-x)), without overflow at any x."""

    kernel, keeps_output = "sigmoid", True
    weights_before = staticmethod(glorot_uniform())


class Tanh(Activation):
    """The hyperbolic tangent."""

    kernel, keeps_output = "tanh", True
    weights_before = staticmethod(glorot_uniform())


class Softplus(Activation):
    """log(1 + exp(x)), without overflow at any x. Dugas et al. (NIPS 2000)."""

    kernel = "softplus"


class ELU(Activation):
    """The identity for x > 0, else alpha (exp(x) - 1). Clevert, Unterthiner, Hochreiter (ICLR 2016).

    Parameters
    ----------
    alpha : float
        Minus the limit for x to minus infinity.
    """

    kernel, options = "elu", ("alpha",)

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self.alpha = float(alpha)


class SiLU(Activation):
    """The product x sigmoid(x), also known as swish. Elfwing, Uchibe, Doya (2018)."""

    kernel = "silu"


class GELU(Activation):
    """The product x Phi(x), exact, with Phi the normal distribution function. Hendrycks and Gimpel (2016)."""

    kernel = "gelu"


class Identity(Layer):
    """y = x."""

    input_kinds = ("any",)

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return x."""
        return x, None

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dy."""
        return dy, {}
