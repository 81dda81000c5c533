"""Metrics of probabilities. M = rows, C = classes, K = yes-or-no questions a row."""

from typing import Any

from portable_nn.arrays import namespace_of
from portable_nn.kernels import kernels_for
from portable_nn.metrics.classification import divided, ratio
from portable_nn.metrics.metric import Metric

__all__ = ["ROCAUC", "AveragePrecision", "Brier", "CalibrationError", "LogLoss"]


class LogLoss(Metric):
    """The mean of -log p of what is true, by weight: scikit-learn's `log_loss`.

    Probabilities are cut to [eps, 1 - eps], with the eps of their data type. For several yes-or-no questions a row, the
    mean over all answers. NaN where nothing counts.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.LogLoss()([1, 0], [0.5, 0.5]).__round__(4)
    0.6931
    """

    name, of, better = "log_loss", "probabilities", "min"

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the sum, and the weight."""
        return (kernels_for(namespace_of(y)).log_loss_total(t, y, weight),)

    def result(self, *arrays: Any) -> float:
        """Return the mean."""
        return divided(*arrays[0])


class Brier(Metric):
    """The mean of (p - t)^2, by weight; of more than two classes, of its sum over them: `brier_score_loss`.

    Brier, Monthly Weather Review 78 (1950). NaN where nothing counts.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.Brier()([1, 0], [0.5, 0.0])
    0.125
    """

    name, of, better = "brier", "probabilities", "min"

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the sum, and the weight."""
        return (kernels_for(namespace_of(y)).squared_probability_total(t, y, weight),)

    def result(self, *arrays: Any) -> float:
        """Return the mean."""
        return divided(*arrays[0])


class CalibrationError(Metric):
    """The expected calibration error: sum_m W_m / W |acc_m - conf_m| over bins m of equal width of confidence.

    Confidence is the probability of the answer, acc the share of right answers in a bin, W weights. Guo et al., On
    calibration of modern neural networks (ICML 2017), equation 3. NaN where nothing counts.

    Parameters
    ----------
    bins : int
        At least 1.
    name : str, optional

    Raises
    ------
    ValueError
        If `bins` is less.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.CalibrationError()([1, 1, 1, 0], [0.75, 0.75, 0.75, 0.75])
    0.0
    """

    name, of, better = "calibration_error", "probabilities", "min"

    def __init__(self, bins: int = 15, name: str | None = None):
        if not isinstance(bins, int) or bins < 1:  # pyright: ignore[reportUnnecessaryIsInstance]  (not typed)
            raise ValueError(f"CalibrationError needs bins to be a whole number of at least 1, got {bins!r}")
        super().__init__(name)
        self.bins = bins

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the sums of each bin."""
        return (kernels_for(namespace_of(y)).calibration_counts(t, y, weight, self.bins),)

    def result(self, *arrays: Any) -> float:
        """Return the weighted mean of the differences."""
        weight, confidence, right = arrays[0]
        return divided(abs(right - confidence).sum(), weight.sum())


class _Ranks(Metric):
    """A metric of the order of all rows: their probabilities are kept to the end of the epoch, and sorted then."""

    of, better = "probabilities", "max"
    keeps_rows = True

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the rows."""
        return t, y, weight

    def _columns(self, t: Any, y: Any) -> tuple[Any, Any]:
        """Return t and y as (M, K), a column for each class but where there are two, or for each question."""
        if y.ndim == 1:
            return t[:, None], y[:, None]
        if t.ndim == 1:
            return t[:, None] == namespace_of(t).arange(y.shape[1], dtype=t.dtype)[None, :], y
        return t, y

    def _mean(self, areas: Any, counts: Any) -> float:
        """Return the mean of those columns that count."""
        return divided(ratio(areas * counts, counts).sum(), counts.sum())


class ROCAUC(_Ranks):
    """The area under the ROC curve: scikit-learn's `roc_auc_score`, of classes each against the rest, averaged ("ovr").

    It is the chance that a positive row has a larger probability than a negative one, ties counted half. Of several
    classes or questions the mean of those that have rows of both kinds; NaN where none has. Fawcett, Pattern
    Recognition Letters 27 (2006).

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.ROCAUC()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """

    name = "roc_auc"

    def result(self, *arrays: Any) -> float:
        """Return the mean area."""
        t, y, weight = arrays
        t, y = self._columns(t, y)
        areas = kernels_for(namespace_of(y)).roc_areas(t, y, weight)
        xp = namespace_of(areas)
        if xp.isnan(y).any():
            return float("nan")
        known = 1.0 * ~xp.isnan(areas)
        return self._mean(xp.where(known > 0, areas, 0.0), known)


class AveragePrecision(_Ranks):
    """The mean precision over the recalls of all thresholds: scikit-learn's `average_precision_score`.

    Of several classes or questions the mean of those that have positive rows; 0 where none has, and NaN where nothing
    counts.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.AveragePrecision()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).__round__(4)
    0.8333
    """

    name = "average_precision"

    def result(self, *arrays: Any) -> float:
        """Return the mean."""
        t, y, weight = arrays
        t, y = self._columns(t, y)
        if not weight.any():
            return float("nan")
        areas = kernels_for(namespace_of(y)).average_precisions(t, y, weight)
        xp = namespace_of(areas)
        weights = weight if weight.ndim > 1 else weight[:, None]
        known = 1.0 * (((t > 0.5) * weights).sum(axis=0) > 0)
        return float("nan") if xp.isnan(areas).any() else self._mean(areas, known) if known.any() else 0.0
