"""How good answers are, class by class, as a table."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from portable_nn.arrays import namespace_of
from portable_nn.kernels import kernels_for
from portable_nn.metrics.classification import F1, Average, Precision, Recall, divided, refuse_questions
from portable_nn.metrics.metric import Metric

__all__ = ["ClassReport", "Report", "report"]


@dataclass(frozen=True)
class Report:
    """Precision, recall, F1 and support of each class, and the accuracy beside that of the majority.

    Attributes
    ----------
    names : list of str
        Of the classes.
    precision, recall, f1, support : list of float
        Of each class; the support is the weight of its rows.
    accuracy : float
    baseline : float
        The accuracy of always answering with the most frequent class.
    macro, weighted : (precision, recall, f1)
        Their means over the classes that occur, and by support.
    """

    names: list[str]
    precision: list[float]
    recall: list[float]
    f1: list[float]
    support: list[float]
    accuracy: float
    baseline: float
    macro: tuple[float, float, float]
    weighted: tuple[float, float, float]

    def rows(self) -> list[list[str]]:
        """Return the table as texts, the first row its head."""
        total = sum(self.support)
        rows = [["class", "precision", "recall", "f1", "support"]]
        for name, *ratios, support in zip(self.names, self.precision, self.recall, self.f1, self.support, strict=True):
            rows.append([name, *map(_ratio, ratios), f"{support:,g}"])
        for name, means in (("macro mean", self.macro), ("weighted mean", self.weighted)):
            rows.append([name, *map(_ratio, means), f"{total:,g}"])
        rows.append(["accuracy", "", "", _ratio(self.accuracy), f"{total:,g}"])
        majority = self.names[max(range(len(self.names)), key=self.support.__getitem__)]
        rows.append([f"always {majority}", "", "", _ratio(self.baseline), f"{total:,g}"])
        return rows

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        ]
        line = "-" * len(lines[0])
        return "\n".join([lines[0], line, *lines[1:-4], line, *lines[-4:]])

    def _repr_html_(self) -> str:
        """Return the table for notebooks."""
        head, *rows = ["".join(f"<{t}>{html.escape(c)}</{t}>" for c in row) for t, row in self._tagged()]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _tagged(self) -> list[tuple[str, list[str]]]:
        return [("td" if i else "th", row) for i, row in enumerate(self.rows())]


class ClassReport(Metric):
    """A metric whose value is a `Report`.

    Parameters
    ----------
    names : sequence, optional
        Of the classes; their numbers by default.
    """

    name, of = "report", "scores"

    def __init__(self, names: Sequence[Any] | None = None):
        super().__init__()
        self.names = None if names is None else list(map(str, names))

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the weights of rows of each class: see `kernels.class_counts`."""
        refuse_questions(self, t)
        return (kernels_for(namespace_of(y)).class_counts(t, y, weight),)

    def result(self, *arrays: Any) -> Report:
        """Return the report; ValueError if there are not as many names as classes."""
        counts, names = arrays[0], self.names
        right, _, true = (part.tolist() for part in counts)
        if names is not None and len(names) < len(true):
            raise ValueError(f"a report needs names for {len(true)} classes, got {len(names)}")
        if names is not None and len(names) > len(true):  # of labels, the last classes may not occur
            xp = namespace_of(counts)
            return self.result(xp.concat([counts, xp.zeros((3, len(names) - len(true)))], axis=1))
        total = sum(true)
        return Report(
            [str(i) for i in range(len(true))] if names is None else names,
            Precision.ratios(*counts).tolist(),
            Recall.ratios(*counts).tolist(),
            F1.ratios(*counts).tolist(),
            true,
            divided(sum(right), total),
            divided(max(true), total),
            _means(counts, "macro"),
            _means(counts, "weighted"),
        )


def report(t: Any, y: Any, names: Sequence[Any] | None = None, weight: Any = None) -> Report:
    """Return how good the answers y to labels t are, class by class.

    Parameters
    ----------
    t : array of shape (M,)
        Labels; negative ones are left out.
    y : array of shape (M,) or (M, C)
        Labels, or scores, of which the largest is the answer. Scores of a yes, (M,) or (M, 1), answer 1 where they are
        positive: give probabilities p of it as p > 0.5.
    names : sequence, optional
        Of the classes; their numbers by default.
    weight : array of shape (M,), optional

    Raises
    ------
    ShapeError
        If the arrays do not fit together.
    LabelError
        If there is a label for which y has no score.
    ValueError
        If there are fewer names than classes.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.metrics.report([0, 0, 0, 1, 1], [0, 0, 1, 1, 1], names=["apple", "orange"]))
    class          precision  recall      f1  support
    -------------------------------------------------
    apple             1.0000  0.6667  0.8000        3
    orange            0.6667  1.0000  0.8000        2
    -------------------------------------------------
    macro mean        0.8333  0.8333  0.8000        5
    weighted mean     0.8667  0.8000  0.8000        5
    accuracy                          0.8000        5
    always apple                      0.6000        5
    """
    return ClassReport(names)(t, y, weight)


def _means(counts: Any, average: Average) -> tuple[float, float, float]:
    return Precision(average).result(counts), Recall(average).result(counts), F1(average).result(counts)


def _ratio(value: float) -> str:
    return f"{value:.4f}"
