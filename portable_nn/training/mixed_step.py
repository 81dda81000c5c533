"""Planned steps in a lower precision: weights are cast once a step, and so is the gradient."""

from functools import cached_property
from typing import Any, ClassVar

from portable_nn.arrays import copies, is_several
from portable_nn.kernels.portable.loss_scaling import chosen, next_loss_scale
from portable_nn.optimizers import Numbers, Slots
from portable_nn.random import Key
from portable_nn.training.flat import Flat
from portable_nn.training.planned_step import PlannedStep

__all__ = ["MixedStep", "ScaledStep"]


class MixedStep(PlannedStep):
    """Steps that keep the weights in float32, and compute the gradient with copies in a lower precision.

    Both lie alike in one array each, so that one cast goes over all of them.
    """

    unit: ClassVar[int] = 8

    def _take(self, params: list[Any], slots: Slots) -> None:
        super()._take(params, slots)
        place, count = self.network.place, len(self._boxes)

        def low(array: Any) -> Any:
            return place.xp.astype(array, place.computing.dtype)

        self._low = Flat(list(map(low, self._flat.views)), self._layout)
        trained = dict(zip(self._positions, self._low.views, strict=True))
        self._computed = [trained[i] if i in trained else low(array) for i, array in enumerate(self._params[:count])]
        self._computed += self._params[count:]

    @cached_property
    def _into(self) -> Flat:
        return Flat(self._low.views, self._layout)

    def gradient(self, x: Any, t: Any, weight: Any = None, key: Key | None = None, *dout: Any) -> Any:
        """Write the gradient, and return the loss."""
        self._low.whole[...] = self._flat.whole
        loss = super().gradient(x, t, weight, key, *dout)
        self.slope[...] = self._into.whole
        return loss


class ScaledStep(MixedStep):
    """Steps in float16, whose range is small: the loss is scaled, and an update with a gradient out of range left out.

    It is left out without looking: what would be written is, and then chosen or not on the device.
    """

    def gradient(self, x: Any, t: Any, weight: Any = None, key: Key | None = None, *dout: Any) -> Any:
        """Write the gradient, and return the loss."""
        scale = self.optimizer.loss_scale[0]
        loss = super().gradient(x, t, weight, key, scaled(scale, *dout))
        slope = self.slope
        slope *= 1.0 / scale
        return loss

    def transform(self) -> tuple[list[Any], list[Any], Numbers]:
        """See whether the update counts, and do what other steps do."""
        self._counts, self._scale_after = next_loss_scale(self.optimizer.loss_scale, [self.slope])
        self._before = copies(self._changing())
        return super().transform()

    def __call__(self, x: Any, t: Any, weight: Any = None) -> Any:
        """Update from a batch, if the gradient is finite; return its loss."""
        loss = super().__call__(x, t, weight)
        changing = self._changing()
        for array, value in zip(changing, chosen(self._counts, changing, self._before), strict=True):
            array[...] = value
        self._before: list[Any] = []
        self.optimizer.loss_scale = self._scale_after
        return loss

    def _changing(self) -> list[Any]:
        """Return the arrays that an update writes."""
        states = [] if self._memory is None else [self._memory.whole]
        return [*(array for row in self._written for array in row), *states]


def scaled(scale: Any, dout: Any = None) -> Any:
    """Return a scale, or each of a tuple of derivatives times it, or one."""
    if dout is None:
        return scale
    return tuple(scale * one for one in dout) if is_several(dout) else scale * dout
