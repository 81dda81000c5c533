import math

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, r2_score

from portable_nn.cli.scores import confusions, r_squared


def test_the_table_counts_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    t, predicted = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    head, *lines = confusions(t.tolist(), predicted.tolist(), ["a", "b", "c", "d"]).splitlines()
    assert head.split() == ["true", "\\", "predicted", "a", "b", "c", "d"]
    assert [line.split()[0] for line in lines] == ["a", "b", "c", "d"]
    assert [list(map(int, line.split()[1:])) for line in lines] == confusion_matrix(t, predicted).tolist()


def test_the_table_shows_true_classes_as_rows_and_zeros_as_dots() -> None:
    assert confusions([0, 0, 0, 1], [0, 1, 1, 1], [7, "a long name indeed"]) == "\n".join(
        [
            "true \\ predicted  7  a long nam..",
            "               7  1             2",
            "    a long nam..  .             1",
        ]
    )


def test_many_classes_are_told_by_their_most_frequent_mistakes() -> None:
    t = [0] * 5 + [1] * 3 + list(range(2, 20))
    predicted = [9] * 5 + [8] * 3 + list(range(2, 20))
    assert [line.split() for line in confusions(t, predicted, list(range(20))).splitlines()] == [
        ["true", "predicted", "times"],
        ["0", "9", "5"],
        ["1", "8", "3"],
    ]
    assert len(confusions(list(range(30)), [*range(1, 30), 0], list(range(30))).splitlines()) == 11
    assert confusions(t, t, list(range(20))) == "no mistakes"


def test_r_squared_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    t = (rng.standard_normal((50, 1)) + 100).astype(np.float32)
    predicted = t + rng.standard_normal((50, 1)).astype(np.float32)
    assert r_squared(t, predicted) == pytest.approx(r2_score(t.astype(float), predicted.astype(float)), rel=1e-12)
    assert math.isnan(r_squared(t[:1], predicted[:1]))
