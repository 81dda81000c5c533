"""The optimizers, each a rule for one update. The maths stands in `kernels/portable/updates.py`."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from portable_nn.kernels import Kernels
from portable_nn.optimizers.checks import in_range
from portable_nn.optimizers.optimizer import Arrays, Numbers, Optimizer, Slots, Updated
from portable_nn.schedules import Schedule

__all__ = ["SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "Nesterov", "RMSprop"]


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


class Adam(Optimizer):
    """Steps of the running mean of g over the root of the running mean of g^2. Kingma and Ba (ICLR 2015), algorithm 1.

    beta1 and beta2 are the decays of the two means. With `epsilon_hat`, epsilon is added to the root before the bias
    correction, as at the end of section 2 of the paper, in Keras and scikit-learn; else after it, as in algorithm 1 and
    torch.
    """

    elementwise = True
    slots = ("mean", "square_mean")

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        *,
        epsilon_hat: bool = False,
        **options: Any,
    ):
        super().__init__(lr, **options)
        self.beta1, self.beta2 = in_range("beta1", beta1, 0.0, 1.0), in_range("beta2", beta2, 0.0, 1.0)
        self.epsilon, self.epsilon_hat = in_range("epsilon", epsilon, 0.0), epsilon_hat

    def slots_of(self, names: Sequence[Any], params: Sequence[Any]) -> Slots:
        """Return the slots of these parameters; ValueError if some are new: one bias correction cannot suit all."""
        slots = super().slots_of(names, params)
        new = [name for name in names if name not in self.state]
        if self.steps and new:
            raise ValueError(
                f"this {type(self).__name__} has made {self.steps} updates without {', '.join(map(str, new))}: "
                "after unfreezing parameters, go on with a new optimizer"
            )
        return slots

    def numbers(self) -> Numbers:
        """Return the rate, and rate and epsilon with the bias correction in them.

        With c = sqrt(1 - beta2^t): lr (m / (1 - beta1^t)) / (sqrt(v) / c + epsilon) is
        (lr c / (1 - beta1^t)) m / (sqrt(v) + c epsilon).
        """
        step = self.steps + 1
        root = math.sqrt(1.0 - self.beta2**step)
        lr = self.lr
        return {
            "lr": lr,
            "corrected_lr": lr * root / (1.0 - self.beta1**step),
            "epsilon": self.epsilon if self.epsilon_hat else self.epsilon * root,
        }

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p, m and v."""
        params, *means = kernels.adam(
            params, grads, *slots, numbers["corrected_lr"], self.beta1, self.beta2, numbers["epsilon"]
        )
        return params, means


class AdamW(Adam):
    """Adam with the weight decay taken from the parameters, not added to the gradients. Loshchilov and Hutter (2019).

    As in torch, the decay is lr times weight_decay.
    """

    elementwise = True

    def __init__(self, lr: float | Schedule = 1e-3, *args: Any, weight_decay: float = 0.01, **options: Any):
        super().__init__(lr, *args, weight_decay=weight_decay, **options)

    def _decayed(
        self, kernels: Kernels, params: Arrays, grads: Arrays, numbers: Numbers, weight_decay: float
    ) -> tuple[Arrays, Arrays]:
        return kernels.decay(params, numbers["lr"] * weight_decay), grads
