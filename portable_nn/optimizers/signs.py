"""Lion and Rprop, whose steps follow signs. The maths stands in `kernels/portable/sign_updates.py`."""

from typing import Any

from portable_nn.arrays import namespace_of
from portable_nn.kernels import Kernels
from portable_nn.optimizers.checks import in_range
from portable_nn.optimizers.optimizer import Arrays, Numbers, Optimizer, Slots, Updated
from portable_nn.schedules import Schedule

__all__ = ["Lion", "Rprop"]


class Lion(Optimizer):
    """Steps of one length, in the direction of the signs of two mixtures of g and its running mean.

    p - lr sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g; weight decay is taken from the parameters.
    Chen et al. (NeurIPS 2023, arXiv 2302.06675), algorithm 2. The authors advise a third to a tenth of AdamW's rate,
    and three to ten times its weight decay.

    Parameters
    ----------
    lr : float or Schedule
    beta1, beta2 : float
        In [0, 1): the share of m in the direction of a step, and the decay of m.
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
    >>> _ = pnn.Trainer(net, pnn.Lion(1e-3, weight_decay=0.1)).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    elementwise = True
    decoupled_weight_decay = True
    slots = ("mean",)

    def __init__(self, lr: float | Schedule = 1e-4, beta1: float = 0.9, beta2: float = 0.99, **options: Any):
        super().__init__(lr, **options)
        self.beta1, self.beta2 = in_range("beta1", beta1, 0.0, 1.0), in_range("beta2", beta2, 0.0, 1.0)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p and m."""
        params, mean = kernels.lion(params, grads, *slots, numbers["lr"], self.beta1, self.beta2)
        return params, [mean]


class Rprop(Optimizer):
    """Steps whose lengths grow, element by element, while the sign of g stays, and shrink when it changes.

    s = s eta_plus where g has the sign it had before, s eta_minus where it has the other; p - lr s sign(g). Where the
    sign has changed, g counts as 0, now and in the next update. Made for gradients of all samples at once: that of a
    batch changes its sign by chance. Riedmiller and Braun (1993), in the form iRprop- of Igel and Huesken (2000), as in
    torch, whose `step_sizes` are lr times `smallest` and `largest`.

    Parameters
    ----------
    lr : float or Schedule
        The length of the first step.
    eta_minus : float
        In [0, 1).
    eta_plus : float
        At least 1.
    smallest, largest : float
        Within which s stays: it begins with 1.
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
    >>> _ = pnn.Trainer(net, pnn.Rprop(1e-3)).fit(x, t, epochs=60, batch_size=len(x), progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    elementwise = True
    slots = ("gradient", "scale")

    def __init__(
        self,
        lr: float | Schedule = 0.01,
        eta_minus: float = 0.5,
        eta_plus: float = 1.2,
        smallest: float = 1e-4,
        largest: float = 5e3,
        **options: Any,
    ):
        super().__init__(lr, **options)
        self.eta_minus, self.eta_plus = in_range("eta_minus", eta_minus, 0.0, 1.0), in_range("eta_plus", eta_plus, 1.0)
        self.smallest, self.largest = in_range("smallest", smallest, 0.0), in_range("largest", largest, smallest)

    def new_slots(self, parameter: Any) -> tuple[Any, ...]:
        """Return zeros and ones."""
        xp = namespace_of(parameter)
        return xp.zeros_like(parameter), xp.ones_like(parameter)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p, what g counts as, and s."""
        options = self.eta_minus, self.eta_plus, self.smallest, self.largest
        params, *kept = kernels.rprop(params, grads, *slots, numbers["lr"], *options)
        return params, kept
