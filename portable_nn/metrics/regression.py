"""Metrics of numbers. M = rows, K = numbers a row, all axes of a sample together."""

import math
from typing import Any, ClassVar

from portable_nn.arrays import namespace_of, widened
from portable_nn.errors import ShapeError
from portable_nn.kernels import kernels_for
from portable_nn.metrics.metric import Metric

__all__ = ["MAE", "MAPE", "R2", "RMSE"]


class _OfNumbers(Metric):
    of = "values"

    def _rows(self, t: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
        """Return t and y as (M, K), and weights (M,) or (M, K)."""
        if t.shape != y.shape:
            raise ShapeError(f"{type(self).__name__} needs t and y of one shape, got {t.shape} and {y.shape}")
        xp, given, axes, shape = namespace_of(y), y.shape, y.ndim, (y.shape[0], math.prod(y.shape[1:]))
        y = widened(y)
        t, y = xp.reshape(xp.astype(t, y.dtype), shape), xp.reshape(y, shape)
        if weight.ndim > 1:  # of single elements, or of all along further axes
            weight = xp.broadcast_to(xp.reshape(weight, (*weight.shape, *(1,) * (axes - weight.ndim))), given)
            weight = xp.reshape(weight, shape)
        return t, y, weight


class _Mean(_OfNumbers):
    better = "min"
    kind: ClassVar[str]

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the sums of errors of each number of a row, and of weights: (2, K)."""
        return (kernels_for(namespace_of(y)).error_totals(*self._rows(t, y, weight), self.kind),)

    def result(self, *arrays: Any) -> float:
        """Return the mean error."""
        errors, weight = arrays[0]
        return float(self._each(errors / weight).mean()) if weight.size and weight.all() else float("nan")

    @staticmethod
    def _each(means: Any) -> Any:
        return means


class MAE(_Mean):
    """The mean of |t - y|, by weight: scikit-learn's `mean_absolute_error`; of several numbers a row, their mean.

    NaN where nothing counts.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.MAE()([1.0, 2.0], [1.5, 2.0])
    0.25
    """

    name, kind = "mae", "absolute"


class RMSE(_Mean):
    """The root of the mean of (t - y)^2, by weight: `root_mean_squared_error`; of several numbers a row, their mean.

    NaN where nothing counts.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.RMSE()([1.0, 2.0], [2.0, 3.0])
    1.0
    """

    name, kind = "rmse", "square"

    @staticmethod
    def _each(means: Any) -> Any:
        return means**0.5


class MAPE(_Mean):
    """The mean of |t - y| / max(|t|, eps), by weight, no percentage: `mean_absolute_percentage_error`.

    eps is 2^-52: where t is 0, any error is very large. NaN where nothing counts.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.MAPE()([1.0, 2.0], [1.5, 2.0])
    0.25
    """

    name, kind = "mape", "relative"


class R2(_OfNumbers):
    """The coefficient of determination, 1 - sum (t - y)^2 / sum (t - mean t)^2, by weight: scikit-learn's `r2_score`.

    Of several numbers a row, their mean. Where all of t is the same it is 1 if y is right, and else 0. NaN for fewer
    than two rows.

    Parameters
    ----------
    name : str, optional

    Notes
    -----
    Batches are put together as in Chan, Golub and LeVeque, Algorithms for computing the sample variance (The American
    Statistician 37, 1983), equation 2.1, so that large numbers with a small spread are right.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.R2()([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """

    name, better = "r2", "max"

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return of each number of a row the squared errors, the moments of t, and the count of rows."""
        t, y, weight = self._rows(t, y, weight)
        kernels = kernels_for(namespace_of(y))
        errors = kernels.error_totals(t, y, weight, "square")
        # The weights are in the moments; a row counts from two on, whatever its weight.
        counted = kernels.error_totals(t, t, namespace_of(y).astype(weight > 0, y.dtype), "square")
        return (errors[0, :], *kernels.moments(t, weight), counted[1, :])

    def merged(self, one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the moments of both."""
        (errors, a, first, mean, spread, rows), (more, b, start, second, width, others) = one, other
        total = a + b
        share = b / (total + (total == 0))
        apart = (start - first) + (second - mean)
        together = spread + width + apart**2 * a * share
        # Of a batch without weight nothing is known.
        first, mean = first * (a > 0) + start * (a == 0), mean * (a > 0) + second * (a == 0)
        return errors + more, total, first, mean + (a > 0) * apart * share, together, rows + others

    def result(self, *arrays: Any) -> float:
        """Return the mean over the numbers of a row."""
        errors, _, _, _, spread, rows = arrays
        if not rows.size or (rows < 2).any():
            return float("nan")
        xp = namespace_of(spread)
        shares = errors / xp.where(spread > 0, spread, 1.0)
        return float(xp.where(spread > 0, 1.0 - shares, xp.where(errors == 0, 1.0, 0.0 * errors)).mean())
