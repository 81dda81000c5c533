"""Schedules that fall."""

import math
from collections.abc import Sequence

from portable_nn.schedules.schedule import not_negative, positive

__all__ = ["Cosine", "Exponential", "FlatCosine", "MultiStepDecay", "Polynomial", "StepDecay", "half_cosine", "rising"]


class StepDecay:
    """The rate `lr`, multiplied by `factor` after each `every` updates."""

    def __init__(self, lr: float, *, every: int, factor: float = 0.1):
        self.lr, self.every, self.factor = positive("lr", lr), positive("every", every), positive("factor", factor)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return self.lr * self.factor ** (step // self.every)


class MultiStepDecay:
    """The rate `lr`, multiplied by `factor` after each of the `milestones`, numbers of updates. As torch's MultiStepLR.

    Raises
    ------
    ValueError, TypeError
        If a number is not positive, or the milestones do not rise.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> schedule = pnn.MultiStepDecay(1.0, milestones=[2, 3])
    >>> [round(schedule(step), 3) for step in range(5)]
    [1.0, 1.0, 0.1, 0.01, 0.01]
    """

    def __init__(self, lr: float, *, milestones: Sequence[int], factor: float = 0.1):
        self.lr, self.factor = positive("lr", lr), positive("factor", factor)
        self.milestones = rising("MultiStepDecay", milestones)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return self.lr * self.factor ** sum(step >= milestone for milestone in self.milestones)


class Exponential:
    """The rate lr factor^(step / every), falling smoothly."""

    def __init__(self, lr: float, *, every: int = 1, factor: float):
        self.lr, self.every, self.factor = positive("lr", lr), positive("every", every), positive("factor", factor)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return self.lr * self.factor ** (step / self.every)


class Polynomial:
    """From `lr` to `final` in `steps` updates, final + (lr - final) (1 - step / steps)^power, then `final`.

    A straight line by default. As torch's PolynomialLR and Keras's PolynomialDecay.

    Raises
    ------
    ValueError
        If a number is not positive, or `final` is below 0.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> schedule = pnn.Polynomial(1.0, steps=4, power=2)
    >>> [schedule(step) for step in range(6)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    def __init__(self, lr: float, *, steps: int, power: float = 1.0, final: float = 0.0):
        self.lr, self.steps, self.final = positive("lr", lr), positive("steps", steps), not_negative("final", final)
        self.power = positive("power", power)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return self.final + (self.lr - self.final) * (1.0 - min(step / self.steps, 1.0)) ** self.power


class Cosine:
    """From `lr` to `final` along half a cosine in `steps` updates, then `final`.

    Loshchilov and Hutter (ICLR 2017), eq. 5, without restarts.
    """

    def __init__(self, lr: float, *, steps: int, final: float = 0.0):
        self.lr, self.steps, self.final = positive("lr", lr), positive("steps", steps), not_negative("final", final)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return half_cosine(self.lr, self.final, step / self.steps)


class FlatCosine:
    """The rate `lr` for the first half of `steps` updates, then to 0 along half a cosine, where it stays.

    Holzmueller, Grinsztajn, Steinwart (NeurIPS 2024, arXiv 2407.04491), "flat_cos", for dropout and weight decay.

    Raises
    ------
    ValueError
        If a number is not positive.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> schedule = pnn.FlatCosine(1.0, steps=8)
    >>> [round(schedule(step), 3) for step in (0, 4, 5, 6, 7, 8, 9)]
    [1.0, 1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    def __init__(self, lr: float, *, steps: int):
        self.lr, self.steps = positive("lr", lr), positive("steps", steps)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        return half_cosine(self.lr, 0.0, 2.0 * step / self.steps - 1.0)


def rising(owner: str, milestones: Sequence[int]) -> list[int]:
    """Return milestones as a list; TypeError or ValueError unless they are whole numbers, each above the one before."""
    listed = list(milestones)
    if not all(hasattr(milestone, "__index__") for milestone in listed):
        raise TypeError(f"{owner} needs milestones to be whole numbers of updates, got {listed}")
    if not listed or any(one >= other for one, other in zip([0, *listed], listed, strict=False)):
        raise ValueError(f"{owner} needs milestones that rise, above 0, got {listed}")
    return [int(milestone) for milestone in listed]


def half_cosine(start: float, end: float, progress: float) -> float:
    """Return start at progress 0, end from progress 1 on, half a cosine between."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
