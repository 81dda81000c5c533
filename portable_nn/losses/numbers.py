"""Losses of numbers, element by element. N = batch, ... = the axes of one sample, Q = quantiles."""

import math
from collections.abc import Sequence
from typing import Any

from portable_nn.arrays import Place, namespace_of
from portable_nn.errors import ShapeError
from portable_nn.layers.layer import Arrays, Run
from portable_nn.losses.element_loss import ElementLoss
from portable_nn.losses.loss import Reduction
from portable_nn.losses.targets import between, check_values

__all__ = [
    "GaussianLoss",
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "PoissonLoss",
    "QuantileLoss",
]


class _OfDifferences(ElementLoss):
    """A function of y - t, so that it has a derivative by t, too."""

    constants = (2,)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dout: Any) -> tuple[Any, Arrays]:
        """Return dy, and dt = -dy."""
        dy = self.gradient(run, saved, dout)
        return (dy, run.kernels.negative(dy)), {}


class MeanSquaredError(_OfDifferences):
    """(y - t)^2, averaged: y, t (N, ...); for one output t may also be of shape (N,).

    Sample weights are (N,) or of the shape of y.
    """

    kernel = "squared_error"


class MeanAbsoluteError(_OfDifferences):
    """|y - t|, averaged: y, t (N, ...); for one output t may also be of shape (N,).

    Sample weights are (N,) or of the shape of y.
    """

    kernel = "absolute_error"


class Huber(_OfDifferences):
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

    def _extra(self, run: Run, y: Any) -> tuple[float, ...]:
        return (self.delta,)


class LogCosh(_OfDifferences):
    """log cosh(y - t), averaged: about half the squared error where it is small, linear where it is large.

    y, t (N, ...); for one output t may also be of shape (N,). Sample weights are (N,) or of the shape of y. Every
    derivative is smooth. Small losses have all their digits, and large ones do not overflow.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"

    Examples
    --------
    >>> import portable_nn as pnn
    >>> loss = pnn.LogCosh("none")
    >>> print([f"{value:.3g}" for value in loss.forward([0.001, 1.0, 1000.0], [0.0, 0.0, 0.0])])
    ['5e-07', '0.434', '999']
    """

    kernel = "log_cosh_error"


class QuantileLoss(_OfDifferences):
    """The pinball loss, which the quantile of t given x makes smallest: q (t - y) where y < t, else (1 - q) (y - t).

    Koenker and Bassett, Econometrica 46 (1978) 33-50, eq. 2.3. With 1/2, half the absolute error.

    Of one quantile, y and t are (N, ...), and for one output t may also be (N,). Of several, y's last axis has an
    output for each, (N, Q) or (N, ..., Q), and t is (N,), (N, 1) or whatever has y's shape but for that axis. Sample
    weights are (N,) or of the shape of y. Nothing keeps the quantiles of one sample in order.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
        "mean" is over all outputs, the quantiles among them.
    quantiles : float, or sequence of Q floats
        Each between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If a quantile is no number, or not between 0 and 1, or there is none.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> loss = pnn.QuantileLoss("none", quantiles=[0.1, 0.5, 0.9])
    >>> print(loss.forward([[2.0, 2.0, 2.0]], [3.0]).round(3).tolist())  # being too low costs most at 0.9
    [[0.1, 0.5, 0.9]]
    """

    kernel = "quantile_error"
    options = ("reduction", "quantiles")

    def __init__(self, reduction: Reduction = "mean", *, quantiles: float | Sequence[float] = 0.5):
        super().__init__(reduction)
        listed = [quantiles] if isinstance(quantiles, int | float) else list(quantiles)
        if not listed or not all(0 < quantile < 1 for quantile in listed):
            raise ValueError(f"QuantileLoss needs quantiles between 0 and 1, got {quantiles}")
        self.quantiles: float | list[float] = (
            float(quantiles) if isinstance(quantiles, int | float) else [float(quantile) for quantile in listed]
        )

    def _extra(self, run: Run, y: Any) -> tuple[Any, ...]:
        return (run.constant(self.quantiles if isinstance(self.quantiles, list) else [self.quantiles]),)

    def _targets_of(self, y: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(self.quantiles, list) and (len(y) < 2 or y[-1] != len(self.quantiles)):
            raise ShapeError(
                f"QuantileLoss of {len(self.quantiles)} quantiles needs as many outputs along the last axis of y, "
                f"got y of shape {y}"
            )
        return y

    def targets(self, shape: tuple[int, ...], t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t in the shape of y, and the sample weights, (N,) or in the shape of y, or None."""
        if isinstance(self.quantiles, list) and t.shape in (shape[:-1], (*shape[:-1], 1)) and t.shape != shape:
            xp = namespace_of(t)
            t = xp.concat([xp.reshape(t, (*shape[:-1], 1))] * len(self.quantiles), axis=-1)
        return super().targets(shape, t, place, sample_weight)


class PoissonLoss(ElementLoss):
    """Half the Poisson deviance of exp(y), for counts: y (N, ...), t of the same shape and at least 0, averaged.

    For one output t may also be of shape (N,). McCullagh and Nelder, Generalized linear models (1989), section 2.3.
    """

    kernel = "poisson_error"

    def values(self, run: Run, y: Any) -> Any:
        """Return the mean exp(y)."""
        return run.kernels.exp(y)

    def _check(self, t: Any) -> None:
        check_values(t, "finite t of at least 0", between(0, math.inf))


class GaussianLoss(ElementLoss):
    """The negative log-likelihood of a normal distribution whose mean and variance are both outputs, averaged.

    l = (v + (t - m)^2 exp(-v)) / 2, without the constant log(2 pi) / 2. Kendall and Gal (NIPS 2017), eq. 8.

    y's last axis has the means m first, then as many logarithms v of variances: y (N, 2 K) for t (N, K), and (N, 2)
    for t (N,); further axes between are allowed, (N, ..., 2 K) and (N, ..., K). Any number is a logarithm of a
    variance, so nothing has to be positive. Sample weights are (N,) or of the shape of t.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"

    Examples
    --------
    >>> import portable_nn as pnn
    >>> loss = pnn.GaussianLoss()
    >>> print(loss.forward([[2.0, 0.0]], [3.0]))  # variance 1
    0.5
    >>> print(loss.backward().tolist())
    [[-1.0, 0.0]]
    """

    kernel = "gaussian_loss"

    def values(self, run: Run, y: Any) -> Any:
        """Return the means m."""
        return y[..., : y.shape[-1] // 2]

    def _targets_of(self, y: tuple[int, ...]) -> tuple[int, ...]:
        if len(y) < 2 or y[-1] % 2:
            raise ShapeError(
                f"GaussianLoss needs means and as many logarithms of variances along the last axis of y, (N, 2) for "
                f"one target, got y of shape {y}"
            )
        return (*y[:-1], y[-1] // 2)
