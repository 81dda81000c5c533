"""Schedule-free AdamW. The maths stands in `kernels/portable/adaptive_updates.py`."""

from collections.abc import Mapping
from typing import Any

from portable_nn.arrays import copies, device_of, namespace_of, widened
from portable_nn.kernels import Kernels
from portable_nn.optimizers.adam import Moments
from portable_nn.optimizers.optimizer import Arrays, Numbers, Slots, Updated
from portable_nn.schedules import Schedule

__all__ = ["ScheduleFreeAdamW"]


class ScheduleFreeAdamW(Moments):
    """AdamW that averages its weights instead of lowering its rate: the network is evaluated with the average.

    Gradients are found at y = (1 - beta1) z + beta1 x. v = beta2 v + (1 - beta2) g^2 and
    z - lr (g / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay y) are AdamW's without momentum; x is the mean of all
    z, weighted by the squares of their rates. Defazio et al. (NeurIPS 2024), algorithm 1.

    The network has x while it validates, in checkpoints, for callbacks at the end of an epoch, and after training;
    `fit` goes on with y. A rate that rises at the beginning helps, `WarmUp`; more of a schedule is not needed. What
    `BatchNorm` averages in training belongs to y.

    Parameters
    ----------
    lr : float or Schedule
        One to ten times as large as AdamW's, say the authors.
    beta1 : float
        In (0, 1): how near to x gradients are found.
    beta2 : float
        In [0, 1): the decay of the mean of g^2.
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
    >>> optimizer = pnn.ScheduleFreeAdamW(pnn.WarmUp(5e-3, steps=50))
    >>> _ = pnn.Trainer(net, optimizer).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    slots = ("ahead", "square_mean", "weight_sum")

    def __init__(
        self,
        lr: float | Schedule = 2.5e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        **options: Any,
    ):
        super().__init__(lr, beta1, beta2, epsilon, **options)
        if not self.beta1:
            raise ValueError("beta1 needs to be in (0, 1), got 0: gradients would say nothing of the average")

    def new_slots(self, parameter: Any) -> tuple[Any, ...]:
        """Return z, which begins where y does, and zeros."""
        xp = namespace_of(parameter)
        weight_sum = xp.zeros((), dtype=widened(parameter).dtype, device=device_of(parameter))
        return copies([parameter])[0], xp.zeros_like(parameter), weight_sum

    def numbers(self) -> Numbers:
        """Return the rate, the weight decay, and the bias correction of g and of epsilon."""
        _, root = self._biases()
        return {
            "lr": self.lr,
            "weight_decay": self._decay_now(),
            "correction": root,
            "epsilon": self.epsilon * root,
        }

    def _decayed(
        self, kernels: Kernels, params: Arrays, grads: Arrays, numbers: Numbers, weight_decay: float
    ) -> tuple[Arrays, Arrays]:
        return params, grads  # what decays is z, by y

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated y, z, v, and sum of weights."""
        corrected = numbers["epsilon"], numbers["correction"], numbers["weight_decay"]
        params, *kept = kernels.schedule_free_adam(
            params, grads, *slots, numbers["lr"], self.beta1, self.beta2, *corrected
        )
        return params, kept

    def evaluation_weights(self, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return x where there were updates: x = y + (1 / beta1 - 1) (y - z)."""
        ahead = {name: self.state[name][0] for name in params if name in self.state}
        return {
            name: y + (1.0 / self.beta1 - 1.0) * (y - ahead[name]) if name in ahead else y for name, y in params.items()
        }
