"""Schedules that go up and down."""

import math

from portable_nn.schedules.falling import half_cosine
from portable_nn.schedules.schedule import not_negative, positive

__all__ = ["CosLog4", "CosineRestarts", "Cyclic", "OneCycle"]


class OneCycle:
    """Along half a cosine from lr / start_divisor up to `lr`, then down to lr / start_divisor / final_divisor.

    The way up takes the share `rise` of `steps` updates. Smith and Topin (arXiv 1708.07120), as torch's OneCycleLR.
    """

    def __init__(
        self, lr: float, *, steps: int, rise: float = 0.3, start_divisor: float = 25.0, final_divisor: float = 1e4
    ):
        self.lr, self.steps, self.rise = positive("lr", lr), positive("steps", steps), float(rise)
        self.start = self.lr / positive("start_divisor", start_divisor)
        self.final = self.start / positive("final_divisor", final_divisor)
        if not 0 < rise < 1:
            raise ValueError(f"OneCycle needs rise between 0 and 1, got {rise}")

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        top, end = self.rise * self.steps - 1.0, self.steps - 1.0
        if step < top:
            return half_cosine(self.start, self.lr, step / top)
        return half_cosine(self.lr, self.final, (step - top) / (end - top))


class Cyclic:
    """Straight from `lowest` up to `lr` in `up` updates and down again in `down`, over and over.

    After each cycle the height above `lowest` is multiplied by `factor`: 1/2 is what torch calls "triangular2".
    Smith (WACV 2017, arXiv 1506.01186), section 3.2, as torch's CyclicLR.

    Parameters
    ----------
    lr : float
        The highest rate.
    lowest : float
    up : int
    down : int, optional
        As many as `up`.
    factor : float

    Raises
    ------
    ValueError
        If a number is out of its range: `lowest` from 0 to lr, all others positive.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> schedule = pnn.Cyclic(1.0, lowest=0.2, up=2, factor=0.5)
    >>> [round(schedule(step), 3) for step in range(7)]
    [0.2, 0.6, 1.0, 0.6, 0.2, 0.4, 0.6]
    """

    def __init__(self, lr: float, *, lowest: float, up: int, down: int | None = None, factor: float = 1.0):
        self.lr, self.lowest, self.factor = (
            positive("lr", lr),
            not_negative("lowest", lowest),
            positive("factor", factor),
        )
        self.up, self.down = positive("up", up), positive("down", up if down is None else down)
        if lowest > lr:
            raise ValueError(f"Cyclic needs lowest from 0 to lr, got {lowest} and {lr}")

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        cycle, within = divmod(step, self.up + self.down)
        height = within / self.up if within <= self.up else (self.up + self.down - within) / self.down
        return self.lowest + (self.lr - self.lowest) * self.factor**cycle * height


class CosineRestarts:
    """From `lr` to `final` along half a cosine in `steps` updates, and again from the beginning, over and over.

    Each fall takes `growth` times the updates of the one before, and begins at `factor` times its height above `final`.
    Loshchilov and Hutter (ICLR 2017), eq. 5, as torch's CosineAnnealingWarmRestarts.

    Parameters
    ----------
    lr : float
    steps : int
        Updates of the first fall.
    growth : float
        At least 1.
    factor : float
    final : float

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> schedule = pnn.CosineRestarts(1.0, steps=2, growth=2)
    >>> [round(schedule(step), 3) for step in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    def __init__(self, lr: float, *, steps: int, growth: float = 1.0, factor: float = 1.0, final: float = 0.0):
        self.lr, self.steps, self.final = positive("lr", lr), positive("steps", steps), not_negative("final", final)
        self.growth, self.factor = positive("growth", growth), positive("factor", factor)
        if growth < 1:
            raise ValueError(f"CosineRestarts needs growth of at least 1, got {growth}")

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        length, within, height = self.steps, float(step), self.lr - self.final
        if self.growth == 1:
            height *= self.factor ** (within // length)
            within %= length
        while within >= length:
            within, length, height = within - length, length * self.growth, height * self.factor
        return half_cosine(self.final + height, self.final, within / length)


class CosLog4:
    """Four waves from 0 to `lr` and back in `steps` updates, each about twice as long as the one before; then 0.

    lr (1 - cos(2 pi log2(1 + 15 t))) / 2 after the share t of the updates: 0 at 0, 1/15, 1/5, 7/15 and 1. The first
    update is made with rate 0. Holzmueller, Grinsztajn, Steinwart (NeurIPS 2024, arXiv 2407.04491), "coslog4".

    Raises
    ------
    ValueError
        If a number is not positive.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> schedule = pnn.CosLog4(1.0, steps=15)
    >>> [round(schedule(step), 3) for step in range(8)]
    [0.0, 0.0, 0.93, 0.0, 0.718, 0.93, 0.324, 0.0]
    """

    def __init__(self, lr: float, *, steps: int):
        self.lr, self.steps = positive("lr", lr), positive("steps", steps)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` updates."""
        waves = math.log2(1.0 + 15.0 * min(step / self.steps, 1.0))
        return self.lr * 0.5 * (1.0 - math.cos(2.0 * math.pi * waves))
