"""Smooth activations: layers without parameters that work element by element, on x of any shape (N, ...).

Each names its kernel; the maths, its source and its gradient stand in `kernels/portable/activations.py`.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from portable_nn.initializers import glorot_uniform, he_normal, lecun_normal
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.padding import Axes

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "Identity",
    "Mish",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Tanh",
]


class Activation(Layer):
    """An activation made of the kernels `kernel(x, *options)` and `kernel_gradient(dy, saved, *options)`."""

    kernel: ClassVar[str]
    keeps_output: ClassVar[bool] = False
    """Whether the gradient needs y, rather than x."""
    numbers: ClassVar[tuple[str, ...] | None] = None
    """The attributes that the kernels take beside arrays; None: the options."""
    weights_before = staticmethod(he_normal())

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps y or x, whichever the gradient needs."""
        names = self.options if self.numbers is None else self.numbers
        y = getattr(run.kernels, self.kernel)(x, *map(self.__getattribute__, names))
        return y, y if self.keeps_output else x

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx."""
        names = self.options if self.numbers is None else self.numbers
        gradient = getattr(run.kernels, self.kernel + "_gradient")
        return gradient(dy, saved, *map(self.__getattribute__, names)), {}

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of x."""
        return axes[0]


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


class CELU(Activation):
    """The identity for x > 0, else alpha (exp(x / alpha) - 1): smooth for every alpha. Barron (arXiv 1704.07483).

    Parameters
    ----------
    alpha : float
        More than 0: minus the limit for x to minus infinity.

    Raises
    ------
    ValueError
        If `alpha` is not more than 0.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.CELU(2.0).forward([[-2.0, 1.0]]).round(4))
    [[-1.2642  1.    ]]
    """

    kernel, options = "celu", ("alpha",)

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        if not 0 < alpha < math.inf:
            raise ValueError(f"CELU needs an alpha of more than 0, got {alpha}")
        self.alpha = float(alpha)


class SELU(Activation):
    """s x for x > 0, else s alpha (exp(x) - 1), with s = 1.0507... and alpha = 1.6732...

    Weights before it are drawn by `lecun_normal`: then outputs tend to mean 0 and variance 1 from layer to layer, which
    `AlphaDropout` keeps. Klambauer, Unterthiner, Mayr, Hochreiter, Self-normalizing neural networks (NIPS 2017).

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.SELU().forward([[-1.0, 1.0]]).round(4))
    [[-1.1113  1.0507]]
    """

    kernel = "selu"
    weights_before = staticmethod(lecun_normal())


class Softsign(Activation):
    """x / (1 + |x|): like Tanh, but slower to reach its limits. Bergstra, Desjardins, Lamblin, Bengio (2009).

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.Softsign().forward([[-3.0, 1.0]]))
    [[-0.75  0.5 ]]
    """

    kernel = "softsign"
    weights_before = staticmethod(glorot_uniform())


class SiLU(Activation):
    """The product x sigmoid(x), also known as swish. Elfwing, Uchibe, Doya (2018)."""

    kernel = "silu"


class Mish(Activation):
    """The product x tanh(log(1 + exp(x))). Misra, Mish (BMVC 2020).

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.Mish().forward([[-1.0, 1.0]]).round(4))
    [[-0.3034  0.8651]]
    """

    kernel = "mish"


class GELU(Activation):
    """The product x Phi(x), with Phi the normal distribution function. Hendrycks and Gimpel (2016).

    Parameters
    ----------
    approximate : {"none", "tanh"}
        "tanh" for x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 instead, which differs by less than 0.0005; models
        such as GPT-2 were trained with it.

    Raises
    ------
    ValueError
        If `approximate` is neither.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.GELU().forward([[1.0]]).round(5), pnn.GELU(approximate="tanh").forward([[1.0]]).round(5))
    [[0.84134]] [[0.84119]]
    """

    options = ("approximate",)

    def __init__(self, approximate: Literal["none", "tanh"] = "none"):
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f'GELU needs approximate="none" or "tanh", got {approximate!r}')
        self.approximate = approximate

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps x."""
        kernels = run.kernels
        return (kernels.gelu if self.approximate == "none" else kernels.gelu_tanh)(x), x

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx."""
        kernels = run.kernels
        return (kernels.gelu_gradient if self.approximate == "none" else kernels.gelu_tanh_gradient)(dy, saved), {}


class Identity(Layer):
    """y = x."""

    input_kinds = ("any",)

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return x."""
        return x, None

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dy."""
        return dy, {}

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of x."""
        return axes[0]
