"""What the perceptrons refuse, and what they make of rates, rare classes and second fits."""

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.9")

from sklearn import linear_model

import portable_nn as pnn
from portable_nn.adapters.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
Y = (X[:, 0] + 0.3 * RNG.normal(size=120) > 0).astype(int)
COUNTS = RNG.poisson(np.exp(3.0 + 0.2 * X[:, 0])).astype(float)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"optimizer": "rmsprop"}, "optimizer"),
        ({"optimizer": pnn.Adam()}, "optimizer"),
        ({"callbacks": [pnn.Callback()]}, "callbacks"),
        ({"clip_norm": 1.0}, "clip_norm"),
        ({"optimizer": "adam", "callbacks": [pnn.Callback()]}, "optimizer, callbacks"),
    ],
)
def test_lbfgs_refuses_what_it_would_ignore(options, named):
    for kind in (MLPClassifier, MLPRegressor):
        with pytest.raises(ValueError, match=f"solver='lbfgs' has no use for {named}:"):
            kind(hidden_layer_sizes=(3,), solver="lbfgs", max_iter=2, **options).fit(X, Y)


def test_balanced_weights_are_refused_by_partial_fit_as_theirs_are():
    with pytest.raises(ValueError) as theirs:  # noqa: PT011  (which one, theirs decides)
        linear_model.SGDClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1])
    estimator = MLPClassifier((3,), class_weight="balanced")
    with pytest.raises(ValueError) as ours:  # noqa: PT011
        estimator.partial_fit(X, Y, classes=[0, 1])
    assert "class_weight 'balanced' is not supported for partial_fit" in str(theirs.value)
    assert str(ours.value) == str(theirs.value).replace("SGDClassifier", "MLPClassifier")
    assert not hasattr(estimator, "coefs_")
    MLPClassifier((3,), class_weight={0: 1.0, 1: 2.0}).partial_fit(X, Y, classes=[0, 1])
