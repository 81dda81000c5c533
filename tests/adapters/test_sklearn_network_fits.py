"""Fits of networks as estimators that go on, and the samples that they validate with."""

import pickle

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.9")

from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import portable_nn as pnn
from portable_nn.adapters.sklearn import NetworkClassifier, NetworkRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
Y = (X[:, 0] > 0.8).astype(int)
NAMES = np.array(["no", "yes"])[Y]


def small(inputs, outputs):
    return pnn.Sequential(pnn.Affine(inputs, 8), pnn.ReLU(), pnn.Affine(8, outputs))


def test_the_part_held_out_is_stratified_and_weighed():
    weight = RNG.uniform(0.1, 5.0, 120)
    estimator = NetworkClassifier(small, epochs=2, validation_split=0.25, random_state=0).fit(X, NAMES, weight)
    _, test = train_test_split(np.arange(120), test_size=0.25, random_state=0, stratify=NAMES)
    expected = log_loss(NAMES[test], estimator.predict_proba(X[test]), sample_weight=weight[test])
    np.testing.assert_allclose(estimator.history_["val_loss"][-1], expected, rtol=1e-6)
    score = estimator.score(X[test], NAMES[test], weight[test])
    np.testing.assert_allclose(estimator.validation_scores_[-1], score)
    assert estimator.validation_loss_curve_ == estimator.history_["val_loss"]


def test_samples_of_ones_own_are_validated_with():
    estimator = NetworkClassifier(small, epochs=2).fit(X[:80], NAMES[:80], X_val=X[80:], y_val=NAMES[80:])
    expected = log_loss(NAMES[80:], estimator.predict_proba(X[80:]))
    np.testing.assert_allclose(estimator.validation_loss_curve_[-1], expected, rtol=1e-6)
    regressor = NetworkRegressor(small, epochs=2).fit(X[:80], X[:80, 0], X_val=X[80:], y_val=X[80:, 0])
    expected = ((regressor.predict(X[80:]) - X[80:, 0]) ** 2).mean()
    np.testing.assert_allclose(regressor.validation_loss_curve_[-1], expected, rtol=1e-6)
    np.testing.assert_allclose(regressor.validation_scores_[-1], regressor.score(X[80:], X[80:, 0]))
    for one in (estimator, regressor):
        with pytest.raises(ValueError, match="X_val and y_val"):
            one.fit(X, Y, X_val=X)


def test_samples_of_ones_own_have_weights():
    weight = RNG.uniform(0.0, 4.0, 40)
    own = {"X_val": X[80:], "sample_weight_val": weight}
    estimator = NetworkClassifier(small, epochs=2).fit(X[:80], NAMES[:80], y_val=NAMES[80:], **own)
    expected = log_loss(NAMES[80:], estimator.predict_proba(X[80:]), sample_weight=weight)
    np.testing.assert_allclose(estimator.validation_loss_curve_[-1], expected, rtol=1e-6)
    scored = estimator.score(X[80:], NAMES[80:], weight)
    np.testing.assert_allclose(estimator.validation_scores_[-1], scored)
    np.testing.assert_allclose(estimator.history_["val_accuracy"][-1], scored, rtol=1e-6)
    regressor = NetworkRegressor(small, epochs=2).fit(X[:80], X[:80, 0], y_val=X[80:, 0], **own)
    expected = np.average((regressor.predict(X[80:]) - X[80:, 0]) ** 2, weights=weight)
    np.testing.assert_allclose(regressor.validation_loss_curve_[-1], expected, rtol=1e-6)
    np.testing.assert_allclose(regressor.validation_scores_[-1], regressor.score(X[80:], X[80:, 0], weight))
    for one in (estimator, regressor):
        with pytest.raises(ValueError, match="sample_weight_val needs X_val and y_val"):
            one.fit(X, Y, sample_weight_val=weight)


@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
def test_parts_make_the_whole_and_warm_starts_go_on(kind):
    first = {"classes": [0, 1]} if kind is NetworkClassifier else {}
    whole = kind(small, epochs=3, random_state=0).fit(X, Y)
    parts = kind(small, random_state=0).partial_fit(X, Y, **first)
    parts = pickle.loads(pickle.dumps(parts)).partial_fit(X, Y).partial_fit(X, Y)
    np.testing.assert_array_equal(parts.network_.arrays()[0], whole.network_.arrays()[0])
    warm = kind(small, epochs=5, random_state=0, warm_start=True).fit(X, Y)
    loss = warm.history_["loss"][-1]
    assert warm.fit(X, Y).history_["loss"][0] < loss
    assert kind(small, epochs=5, random_state=0).fit(X, Y).fit(X, Y).history_["loss"][-1] == loss


def test_classes_of_parts():
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        NetworkClassifier(small).partial_fit(X, Y)
    estimator = NetworkClassifier(small).partial_fit(X[:1], NAMES[:1], classes=["no", "yes"])
    with pytest.raises(ValueError, match="not in classes_"):
        estimator.partial_fit(X, np.repeat("maybe", 120))
    warm = NetworkClassifier(small, epochs=1, warm_start=True).fit(X, NAMES)
    with pytest.raises(ValueError, match="warm_start needs y of the same classes"):
        warm.fit(X, np.repeat("no", 120))


def test_accumulated_batches_are_one_batch():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((120, 4)), rng.integers(0, 3, 120)

    def fitted(**options):
        layers = pnn.Affine(4, 8), pnn.ReLU(), pnn.Dropout(0.2), pnn.Affine(8, 3)
        net = pnn.Sequential(*layers)
        return NetworkClassifier(net, epochs=5, random_state=0, **options).fit(X, y).predict_proba(X)

    np.testing.assert_allclose(fitted(batch_size=10, accumulate=4), fitted(batch_size=40), atol=1e-8)
    assert np.max(np.abs(fitted(batch_size=10) - fitted(batch_size=40))) > 1e-3
