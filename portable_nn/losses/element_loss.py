"""Losses that compare outputs and targets element by element. N = batch, ... = the axes of one sample."""

import math
from typing import Any, ClassVar, TypeAlias

from portable_nn.arrays import Place, move, namespace_of
from portable_nn.errors import DTypeError, ShapeError
from portable_nn.layers.layer import Arrays, Run
from portable_nn.losses.loss import Loss
from portable_nn.losses.targets import check_values, checked_weight, is_finite

__all__ = ["ElementLoss", "as_scale"]

_Shape: TypeAlias = tuple[int, ...]


class ElementLoss(Loss):
    """A loss that sums over the outputs: kernels `kernel(y, t, scale, *extra)` and `kernel_gradient(dout, ...)`.

    Behind the door t has the shape `_targets_of(y)`, and there are losses in the shape `_losses_of(t)`.
    """

    kernel: ClassVar[str]

    def _extra(self, run: Run, y: Any) -> tuple[Any, ...]:
        """Return what the kernels take beside y, t and the scale."""
        return ()

    def _targets_of(self, y: _Shape) -> _Shape:
        return y

    def _losses_of(self, t: _Shape) -> _Shape:
        return t

    def weighted_shape(self, shape: _Shape) -> _Shape:
        """Return the shape of the losses."""
        return self._losses_of(self._targets_of(shape))

    def forward_pass(self, run: Run, params: Arrays, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss; keeps y, t and the scale."""
        saved = (y, t, self._scale(run, y, weight), *self._extra(run, y))
        kernel = f"each_{self.kernel}" if self.reduction == "none" else self.kernel
        return getattr(run.kernels, kernel)(*saved), saved

    def gradient(self, run: Run, saved: Any, dout: Any = 1.0) -> Any:
        """Return dy."""
        if self.reduction == "none":
            dout, saved = as_scale(run, dout, saved, self.weighted_shape(saved[0].shape))
        return getattr(run.kernels, self.kernel + "_gradient")(dout, *saved)

    def _scale(self, run: Run, y: Any, weight: Any) -> Any:
        shape = self.weighted_shape(y.shape)
        if weight is None:
            return 1.0 / max(math.prod(shape), 1) if self.reduction == "mean" else 1.0
        if self.reduction != "mean":
            return weight
        outputs = 1 if weight.ndim > 1 else math.prod(shape[1:])
        return run.kernels.mean_scale(weight, weight, 1.0 / max(outputs, 1))

    def total_weight(self, run: Run, t: Any, weight: Any = None) -> Any:
        """Return the number of losses of all samples, or the sum of their weights."""
        shape = self._losses_of(t.shape)
        if weight is None:
            return math.prod(shape)
        outputs = 1 if weight.ndim > 1 else math.prod(shape[1:])
        return run.kernels.total(weight, float(outputs))

    def output_shape(self, y: _Shape, t: _Shape, weight: _Shape | None = None) -> _Shape:
        """Return (), the shape of the loss, or with reduction "none" that of the losses."""
        needed, kind = self._targets_of(y) if y else y, type(self).__name__
        if not y:
            raise ShapeError(f"{kind} needs y of shape (N, ...), got ()")
        if t != needed:
            as_y = ", as y has" if needed == y else f" for y of shape {y}"
            raise ShapeError(f"{kind} needs t of shape {needed}{as_y}, got {t}")
        each = self._losses_of(needed)
        self._check_weight(y, weight, each)
        return each if self.reduction == "none" else ()

    def targets(self, shape: _Shape, t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t in the shape that it needs, and the sample weights, (N,) or in the shape of the losses, or None."""
        xp = namespace_of(t)
        if not xp.isdtype(t.dtype, ("real floating", "integral", "bool")):
            raise DTypeError(f"{type(self).__name__} needs t of real numbers, got {t.dtype}")
        if t.ndim == 1 and len(shape) == 2 and self._targets_of(shape) == (t.shape[0], 1):
            t = xp.reshape(t, (t.shape[0], 1))
        self.output_shape(shape, t.shape)
        self._check(t)
        return move(t, place, name="t"), checked_weight(sample_weight, self.weighted_shape(shape), place)

    def _check(self, t: Any) -> None:
        check_values(t, "t to be finite", is_finite)


def as_scale(run: Run, dout: Any, saved: Any, shape: _Shape) -> tuple[float, Any]:
    """Return 1, and what was saved, with the derivatives by the losses of all elements as part of the scale."""
    y, t, scale, *extra = saved
    if isinstance(scale, float):  # 1
        return 1.0, (y, t, dout, *extra)
    if scale.ndim < len(shape):
        scale = run.kernels.reshape(scale, (shape[0], *(1,) * (len(shape) - 1)))
    scale = run.kernels.multiply(scale, dout)
    if scale.shape != shape:  # of a single dout
        scale = run.kernels.reshape(scale, (shape[0],))
    return 1.0, (y, t, scale, *extra)
