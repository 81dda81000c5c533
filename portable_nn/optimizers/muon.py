"""Muon, for matrices. The maths stands in `kernels/portable/shaped_updates.py`."""

from typing import Any

from portable_nn.arrays import device_of, namespace_of
from portable_nn.kernels import Kernels
from portable_nn.optimizers.adam import Moments
from portable_nn.optimizers.checks import in_range
from portable_nn.optimizers.groups import Part, taken
from portable_nn.optimizers.optimizer import Arrays, Numbers, Slots, Updated
from portable_nn.optimizers.parts import joined
from portable_nn.schedules import Schedule

__all__ = ["Muon"]


class Muon(Moments):
    """Momentum whose steps are orthogonal matrices, about; AdamW for parameters with less than two axes.

    m = momentum m + (1 - momentum) g; p - 0.2 lr sqrt(max(A, B)) O, for p (A, B), where O is U V^T of the singular
    value decomposition U S V^T of (1 - momentum) g + momentum m: five rounds of Newton and Schulz's iteration find it
    roughly, with singular values from about 0.7 to 1.2. Further axes of p count as columns. Steps are as long as
    AdamW's, so one rate and one weight decay, which is taken from the parameters, are for both. Jordan et al., Muon
    (2024); the factor is that of Liu et al. (arXiv 2502.16982), eq. 4, which torch calls "match_rms_adamw". Torch
    multiplies in bfloat16 here.

    All matrices are updated so, the last layer's and embeddings among them, for which the authors take AdamW.

    Parameters
    ----------
    lr : float or Schedule
    momentum : float
        In [0, 1): of matrices.
    beta1, beta2, epsilon : float
        AdamW's, for all else.
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
    >>> _ = pnn.Trainer(net, pnn.Muon(5e-3)).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    """

    decoupled_weight_decay = True

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        momentum: float = 0.95,
        beta1: float = 0.9,
        beta2: float = 0.95,
        epsilon: float = 1e-8,
        *,
        weight_decay: float | Schedule = 0.1,
        **options: Any,
    ):
        super().__init__(lr, beta1, beta2, epsilon, weight_decay=weight_decay, **options)
        self.momentum = in_range("momentum", momentum, 0.0, 1.0)

    def new_slots(self, parameter: Any) -> tuple[Any, ...]:
        """Return zeros for the means; of a matrix there is only that of g."""
        xp = namespace_of(parameter)
        nothing = xp.zeros((0,), dtype=parameter.dtype, device=device_of(parameter))
        return xp.zeros_like(parameter), nothing if parameter.ndim > 1 else xp.zeros_like(parameter)

    def numbers(self) -> Numbers:
        """Return the rate, and rate and epsilon with Adam's bias correction in them."""
        (bias, root), lr = self._biases(), self.lr
        return {"lr": lr, "corrected_lr": lr * root / bias, "epsilon": self.epsilon * root}

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p and means."""
        both = [Part(tuple(i for i, p in enumerate(params) if (p.ndim > 1) == wanted)) for wanted in (True, False)]
        lists = [[taken(part, arrays) for arrays in (params, grads, *slots)] for part in both]
        moved, mean = kernels.muon(*lists[0][:3], numbers["lr"], self.momentum)
        adam = self.beta1, self.beta2, numbers["epsilon"]
        rest, *means = kernels.adam(*lists[1], numbers["corrected_lr"], *adam)
        square_mean = joined(both[1:], slots[1], [means[1]])
        return joined(both, params, [moved, rest]), [joined(both, slots[0], [mean, means[0]]), square_mean]
