"""What the command says about a trained network. N = samples, C = classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from portable_nn.arrays import namespace_of
from portable_nn.cli.console import table

__all__ = ["confusions", "listed", "r_squared"]

_MOST_CLASSES = 12
_MOST_CONFUSIONS = 10
_LONGEST_NAME = 12


def confusions(t: Sequence[int], predicted: Sequence[int], classes: Sequence[int | str]) -> str:
    """Return how often which class was taken for which: a table, or for many classes the most frequent mistakes.

    Parameters
    ----------
    t, predicted : sequences of N labels
    classes : sequence of C names
    """
    counts = Counter(zip(t, predicted, strict=True))
    names = [_shortened(str(name)) for name in classes]
    if len(classes) > _MOST_CLASSES:
        mistakes = Counter({pair: count for pair, count in counts.items() if pair[0] != pair[1]})
        rows = [(names[a], names[b], str(count)) for (a, b), count in mistakes.most_common(_MOST_CONFUSIONS)]
        return table([("true", "predicted", "times"), *rows], ">") if rows else "no mistakes"
    labels = range(len(classes))
    rows = [[names[a], *(str(counts[a, b] or ".") for b in labels)] for a in labels]
    return table([["true \\ predicted", *names], *rows], ">")


def listed(scores: Mapping[str, float], names: Sequence[str]) -> str:
    """Return ", name value" for each name once, but for the accuracy, which is told by itself."""
    return "".join(f", {name} {scores[name]:.4g}" for name in dict.fromkeys(names) if name != "accuracy")


def r_squared(t: Any, predicted: Any) -> float:
    """Return the coefficient of determination of NumPy t, predicted (N, 1): 1 - sum (t - y)^2 / sum (t - mean t)^2.

    NaN where all of t is the same.
    """
    xp = namespace_of(t)
    t, predicted = xp.astype(t, xp.float64), xp.astype(predicted, xp.float64)
    spread = float(xp.sum((t - xp.mean(t)) ** 2))
    return 1.0 - float(xp.sum((t - predicted) ** 2)) / spread if spread else float("nan")


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 2]}.."
