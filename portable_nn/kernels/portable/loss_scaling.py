"""Scaling the loss by itself, so that small gradients survive in float16: what is scaled, judged and scaled anew.

A loss scale is an array of two numbers: what the derivative by the loss is multiplied by, and how many updates were
made since it was changed. Nothing here waits for the device. Sources: Micikevicius et al., Mixed precision training
(ICLR 2018), section 3.2, with the scale found as the paper's section 5 proposes; the numbers are those of
`torch.amp.GradScaler` and Keras's `LossScaleOptimizer`.
"""

from collections.abc import Sequence
from typing import Any

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.metrics import all_finite

__all__ = ["FIRST_LOSS_SCALE", "chosen", "next_loss_scale"]

FIRST_LOSS_SCALE = (2.0**15, 0.0)

_PERIOD = 2000
"""Updates after which the scale is doubled, if no gradient overflowed."""

_SMALLEST, _LARGEST = 2.0**-14, 2.0**24


def next_loss_scale(loss_scale: Array, grads: Sequence[Array]) -> tuple[Any, Array]:
    """Return whether an update by these gradients counts, 0-d, and the loss scale after it.

    It does if all gradients are finite: every 2000 such ones double the scale. If not, it is halved; but at its
    smallest an update counts in any case, as what is not finite then is no matter of the scale.
    """
    xp = namespace_of(loss_scale)
    finite = all_finite(grads[0])
    for gradient in grads[1:]:
        finite = xp.logical_and(finite, all_finite(gradient))
    scale, good = loss_scale[0], loss_scale[1] + 1.0
    is_due = good >= _PERIOD
    raised = xp.where(is_due, xp.minimum(2.0 * scale, _LARGEST), scale)
    scale_after = xp.where(finite, raised, xp.maximum(0.5 * scale, _SMALLEST))
    good_after = xp.where(xp.logical_and(finite, xp.logical_not(is_due)), good, xp.zeros_like(good))
    return xp.logical_or(finite, scale <= _SMALLEST), xp.stack([scale_after, good_after])


def chosen(counts: Any, new: Sequence[Array], old: Sequence[Array]) -> list[Array]:
    """Return new arrays if an update counts, else the old ones."""
    return [
        array if array is before else namespace_of(array).where(counts, array, before)
        for array, before in zip(new, old, strict=True)
    ]
