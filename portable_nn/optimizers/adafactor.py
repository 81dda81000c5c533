"""Adafactor, which remembers rows and columns. The maths stands in `kernels/portable/shaped_updates.py`."""

import math
from collections.abc import Sequence
from typing import Any

from portable_nn.arrays import device_of, namespace_of, widened
from portable_nn.kernels import Kernels
from portable_nn.optimizers.checks import check_none_new, in_range
from portable_nn.optimizers.optimizer import Arrays, Numbers, Optimizer, Slots, Updated
from portable_nn.schedules import Schedule

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """Steps of g over the root of a mean of g^2 of which only the means over columns and over rows are remembered.

    u = g / sqrt(R C / mean(R)), for running means R and C of g^2 over the last axis and the last but one, with the
    decay 1 - t^beta2_decay; p - min(lr, 1 / sqrt(t)) max(epsilon2, rms(p)) u / max(1, rms(u) / clip_threshold).
    Parameters with less than two axes have a mean of all their g^2. The slots of a matrix (A, B) have A + B numbers,
    where Adam's have 2 A B. Weight decay is taken from the parameters. Shazeer and Stern (ICML 2018), algorithms 4 to
    6, as in torch: there is no momentum.

    Parameters
    ----------
    lr : float or Schedule
        The most that a step is of the root mean square of the parameter.
    beta2_decay : float
        Below 0.
    epsilon1 : float
        A bound of the roots that are divided by; torch's, for float32.
    epsilon2 : float
        The least root mean square that a parameter counts with, so that zeros are left, too.
    clip_threshold : float
        The most that the root mean square of u may be.
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
    >>> optimizer = pnn.Adafactor(0.02)
    >>> _ = pnn.Trainer(net, optimizer).fit(x, t, epochs=8, progress=False)
    >>> net.accuracy(*test) > 0.9
    True
    >>> [slot.shape for slot in optimizer.state["0.W"]]
    [(64, 1), (1, 32)]
    """

    slots = ("row_mean", "column_mean")

    def __init__(
        self,
        lr: float | Schedule = 0.01,
        beta2_decay: float = -0.8,
        epsilon1: float = 2.0**-23,
        epsilon2: float = 1e-3,
        clip_threshold: float = 1.0,
        **options: Any,
    ):
        super().__init__(lr, **options)
        if not -math.inf < beta2_decay < 0:
            raise ValueError(f"beta2_decay needs to be below 0 and finite, got {beta2_decay}")
        self.beta2_decay = float(beta2_decay)
        self.epsilon1, self.epsilon2 = in_range("epsilon1", epsilon1, 1e-30), in_range("epsilon2", epsilon2, 0.0)
        self.clip_threshold = in_range("clip_threshold", clip_threshold, 1e-30)

    def new_slots(self, parameter: Any) -> tuple[Any, ...]:
        """Return zeros in the shape of each mean; nothing for columns where there are none."""
        shape, kind = parameter.shape, {"dtype": widened(parameter).dtype, "device": device_of(parameter)}
        shapes = ((*shape[:-1], 1), (*shape[:-2], 1, shape[-1])) if len(shape) > 1 else (shape, (0,))
        return tuple(namespace_of(parameter).zeros(one, **kind) for one in shapes)

    def slots_of(self, names: Sequence[Any], params: Sequence[Any]) -> Slots:
        """Return the slots of these parameters; ValueError if some are new: one decay cannot suit all."""
        slots = super().slots_of(names, params)
        check_none_new(self, names)
        return slots

    def numbers(self) -> Numbers:
        """Return the rate, what it is at most, the share of a new square in the means, and the weight decay."""
        step, lr = self.steps + 1, self.lr
        shares = {"rate": min(lr, step**-0.5), "rest": float(step) ** self.beta2_decay}
        return {"lr": lr, "weight_decay": self._decay_now()} | shares

    def _decayed(
        self, kernels: Kernels, params: Arrays, grads: Arrays, numbers: Numbers, weight_decay: float
    ) -> tuple[Arrays, Arrays]:
        return params, grads  # the rule measures p before

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p and means."""
        options = self.epsilon1, self.epsilon2, self.clip_threshold
        decay = numbers["lr"] * numbers["weight_decay"]
        params, *means = kernels.adafactor(params, grads, *slots, numbers["rate"], numbers["rest"], *options, decay)
        return params, means
