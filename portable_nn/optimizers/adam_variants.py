"""Adamax, NAdam and RAdam. The maths stands in `kernels/portable/adaptive_updates.py`."""

import math
from typing import Any

from portable_nn.kernels import Kernels
from portable_nn.optimizers.adam import Moments
from portable_nn.optimizers.checks import in_range
from portable_nn.optimizers.optimizer import Arrays, Numbers, Slots, Updated
from portable_nn.schedules import Schedule

__all__ = ["Adamax", "NAdam", "RAdam"]


class Adamax(Moments):
    """Adam with the largest gradient of late in the place of the root of the mean of g^2.

    m = beta1 m + (1 - beta1) g; u = max(beta2 u, |g| + epsilon); p - lr / (1 - beta1^t) m / u.
    Kingma and Ba (ICLR 2015), algorithm 2, as in torch.

    Parameters
    ----------
    lr : float or Schedule
    beta1, beta2 : float
        In [0, 1): the decays of the mean of g and of the largest |g|.
    epsilon : float
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
    >>> _ = pnn.Trainer(net, pnn.Adamax(5e-3)).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    elementwise = True
    slots = ("mean", "largest")

    def __init__(
        self,
        lr: float | Schedule = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        **options: Any,
    ):
        super().__init__(lr, beta1, beta2, epsilon, **options)

    def numbers(self) -> Numbers:
        """Return the rate, and the rate with the bias correction in it."""
        lr = self.lr
        return {"lr": lr, "corrected_lr": lr / self._biases()[0]}

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p, m and u."""
        rate = numbers["corrected_lr"]
        params, *kept = kernels.adamax(params, grads, *slots, rate, self.beta1, self.beta2, self.epsilon)
        return params, kept


class NAdam(Moments):
    """Adam with Nesterov's momentum, which grows from half of beta1 to beta1.

    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2); m and v are Adam's; p - lr d / (sqrt(v / (1 - beta2^t)) + epsilon)
    for d = mu_(t+1) m / (1 - mu_1 ... mu_(t+1)) + (1 - mu_t) g / (1 - mu_1 ... mu_t). Dozat (ICLR workshop 2016),
    algorithm 2, as in torch.

    Parameters
    ----------
    lr : float or Schedule
    beta1, beta2 : float
        In [0, 1): the decays of the means of g and of g^2.
    epsilon : float
    momentum_decay : float
        How soon the momentum grows.
    decoupled_weight_decay : bool
        Whether weight decay is taken from the parameters, as in AdamW.
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
    >>> _ = pnn.Trainer(net, pnn.NAdam(3e-3)).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    elementwise = True

    def __init__(
        self,
        lr: float | Schedule = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 4e-3,
        *,
        decoupled_weight_decay: bool = False,
        **options: Any,
    ):
        super().__init__(lr, beta1, beta2, epsilon, **options)
        self.momentum_decay = in_range("momentum_decay", momentum_decay, 0.0)
        self.decoupled_weight_decay = decoupled_weight_decay
        self._of_product, self._products = (self.beta1, self.momentum_decay), [1.0]

    def numbers(self) -> Numbers:
        """Return the rate, and those of m and g, and epsilon, with all corrections in them."""
        step, (_, root), lr = self.steps + 1, self._biases(), self.lr
        mu, mu_next, product = self._mu(step), self._mu(step + 1), self._product(step)
        return {
            "lr": lr,
            "mean_lr": lr * root * mu_next / (1.0 - product * mu_next),
            "gradient_lr": lr * root * (1.0 - mu) / (1.0 - product),
            "epsilon": self.epsilon * root,
        }

    def _mu(self, step: int) -> float:
        return self.beta1 * (1.0 - 0.5 * 0.96 ** (step * self.momentum_decay))

    def _product(self, step: int) -> float:
        """Return the product of mu for the first steps: none once it is lost beside 1."""
        if self._of_product != (self.beta1, self.momentum_decay):
            self._of_product, self._products = (self.beta1, self.momentum_decay), [1.0]
        products = self._products
        while len(products) <= step and products[-1] > 1e-18:
            products.append(products[-1] * self._mu(len(products)))
        return products[min(step, len(products) - 1)]

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p, m and v."""
        rates = numbers["mean_lr"], numbers["gradient_lr"]
        params, *means = kernels.nadam(params, grads, *slots, *rates, self.beta1, self.beta2, numbers["epsilon"])
        return params, means


class RAdam(Moments):
    """Adam that begins with momentum alone, until its mean of g^2 is worth something.

    With r = 2 / (1 - beta2) - 1 and r_t = r - 2 t beta2^t / (1 - beta2^t): Adam's step (epsilon added to the root
    before its bias is corrected) times sqrt((r_t - 4) (r_t - 2) r / ((r - 4) (r - 2) r_t)) where r_t > 5, else p - lr m
    / (1 - beta1^t). Liu et al. (ICLR 2020), algorithm 2, as in torch.

    Parameters
    ----------
    lr : float or Schedule
    beta1, beta2 : float
        In [0, 1): the decays of the means of g and of g^2.
    epsilon : float
    decoupled_weight_decay : bool
        Whether weight decay is taken from the parameters, as in AdamW.
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
    >>> _ = pnn.Trainer(net, pnn.RAdam(5e-3)).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    elementwise = True

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        *,
        decoupled_weight_decay: bool = False,
        **options: Any,
    ):
        super().__init__(lr, beta1, beta2, epsilon, **options)
        self.decoupled_weight_decay = decoupled_weight_decay

    def numbers(self) -> Numbers:
        """Return the rate, and the rates of m over the root of v and of m alone, one of which is 0."""
        step, (bias, root), lr = self.steps + 1, self._biases(), self.lr
        most = 2.0 / (1.0 - self.beta2) - 1.0
        length = most - 2.0 * step * self.beta2**step / (1.0 - self.beta2**step)
        if length <= 5.0:
            return {"lr": lr, "scaled_lr": 0.0, "plain_lr": lr / bias}
        share = (length - 4.0) * (length - 2.0) * most / ((most - 4.0) * (most - 2.0) * length)
        return {"lr": lr, "scaled_lr": lr * math.sqrt(share) * root / bias, "plain_lr": 0.0}

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p, m and v."""
        rates = numbers["scaled_lr"], numbers["plain_lr"]
        params, *means = kernels.radam(params, grads, *slots, *rates, self.beta1, self.beta2, self.epsilon)
        return params, means
