"""Losses that compare outputs and targets element by element. N = batch, ... = the axes of one sample."""

import math
from typing import Any, ClassVar

from portable_nn.arrays import Place, move, namespace_of
from portable_nn.errors import DTypeError
from portable_nn.layers.layer import Arrays, Run
from portable_nn.losses.loss import Loss, Reduction
from portable_nn.losses.targets import between, check_values, checked_weight, is_finite

__all__ = ["Huber", "MeanAbsoluteError", "MeanSquaredError", "PoissonLoss", "SigmoidWithLoss"]


class _ElementwiseLoss(Loss):
    """A loss that sums over the outputs: kernels `kernel(y, t, scale, *extra)` and `kernel_gradient(dout, ...)`."""

    constants = (2,)
    kernel: ClassVar[str]

    def _extra(self) -> tuple[float, ...]:
        return ()

    def forward_pass(self, run: Run, params: Arrays, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss; keeps y, t and the scale."""
        saved = (y, t, self._scale(run, y, weight), *self._extra())
        kernel = f"each_{self.kernel}" if self.reduction == "none" else self.kernel
        return getattr(run.kernels, kernel)(*saved), saved

    def gradient(self, run: Run, saved: Any, dout: Any = 1.0) -> Any:
        """Return dy."""
        if self.reduction == "none":
            dout, saved = _as_scale(run, dout, saved)
        return getattr(run.kernels, self.kernel + "_gradient")(dout, *saved)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dout: Any) -> tuple[Any, Arrays]:
        """Return dy and dt: dt = -dy for a function of y - t."""
        dy = self.gradient(run, saved, dout)
        return (dy, run.kernels.negative(dy)), {}

    def _scale(self, run: Run, y: Any, weight: Any) -> Any:
        if weight is None:
            return 1.0 / max(math.prod(y.shape), 1) if self.reduction == "mean" else 1.0
        if self.reduction != "mean":
            return weight
        outputs = 1 if weight.ndim > 1 else math.prod(y.shape[1:])
        return run.kernels.mean_scale(weight, weight, 1.0 / max(outputs, 1))

    def total_weight(self, run: Run, t: Any, weight: Any = None) -> Any:
        """Return the number of outputs of all samples, or the sum of their weights."""
        if weight is None:
            return math.prod(t.shape)
        outputs = 1 if weight.ndim > 1 else math.prod(t.shape[1:])
        return run.kernels.total(weight, float(outputs))

    def output_shape(
        self, y: tuple[int, ...], t: tuple[int, ...], weight: tuple[int, ...] | None = None
    ) -> tuple[int, ...]:
        """Return (), the shape of the loss, or with reduction "none" that of y: t needs it, too."""
        super().output_shape(y, t)
        self._check_weight(y, weight, y)
        return y if self.reduction == "none" else ()

    def targets(self, shape: tuple[int, ...], t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t in the shape of y, and the sample weights, (N,) or in the shape of y, or None."""
        xp = namespace_of(t)
        if not xp.isdtype(t.dtype, ("real floating", "integral", "bool")):
            raise DTypeError(f"{type(self).__name__} needs t of real numbers, got {t.dtype}")
        if t.ndim == 1 and shape == (t.shape[0], 1):
            t = xp.reshape(t, shape)
        self.output_shape(shape, t.shape)
        self._check(t)
        return move(t, place, name="t"), checked_weight(sample_weight, shape, place)

    def _check(self, t: Any) -> None:
        check_values(t, "t to be finite", is_finite)


class SigmoidWithLoss(_ElementwiseLoss):
    """Cross-entropy of the sigmoid of y (N, ...), one yes-or-no question an output: t (N, ...) in [0, 1].

    For one output t may also be of shape (N,). Several outputs may be true at once (multi-label).
    """

    kernel = "sigmoid_loss"
    counts_correct = "count_correct_signs"

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dout: Any) -> tuple[Any, Arrays]:
        """Return dy and dt."""
        dy = self.gradient(run, saved, dout)
        if self.reduction == "none":
            dout, saved = _as_scale(run, dout, saved)
        return (dy, run.kernels.sigmoid_loss_target_gradient(dout, *saved)), {}

    def _check(self, t: Any) -> None:
        check_values(t, "t from 0 to 1", between(0, 1, inclusive=True))

    def answers(self, shape: tuple[int, ...]) -> int:
        """Return the number of outputs of all samples."""
        return math.prod(shape)


class MeanSquaredError(_ElementwiseLoss):
    """(y - t)^2, averaged: y, t (N, ...); for one output t may also be of shape (N,).

    Sample weights are (N,) or of the shape of y.
    """

    kernel = "squared_error"


class MeanAbsoluteError(_ElementwiseLoss):
    """|y - t|, averaged: y, t (N, ...); for one output t may also be of shape (N,).

    Sample weights are (N,) or of the shape of y.
    """

    kernel = "absolute_error"


class Huber(_ElementwiseLoss):
    """Half the squared error up to `delta`, linear beyond, averaged. Huber (1964).

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
    delta : float
        Positive, in the units of y.

    Raises
    ------
    ValueError
        If `delta` is not positive.
    """

    kernel = "huber_error"
    options = ("reduction", "delta")

    def __init__(self, reduction: Reduction = "mean", *, delta: float = 1.0):
        super().__init__(reduction)
        if not delta > 0:
            raise ValueError(f"Huber needs a positive delta, got {delta}")
        self.delta = float(delta)

    def _extra(self) -> tuple[float, ...]:
        return (self.delta,)


class PoissonLoss(_ElementwiseLoss):
    """Half the Poisson deviance of exp(y), for counts: y (N, ...), t of the same shape and at least 0, averaged.

    For one output t may also be of shape (N,). McCullagh and Nelder, Generalized linear models (1989), section 2.3.
    """

    kernel = "poisson_error"
    constants = (1, 2)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dout: Any) -> tuple[Any, Arrays]:
        """Return dy; t is a constant."""
        return self.gradient(run, saved, dout), {}

    def _check(self, t: Any) -> None:
        check_values(t, "finite t of at least 0", between(0, math.inf))


def _as_scale(run: Run, dout: Any, saved: Any) -> tuple[float, Any]:
    """Return 1, and what was saved, with the derivatives by the losses of all elements as part of the scale."""
    y, t, scale, *extra = saved
    if isinstance(scale, float):  # 1
        return 1.0, (y, t, dout, *extra)
    if scale.ndim < y.ndim:
        scale = run.kernels.reshape(scale, (y.shape[0], *(1,) * (y.ndim - 1)))
    scale = run.kernels.multiply(scale, dout)
    if scale.shape != y.shape:  # of a single dout
        scale = run.kernels.reshape(scale, (y.shape[0],))
    return 1.0, (y, t, scale, *extra)
