"""Metrics of answers: of classes, or of yes-or-no questions. M = rows, C = classes, or questions."""

from typing import Any, Literal, TypeAlias

from portable_nn.arrays import namespace_of
from portable_nn.kernels import kernels_for
from portable_nn.metrics.metric import Metric

__all__ = [
    "F1",
    "Accuracy",
    "Average",
    "ConfusionMatrix",
    "Precision",
    "Recall",
    "TopK",
    "divided",
    "ratio",
    "refuse_questions",
]

Average: TypeAlias = Literal["binary", "macro", "weighted"] | None


class Accuracy(Metric):
    """The share of right answers, by weight: of rows, or of all answers to several yes-or-no questions.

    scikit-learn's `accuracy_score`, but that of questions each counts by itself. NaN where nothing counts. A row with
    NaN is wrong.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.Accuracy()([0, 1, 2, 2], [0, 1, 1, 2])
    0.75
    """

    name, of, better = "accuracy", "scores", "max"

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the weights of right answers, and of all."""
        kernels = kernels_for(namespace_of(y))
        if t.ndim == 1:
            return kernels.count_correct(y, t, weight), kernels.total(weight)
        share = 1.0 if weight.ndim > 1 else float(t.shape[1])
        return kernels.count_correct_signs(y, namespace_of(y).astype(t, y.dtype), weight), kernels.total(weight, share)

    def result(self, *arrays: Any) -> float:
        """Return their ratio."""
        return divided(*arrays)


class TopK(Metric):
    """The share of rows whose class is among the k with the largest scores, by weight.

    scikit-learn's `top_k_accuracy_score`: of equal scores that of the later class is the larger one. The key is
    "top_k", with the number: "top_3".

    Parameters
    ----------
    k : int
        At least 1.
    name : str, optional

    Raises
    ------
    ValueError
        If k is less.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.TopK(2)([0, 1], [[0.2, 0.3, 0.5], [0.1, 0.4, 0.5]])
    0.5
    """

    of, better = "scores", "max"

    def __init__(self, k: int = 5, name: str | None = None):
        if not isinstance(k, int) or k < 1:  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not typed)
            raise ValueError(f"TopK needs k to be a whole number of at least 1, got {k!r}")
        super().__init__(name or f"top_{k}")
        self.k = k

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the weights of rows among the first k, and of all."""
        refuse_questions(self, t)
        return (kernels_for(namespace_of(y)).top_total(t, y, weight, self.k),)

    def result(self, *arrays: Any) -> float:
        """Return their ratio."""
        return divided(*arrays[0])


