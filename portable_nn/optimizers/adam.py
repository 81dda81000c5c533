"""Adam and AdamW, and what optimizers with its running means have in common."""

import math
from collections.abc import Sequence
from typing import Any

from portable_nn.kernels import Kernels
from portable_nn.optimizers.checks import check_none_new, in_range
from portable_nn.optimizers.optimizer import Arrays, Numbers, Optimizer, Slots, Updated
from portable_nn.schedules import Schedule

__all__ = ["Adam", "AdamW", "Moments"]


class Moments(Optimizer):
    """An optimizer with running means of g and g^2, which begin at zero: the number of updates corrects that bias.

    Parameters
    ----------
    lr : float or Schedule
    beta1, beta2 : float
        In [0, 1): the decays of the means of g and of g^2.
    epsilon : float
        Is added to the root of the mean of g^2.
    **options
        Those of every optimizer: see `Optimizer`.
    """

    slots = ("mean", "square_mean")

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        **options: Any,
    ):
        super().__init__(lr, **options)
        self.beta1, self.beta2 = in_range("beta1", beta1, 0.0, 1.0), in_range("beta2", beta2, 0.0, 1.0)
        self.epsilon = in_range("epsilon", epsilon, 0.0)

    def slots_of(self, names: Sequence[Any], params: Sequence[Any]) -> Slots:
        """Return the slots of these parameters; ValueError if some are new: one bias correction cannot suit all."""
        slots = super().slots_of(names, params)
        check_none_new(self, names)
        return slots

    def _biases(self) -> tuple[float, float]:
        """Return what the next means are divided by: 1 - beta1^t, and the root of 1 - beta2^t for that of g^2."""
        step = self.steps + 1
        return 1.0 - self.beta1**step, math.sqrt(1.0 - self.beta2**step)


class Adam(Moments):
    """Steps of the running mean of g over the root of the running mean of g^2. Kingma and Ba (ICLR 2015), algorithm 1.

    beta1 and beta2 are the decays of the two means. With `epsilon_hat`, epsilon is added to the root before the bias
    correction, as at the end of section 2 of the paper, in Keras and scikit-learn; else after it, as in algorithm 1 and
    torch. With `amsgrad` the largest mean of g^2 so far stands in the place of the last one, element by element: Reddi,
    Kale, Kumar (ICLR 2018), algorithm 2, as in torch. That is decided once for all.
    """

    elementwise = True

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        *,
        epsilon_hat: bool = False,
        amsgrad: bool = False,
        **options: Any,
    ):
        super().__init__(lr, beta1, beta2, epsilon, **options)
        self.epsilon_hat, self.amsgrad = epsilon_hat, amsgrad
        if amsgrad:
            self.slots = (*self.slots, "largest_square_mean")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "amsgrad" and vars(self).get(name, value) != value:
            raise AttributeError("amsgrad is decided once for all: a new optimizer may have another")
        super().__setattr__(name, value)

    def numbers(self) -> Numbers:
        """Return the rate, and rate and epsilon with the bias correction in them.

        With c = sqrt(1 - beta2^t): lr (m / (1 - beta1^t)) / (sqrt(v) / c + epsilon) is
        (lr c / (1 - beta1^t)) m / (sqrt(v) + c epsilon).
        """
        bias, root = self._biases()
        lr = self.lr
        return {
            "lr": lr,
            "corrected_lr": lr * root / bias,
            "epsilon": self.epsilon if self.epsilon_hat else self.epsilon * root,
        }

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p, m and v, and the largest v."""
        kernel = kernels.amsgrad if self.amsgrad else kernels.adam
        params, *means = kernel(
            params, grads, *slots, numbers["corrected_lr"], self.beta1, self.beta2, numbers["epsilon"]
        )
        return params, means


class AdamW(Adam):
    """Adam with the weight decay taken from the parameters, not added to the gradients. Loshchilov and Hutter (2019).

    As in torch, the decay is lr times weight_decay.
    """

    elementwise = True
    decoupled_weight_decay = True

    def __init__(self, lr: float | Schedule = 1e-3, *args: Any, weight_decay: float | Schedule = 0.01, **options: Any):
        super().__init__(lr, *args, weight_decay=weight_decay, **options)
