"""Optimizers, each a rule for one update. The maths stands in `kernels/portable`."""

from typing import Any, ClassVar

from portable_nn.kernels import Kernels
from portable_nn.optimizers.checks import in_range
from portable_nn.optimizers.optimizer import Arrays, Numbers, Optimizer, Slots, Updated
from portable_nn.schedules import Schedule

__all__ = ["SGD", "AdaGrad", "Adadelta", "Momentum", "Nesterov", "RMSprop"]


class SGD(Optimizer):
    """p - lr g. Robbins and Monro (1951)."""

    elementwise = True

    def __init__(self, lr: float | Schedule = 0.01, **options: Any):
        super().__init__(lr, **options)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return p - lr g."""
        return kernels.sgd(params, grads, numbers["lr"]), []


class Momentum(Optimizer):
    """v = momentum v - lr g; p + v. Polyak (1964); the rate inside the velocity, as in Keras and scikit-learn.

    Torch keeps the rate outside: the same as long as it does not change.
    """

    elementwise = True
    slots = ("velocity",)
    kernel: ClassVar[str] = "momentum"

    def __init__(self, lr: float | Schedule = 0.01, momentum: float = 0.9, **options: Any):
        super().__init__(lr, **options)
        self.momentum = in_range("momentum", momentum, 0.0, 1.0)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return p + v, or p looked ahead, and v."""
        params, velocity = getattr(kernels, self.kernel)(params, grads, slots[0], numbers["lr"], self.momentum)
        return params, [velocity]


class Nesterov(Momentum):
    """v = momentum v - lr g; p + momentum v - lr g. Sutskever et al. (ICML 2013), in torch's and Keras's variables."""

    elementwise = True
    kernel = "nesterov"


class AdaGrad(Optimizer):
    """h + g^2; p - lr g / (sqrt(h) + epsilon), epsilon outside the root as in torch. Duchi et al. (2011)."""

    elementwise = True
    slots = ("square_sum",)

    def __init__(self, lr: float | Schedule = 0.01, epsilon: float = 1e-10, **options: Any):
        super().__init__(lr, **options)
        self.epsilon = in_range("epsilon", epsilon, 0.0)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p and h."""
        params, square_sum = kernels.adagrad(params, grads, slots[0], numbers["lr"], self.epsilon)
        return params, [square_sum]


class RMSprop(Optimizer):
    """decay h + (1 - decay) g^2; p - lr g / (sqrt(h) + epsilon), as in torch. Tieleman and Hinton (2012)."""

    elementwise = True
    slots = ("square_mean",)

    def __init__(self, lr: float | Schedule = 0.01, decay: float = 0.99, epsilon: float = 1e-8, **options: Any):
        super().__init__(lr, **options)
        if isinstance(decay, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (what it is of other optimizers)
            raise TypeError(
                f"RMSprop needs decay to be a number, that of its mean, got {decay!r}: what weight_decay leaves out is "
                'said by groups={"*.b": {"weight_decay": 0.0}}, say'
            )
        self.decay = in_range("decay", decay, 0.0, 1.0)
        self.epsilon = in_range("epsilon", epsilon, 0.0)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p and h."""
        params, square_mean = kernels.rmsprop(params, grads, slots[0], numbers["lr"], self.decay, self.epsilon)
        return params, [square_mean]


class Adadelta(Optimizer):
    """Steps as long as the root mean square of earlier steps, over that of gradients.

    v = rho v + (1 - rho) g^2; d = g sqrt(s + epsilon) / sqrt(v + epsilon); p - lr d; s = rho s + (1 - rho) d^2.
    Zeiler (arXiv 1212.5701), algorithm 1, as in torch and Keras.

    Parameters
    ----------
    lr : float or Schedule
        1 is the paper's, which has no rate.
    rho : float
        In [0, 1): the decay of the two running means.
    epsilon : float
        With what the first steps begin: it is added to both means.
    **options
        Those of every optimizer: see `Optimizer`.

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range, or there is no such option.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> _ = pnn.Trainer(net, pnn.Adadelta()).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    elementwise = True
    slots = ("square_mean", "square_steps")

    def __init__(self, lr: float | Schedule = 1.0, rho: float = 0.9, epsilon: float = 1e-6, **options: Any):
        super().__init__(lr, **options)
        self.rho, self.epsilon = in_range("rho", rho, 0.0, 1.0), in_range("epsilon", epsilon, 0.0)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p, v and s."""
        params, *means = kernels.adadelta(params, grads, *slots, numbers["lr"], self.rho, self.epsilon)
        return params, means