class _OfClasses(Metric):
    """A ratio of weights in each class, and its average."""

    of, better = "scores", "max"

    def __init__(self, average: Average = None, name: str | None = None):
        if average not in ("binary", "macro", "weighted", None):
            kind = type(self).__name__
            raise ValueError(f'{kind} needs average "binary", "macro" or "weighted", got {average!r}')
        super().__init__(name)
        self.average: Average = average

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the weights of rows rightly of each class, answered so, and of it: (3, C), and 1 for questions."""
        counts = kernels_for(namespace_of(y)).class_counts(t, y, weight)
        # Two questions are not two classes.
        return (counts,) if t.ndim == 1 else (counts, counts[:1, :1])

    def result(self, *arrays: Any) -> float:
        """Return the average over the classes that occur in targets or answers."""
        counts = arrays[0]
        right, answered, true = counts
        ratios = self.ratios(right, answered, true)
        average = self.average or ("binary" if counts.shape[1] == 2 and len(arrays) == 1 else "macro")
        if average == "binary":
            if counts.shape[1] != 2 or len(arrays) > 1:
                raise ValueError(
                    f'{type(self).__name__} needs two classes with average="binary", got {counts.shape[1]}: '
                    'take "macro" or "weighted"'
                )
            return float(ratios[1]) if (answered + true).any() else float("nan")
        occur = answered + true > 0 if len(arrays) == 1 else answered + true >= 0
        shares = true if average == "weighted" else 1.0 * occur
        if not (answered + true).any():
            return float("nan")
        # As in scikit-learn, where nothing is of a class that counts, nothing is right.
        return divided((shares * ratios).sum(), shares.sum()) if shares.any() else 0.0

    @staticmethod
    def ratios(right: Any, answered: Any, true: Any) -> Any:
        """Return the ratio in each class."""
        raise NotImplementedError


class Precision(_OfClasses):
    """The share of answers with a class that are right, tp / (tp + fp): scikit-learn's `precision_score`.

    Parameters
    ----------
    average : "binary", "macro" or "weighted", optional
        "binary" is that of label 1 of two; "macro" the mean over the classes that occur in targets or answers;
        "weighted" that by the weights of the targets. By default "binary" for two classes, else "macro", also for
        several yes-or-no questions.
    name : str, optional

    Notes
    -----
    It is 0 in a class without an answer, and NaN where no row counts.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.Precision()([0, 1, 1, 1], [1, 1, 0, 1]).__round__(4)
    0.6667
    """

    name = "precision"

    @staticmethod
    def ratios(right: Any, answered: Any, true: Any) -> Any:
        """Return the ratio in each class."""
        return ratio(right, answered)


class Recall(_OfClasses):
    """The share of rows of a class that are answered with it, tp / (tp + fn): scikit-learn's `recall_score`.

    Parameters
    ----------
    average : "binary", "macro" or "weighted", optional
        As of `Precision`.
    name : str, optional

    Notes
    -----
    It is 0 in a class without a row, and NaN where no row counts.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.Recall()([0, 1, 1, 1], [1, 1, 0, 1]).__round__(4)
    0.6667
    """

    name = "recall"

    @staticmethod
    def ratios(right: Any, answered: Any, true: Any) -> Any:
        """Return the ratio in each class."""
        return ratio(right, true)


class F1(_OfClasses):
    """The harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn): scikit-learn's `f1_score`.

    Parameters
    ----------
    average : "binary", "macro" or "weighted", optional
        As of `Precision`; of the F1 of each class.
    name : str, optional

    Notes
    -----
    It is 0 in a class that does not occur, and NaN where no row counts.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.F1()([0, 1, 2, 2], [0, 1, 1, 2]).__round__(4)
    0.7778
    """

    name = "f1"

    @staticmethod
    def ratios(right: Any, answered: Any, true: Any) -> Any:
        """Return the ratio in each class."""
        return ratio(2.0 * right, answered + true)


class ConfusionMatrix(Metric):
    """The weights of the rows of each class (down) that were answered with each class (across): (C, C).

    scikit-learn's `confusion_matrix`, of all classes that a network has. In histories it is a list of lists.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import portable_nn as pnn
    >>> pnn.metrics.ConfusionMatrix()([0, 1, 1, 1], [1, 1, 0, 1])
    [[0.0, 1.0], [1.0, 2.0]]
    """

    name, of = "confusion_matrix", "scores"

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the matrix of a batch."""
        refuse_questions(self, t)
        return (kernels_for(namespace_of(y)).confusion_counts(t, y, weight),)

    def result(self, *arrays: Any) -> list[list[float]]:
        """Return the matrix as lists."""
        return arrays[0].tolist()


def refuse_questions(metric: Metric, t: Any) -> None:
    """Raise ValueError if t are not labels of classes."""
    if t.ndim > 1:
        raise ValueError(f"{type(metric).__name__} needs classes, got the answers to {t.shape[1]} questions a row")


def divided(part: Any, whole: Any) -> float:
    """Return a ratio of two numbers, NaN where there is nothing."""
    return float(part) / float(whole) if float(whole) else float("nan")


def ratio(part: Any, whole: Any) -> Any:
    """Return the ratios of two NumPy arrays, 0 where there is nothing."""
    xp = namespace_of(whole)
    return part / xp.where(whole > 0, whole, 1.0) * (whole > 0)
