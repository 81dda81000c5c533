"""Our estimators beside scikit-learn's, with equal settings: `python -m benchmarks.estimators`.

Seconds to fit and to predict, in turns in one run with one BLAS thread, and scores on held-out thirds over ten seeds.
Ours leave large products to MKL if it is installed, unless PORTABLE_NN_MKL is 0.
"""

import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn import datasets, neural_network
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from benchmarks.threads import one_thread
from portable_nn.adapters.sklearn import MLPClassifier, MLPRegressor
from portable_nn.kernels.fast import _mkl

ROUNDS = 7
SEEDS = 10
PAIRS = (MLPClassifier, neural_network.MLPClassifier), (MLPRegressor, neural_network.MLPRegressor)

Call = Callable[[], Any]


def contest(name: str, ours: Call, theirs: Call, rounds: int = ROUNDS) -> str:
    """Return a line with the median seconds of two calls, timed in turns, and the median ratio."""
    ours(), theirs()
    times = [[seconds(call) for call in (ours, theirs)] for _ in range(rounds)]
    one, two = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(mine / other for mine, other in times)
    return f"{name:44} {1e3 * one:9.2f} ms {1e3 * two:9.2f} ms   {ratio:.2f}"


def seconds(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def contests() -> Any:
    """Yield a line for each contest."""
    x, y = datasets.load_digits(return_X_y=True)
    x /= 16
    large, classes = datasets.make_classification(20_000, 100, n_informative=30, n_classes=5, random_state=0)
    iris = datasets.load_iris(return_X_y=True)
    fits: dict[str, tuple[tuple[Any, Any], dict[str, Any]]] = {
        "fit iris, defaults": (iris, {}),
        "fit iris, lbfgs": (iris, {"solver": "lbfgs"}),
        "fit digits 64-100-10, 50 epochs": ((x, y), {"max_iter": 50}),
        "the same in float32": ((x.astype("float32"), y), {"max_iter": 50}),
        "fit 20,000 x 100 (256, 256), 5 epochs": ((large, classes), {"max_iter": 5, "hidden_layer_sizes": (256, 256)}),
        "the same in float32, 5 epochs": (
            (large.astype("float32"), classes),
            {"max_iter": 5, "hidden_layer_sizes": (256, 256)},
        ),
    }
    for name, (data, options) in fits.items():
        yield contest(name, *(partial(_fit, kind, data, options) for kind in PAIRS[0]))
    fitted = [kind(random_state=0, max_iter=5).fit(x, y) for kind in PAIRS[0]]
    yield contest("predict 1 row, 100 times", *(lambda e=e: [e.predict(x[:1]) for _ in range(100)] for e in fitted))
    yield contest("predict 1,797 rows", *(lambda e=e: e.predict(x) for e in fitted))


def _fit(kind: Any, data: tuple[Any, Any], options: dict[str, Any]) -> Any:
    return kind(random_state=0, **options).fit(*data)


def scores() -> Any:
    """Yield a line for each data set: mean scores and the mean difference with its standard error."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2000, 8))
    houses = X, np.exp(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * rng.standard_normal(2000)
    for name, (X, y), (ours, theirs) in (
        ("digits", datasets.load_digits(return_X_y=True), PAIRS[0]),
        ("iris", datasets.load_iris(return_X_y=True), PAIRS[0]),
        ("breast cancer", datasets.load_breast_cancer(return_X_y=True), PAIRS[0]),
        ("diabetes", datasets.load_diabetes(return_X_y=True), PAIRS[1]),
        ("made-up houses", houses, PAIRS[1]),
    ):
        pairs = []
        for seed in range(SEEDS):
            X1, X2, y1, y2 = train_test_split(X, y, test_size=1 / 3, random_state=seed)
            scaler = StandardScaler().fit(X1)
            fits = [k(random_state=seed).fit(scaler.transform(X1), y1) for k in (ours, theirs)]
            pairs.append([fit.score(scaler.transform(X2), y2) for fit in fits])
        differences = [mine - other for mine, other in pairs]
        error = statistics.stdev(differences) / SEEDS**0.5
        means = [statistics.mean(column) for column in zip(*pairs, strict=True)]
        yield f"{name:20} {means[0]:.4f} {means[1]:.4f}   {statistics.mean(differences):+.5f} +- {error:.5f}"


def main() -> None:
    warnings.simplefilter("ignore")  # few epochs are meant
    blas = "NumPy's BLAS" if _mkl.library() is None else "MKL"
    with one_thread():
        print(f"median of {ROUNDS}: ours on {blas}, scikit-learn's, ratio")
        for line in contests():
            print(line, flush=True)
        print(f"\nscores over {SEEDS} seeds: ours, scikit-learn's, difference")
        for line in scores():
            print(line, flush=True)


if __name__ == "__main__":
    main()
