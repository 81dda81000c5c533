"""LARS and LAMB, for large batches: each array's steps are as long as its own size asks.

The maths stands in `kernels/portable/shaped_updates.py`.
"""

from typing import Any

from portable_nn.kernels import Kernels
from portable_nn.optimizers.adam import Moments
from portable_nn.optimizers.checks import in_range
from portable_nn.optimizers.optimizer import Arrays, Numbers, Optimizer, Slots, Updated
from portable_nn.schedules import Schedule

__all__ = ["LAMB", "LARS"]


class LARS(Optimizer):
    """Momentum whose rate is, array by array, in proportion to |p| over the norm of the gradient.

    r = trust |p| / (|g| + weight_decay |p|), 1 where a norm is 0; v = momentum v + lr r (g + weight_decay p); p - v.
    You, Gitman, Ginsburg (arXiv 1708.03888), eq. 6 and algorithm 1.

    Parameters
    ----------
    lr : float or Schedule
        The paper's grow to 8 and more, for batches of thousands.
    momentum : float
        In [0, 1).
    trust : float
        What share of |p| a step is at rate 1.
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
    >>> _ = pnn.Trainer(net, pnn.LARS(5.0)).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    slots = ("velocity",)

    def __init__(self, lr: float | Schedule = 1.0, momentum: float = 0.9, trust: float = 1e-3, **options: Any):
        super().__init__(lr, **options)
        self.momentum, self.trust = in_range("momentum", momentum, 0.0, 1.0), in_range("trust", trust, 0.0)

    def numbers(self) -> Numbers:
        """Return the rate and the weight decay."""
        return {"lr": self.lr, "weight_decay": self._decay_now()}

    def _decayed(
        self, kernels: Kernels, params: Arrays, grads: Arrays, numbers: Numbers, weight_decay: float
    ) -> tuple[Arrays, Arrays]:
        return params, grads  # the rule needs g alone

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p and v."""
        options = self.momentum, self.trust, numbers["weight_decay"]
        params, velocity = kernels.lars(params, grads, *slots, numbers["lr"], *options)
        return params, [velocity]


class LAMB(Moments):
    """Adam's step u with decoupled weight decay in it, made as long as the parameter itself, times the rate.

    u = m' / (sqrt(v') + epsilon) + weight_decay p, for Adam's means without bias; p - lr (|p| / |u|) u, array by array,
    with a ratio of 1 where a norm is 0. You et al. (ICLR 2020), algorithm 2.

    Parameters
    ----------
    lr : float or Schedule
    beta1, beta2 : float
        In [0, 1): the decays of the means of g and of g^2.
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
    >>> _ = pnn.Trainer(net, pnn.LAMB(0.02)).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-6,
        **options: Any,
    ):
        super().__init__(lr, beta1, beta2, epsilon, **options)

    def numbers(self) -> Numbers:
        """Return the rate, the weight decay, and the bias correction of m and of epsilon."""
        bias, root = self._biases()
        corrected = {"correction": root / bias, "epsilon": self.epsilon * root}
        return {"lr": self.lr, "weight_decay": self._decay_now()} | corrected

    def _decayed(
        self, kernels: Kernels, params: Arrays, grads: Arrays, numbers: Numbers, weight_decay: float
    ) -> tuple[Arrays, Arrays]:
        return params, grads  # the rule measures a step with the decay in it

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p, m and v."""
        corrected = numbers["epsilon"], numbers["correction"], numbers["weight_decay"]
        params, *means = kernels.lamb(params, grads, *slots, numbers["lr"], self.beta1, self.beta2, *corrected)
        return params, means
