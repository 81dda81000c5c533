"""What the perceptrons refuse, and what they make of rates, rare classes and second fits."""

import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.9")

from sklearn import linear_model, neural_network

import portable_nn as pnn
from portable_nn.adapters.sklearn import MLPClassifier, MLPRegressor, NetworkRegressor

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


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_second_fit_with_early_stopping_has_a_best_of_its_own(kind):
    options = {"early_stopping": True, "warm_start": True, "random_state": 0, "max_iter": 15, "n_iter_no_change": 20}
    estimator = kind(hidden_layer_sizes=(6,), **options).fit(X, Y)
    before = [W.copy() for W in estimator.coefs_]
    flipped = 1 - Y
    estimator.fit(X, flipped)
    second = estimator.validation_scores_[15:]
    assert len(second) == 15
    assert estimator.best_validation_score_ == max(second)
    assert not all((one == two).all() for one, two in zip(before, estimator.coefs_, strict=True))


@pytest.mark.parametrize("early", [False, True])
def test_a_poisson_loss_of_ours_predicts_rates_as_theirs_does(early):
    options = {"random_state": 0, "max_iter": 60, "learning_rate_init": 0.02, "early_stopping": early, "alpha": 0.0}
    ours = MLPRegressor(pnn.PoissonLoss(), hidden_layer_sizes=(8,), **options).fit(X, COUNTS)
    theirs = neural_network.MLPRegressor("poisson", hidden_layer_sizes=(8,), **options).fit(X, COUNTS)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-5)
    if not early:
        np.testing.assert_allclose(ours.predict(X).mean(), COUNTS.mean(), rtol=0.15)
    else:
        np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-5)


def test_a_network_with_a_poisson_loss_predicts_rates():
    network = pnn.Sequential(pnn.Affine(4, 1), loss=pnn.PoissonLoss())
    estimator = NetworkRegressor(network, optimizer=pnn.Adam(0.1), epochs=60, random_state=0).fit(X, COUNTS)
    model = linear_model.PoissonRegressor(alpha=0.0).fit(X, COUNTS)
    np.testing.assert_allclose(estimator.predict(X), model.predict(X), rtol=0.1)


@pytest.mark.parametrize("kind", [MLPClassifier])
def test_a_class_too_rare_to_split_is_called_by_its_name(kind):
    y = np.array(["common"] * 119 + ["rare"])
    with pytest.raises(ValueError, match=r"Classes with too few members are: \['rare'\]"):
        kind((3,), early_stopping=True).fit(X, y)
    y[:30] = "rare"
    ours, theirs = (
        k((3,), early_stopping=True, random_state=0, max_iter=5).fit(X, y) for k in (kind, neural_network.MLPClassifier)
    )
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_)
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-6)


def test_batches_without_any_weight_are_passed_over():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 3))
    weight = np.where(np.arange(60) < 20, 0.0, 1.0)
    for kind, t in ((MLPClassifier, x[:, 0] > 0), (MLPRegressor, x[:, 0])):
        options = {
            "batch_size": 20,
            "max_iter": 1,
            "shuffle": False,
            "random_state": 0,
            "solver": "sgd",
            "momentum": 0.0,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            weighed = kind(hidden_layer_sizes=(8,), **options).fit(x, t, sample_weight=weight)
            alone = kind(hidden_layer_sizes=(8,), **options).fit(x[20:], t[20:])
        for W, expected in zip(weighed.coefs_, alone.coefs_, strict=True):
            np.testing.assert_allclose(W, expected, rtol=1e-6)
