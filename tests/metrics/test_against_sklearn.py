"""Every metric beside scikit-learn's, or the paper's formula written out, on every backend and in both precisions."""

import math
import warnings
from functools import partial

import numpy as np
import pytest
from sklearn import metrics as sk

from portable_nn import metrics
from portable_nn.metrics.answers import as_probabilities, as_scores
from portable_nn.metrics.running_metric import RunningMetric


def softmax(y):
    e = np.exp(y - y.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def classes(kind):
    """Return labels t (M,), scores or probabilities y (M, C), and weights, of a kind of data."""
    rng = np.random.default_rng(3)
    rows, count = {"one row": (1, 3)}.get(kind, (40, 2 if kind.startswith("two") else 4))
    y, t = rng.standard_normal((rows, count)), rng.integers(0, count, rows)
    if "ties" in kind:
        y = np.round(y)
    if kind == "missing":
        t = np.where(t == 2, 3, t)
        y[:, 2] = -9.0
        y[:, 1] += 0.5
    if kind == "one class":
        t[:] = 1
        y[:, 1] += 9.0
    weight = rng.uniform(0.1, 3.0, rows)
    return t, softmax(y), weight


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of scikit-learn, about what is not defined

KINDS = ["plain", "two"]
RARE = ["ties", "missing", "one class", "one row", "two with ties"]
LABELS = {
    "accuracy": (metrics.Accuracy(), sk.accuracy_score),
    "balanced": (metrics.Function(sk.balanced_accuracy_score), sk.balanced_accuracy_score),
}
for name, ours, theirs in (
    ("precision", metrics.Precision, sk.precision_score),
    ("recall", metrics.Recall, sk.recall_score),
    ("f1", metrics.F1, sk.f1_score),
):
    for average in ("macro", "weighted", None):
        LABELS[f"{name} {average}"] = ours(average), (theirs, average)


def by_sklearn(function, t, y, weight):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(function, tuple):
            function, average = function
            usual = "binary" if max(t.max(), y.max()) < 2 else "macro"
            return function(t, y, average=average or usual, sample_weight=weight, zero_division=0)
        return function(t, y, sample_weight=weight)


def compare(xp, dtype, metric, expected, t, y, weight):
    """Check a metric without weights, with them, and with them over batches of 20."""
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype == "float64" else {"rtol": 2e-6, "atol": 2e-6}
    y_there = xp.asarray(y.astype(dtype)) if y.dtype.kind == "f" else xp.asarray(y)
    t_there = xp.asarray(t.astype(dtype)) if t.dtype.kind == "f" else xp.asarray(t)
    for w in (None, weight):
        w_there = None if w is None else xp.asarray(w.astype(dtype))
        wanted = expected(t, y, w)
        np.testing.assert_allclose(metric(t_there, y_there, w_there), wanted, **tolerance)
    np.testing.assert_allclose(streamed(metric, t_there, y_there, w_there), wanted, **tolerance)


def streamed(metric, t, y, weight):
    """Return the number over batches of 20 rows, of what the network hands to the metric."""
    if metric.of == "scores":
        t, y = as_scores(t, y)
    elif metric.of == "probabilities":
        y = as_probabilities(t, y)
    running = RunningMetric(metric)
    for i in range(0, t.shape[0], 20):
        rows = slice(i, min(i + 20, t.shape[0]))
        running.add([metric.measure(t[rows, ...], y[rows, ...], weight[rows, ...])])
    return running.result()


def labels_of(kind):
    t, y, weight = classes(kind)
    return t, y.argmax(axis=1), weight


def check_classes(xp, dtype, kind):
    for ours, theirs in LABELS.values():
        compare(xp, dtype, ours, partial(by_sklearn, theirs), *labels_of(kind))
    t, p, weight = classes(kind)
    for ours, theirs in PROBABILITIES.values():
        compare(xp, dtype, ours, theirs, t, p.astype(dtype).astype("float64"), weight)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_in_float32(kind, xp):
    check_classes(xp, "float32", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_in_float64(kind, xp64):
    check_classes(xp64, "float64", kind)


@pytest.mark.parametrize("kind", RARE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rare_classes(kind, dtype):
    check_classes(np, dtype, kind)


def one_vs_rest(function, t, p, weight):
    """Return scikit-learn's number of each class against the rest, averaged over those that it is defined for."""
    columns = range(p.shape[1])
    known = [c for c in columns if function is not sk.roc_auc_score or 0 < (t == c).sum() < len(t)]
    known = [c for c in known if (t == c).any()]
    if not known:
        return math.nan
    return np.mean([function(t == c, p[:, c], sample_weight=weight) for c in known])


def of_ranks(function, t, p, weight):
    if p.shape[1] > 2:
        return one_vs_rest(function, t, p, weight)
    if function is sk.roc_auc_score and len(set(t.tolist())) < 2:
        return math.nan
    return function(t, p[:, 1], sample_weight=weight)


def brier(t, p, weight):
    if p.shape[1] == 2:
        return sk.brier_score_loss(t, p[:, 1], sample_weight=weight)
    return sk.brier_score_loss(t, p, sample_weight=weight, labels=range(p.shape[1]))


def calibration_error(t, p, weight, bins=15):
    """Return equation 3 of Guo et al. (2017), with weights."""
    weight = np.ones(len(t)) if weight is None else weight
    confidence, right, total = p.max(axis=1), p.argmax(axis=1) == t, 0.0
    for m in range(bins):
        within = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if within.any():
            w = weight[within]
            total += abs((w * right[within]).sum() - (w * confidence[within]).sum())
    return total / weight.sum()


def top(k, t, p, weight):
    if p.shape[1] == 2:  # of which scikit-learn takes no two columns
        return sk.accuracy_score(t, p[:, 1] >= p[:, 0], sample_weight=weight) if k == 1 else 1.0
    return sk.top_k_accuracy_score(t, p, k=k, sample_weight=weight, labels=range(p.shape[1]))


PROBABILITIES = {
    "roc_auc": (metrics.ROCAUC(), lambda *data: of_ranks(sk.roc_auc_score, *data)),
    "average_precision": (metrics.AveragePrecision(), lambda *data: of_ranks(sk.average_precision_score, *data)),
    "log_loss": (
        metrics.LogLoss(),
        lambda t, p, w: sk.log_loss(t, p, sample_weight=w, labels=range(p.shape[1])),
    ),
    "brier": (metrics.Brier(), brier),
    "calibration_error": (metrics.CalibrationError(), calibration_error),
    "top_1": (metrics.TopK(1), partial(top, 1)),
    "top_2": (metrics.TopK(2), partial(top, 2)),
}


def numbers(kind):
    """Return t, y, and weights of a kind of numbers."""
    rng = np.random.default_rng(5)
    shape = {"one number": (40,), "two numbers": (40, 2), "one row": (1, 2)}.get(kind, (40, 1))
    t = rng.standard_normal(shape)
    y = t + rng.standard_normal(shape)
    if kind == "constant":
        t = np.zeros(shape)  # whose mean scikit-learn does not round
    if kind == "constant and right":
        t = y = np.full(shape, 0.5)
    if kind == "with zeros":
        t[::5] = 0.0
    return t, y, rng.uniform(0.1, 3.0, shape[0])


NUMBERS = {
    "mae": (metrics.MAE(), sk.mean_absolute_error),
    "rmse": (metrics.RMSE(), sk.root_mean_squared_error),
    "mape": (metrics.MAPE(), sk.mean_absolute_percentage_error),
    "r2": (metrics.R2(), sk.r2_score),
    "max_error": (metrics.Function(sk.median_absolute_error, of="values"), sk.median_absolute_error),
}
RARE_NUMBERS = ["one number", "one row", "constant", "constant and right", "with zeros"]


def check_numbers(xp, dtype, kind):
    data = [array.astype(dtype).astype("float64") for array in numbers(kind)]
    for ours, theirs in NUMBERS.values():
        compare(xp, dtype, ours, partial(by_sklearn, theirs), *data)


def test_numbers_in_float32(xp):
    check_numbers(xp, "float32", "two numbers")


def test_numbers_in_float64(xp64):
    check_numbers(xp64, "float64", "two numbers")


@pytest.mark.parametrize("kind", RARE_NUMBERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rare_numbers(kind, dtype):
    check_numbers(np, dtype, kind)
