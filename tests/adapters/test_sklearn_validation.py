"""Samples that estimators validate with: held out or given, with their weights."""

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.9")

from sklearn.metrics import accuracy_score, log_loss, r2_score

from portable_nn.adapters.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
Y = (X[:, 0] + 0.3 * RNG.normal(size=120) > 0).astype(int)
NAMES = np.array(["no", "yes"])[Y]
HELD = X[80:], NAMES[80:]
WEIGHT = RNG.uniform(0.0, 4.0, 40)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_perceptron_is_measured_on_samples_of_ones_own(solver, early):
    options = {"solver": solver, "max_iter": 8, "random_state": 0, "early_stopping": early, "n_iter_no_change": 20}
    estimator = MLPClassifier((6,), **options).fit(X[:80], NAMES[:80], X_val=HELD[0], y_val=HELD[1])
    count = 8 if solver == "adam" else 1
    assert len(estimator.validation_scores_) == len(estimator.validation_loss_curve_) == count
    assert estimator.best_validation_score_ == max(estimator.validation_scores_)
    if early and solver == "adam":
        assert estimator.score(*HELD) == estimator.best_validation_score_
    else:
        assert estimator.score(*HELD) == estimator.validation_scores_[-1]
        expected = log_loss(HELD[1], estimator.predict_proba(HELD[0]))
        np.testing.assert_allclose(estimator.validation_loss_curve_[-1], expected, rtol=1e-6)
    if not early:
        plain = MLPClassifier((6,), **options).fit(X[:80], NAMES[:80])
        np.testing.assert_array_equal(plain.coefs_[0], estimator.coefs_[0])


def test_a_perceptron_of_numbers_is_measured_on_samples_of_ones_own():
    estimator = MLPRegressor(hidden_layer_sizes=(6,), max_iter=4).fit(X[:80], X[:80, 0], X_val=X[80:], y_val=X[80:, 0])
    predicted = estimator.predict(X[80:])
    np.testing.assert_allclose(estimator.validation_scores_[-1], r2_score(X[80:, 0], predicted))
    np.testing.assert_allclose(estimator.validation_loss_curve_[-1], ((predicted - X[80:, 0]) ** 2).mean() / 2)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_samples_of_ones_own_have_weights(solver):
    options = {"solver": solver, "max_iter": 5, "random_state": 0}
    own = {"X_val": X[80:], "sample_weight_val": WEIGHT}
    estimator = MLPClassifier((6,), **options).fit(X[:80], NAMES[:80], y_val=NAMES[80:], **own)
    scored = accuracy_score(NAMES[80:], estimator.predict(X[80:]), sample_weight=WEIGHT)
    np.testing.assert_allclose(estimator.validation_scores_[-1], scored)
    expected = log_loss(NAMES[80:], estimator.predict_proba(X[80:]), sample_weight=WEIGHT)
    np.testing.assert_allclose(estimator.validation_loss_curve_[-1], expected, rtol=1e-6)
    regressor = MLPRegressor(hidden_layer_sizes=(6,), **options).fit(X[:80], X[:80, 0], y_val=X[80:, 0], **own)
    predicted = regressor.predict(X[80:])
    scored = r2_score(X[80:, 0], predicted, sample_weight=WEIGHT)
    np.testing.assert_allclose(regressor.validation_scores_[-1], scored)
    expected = np.average((predicted - X[80:, 0]) ** 2, weights=WEIGHT) / 2
    np.testing.assert_allclose(regressor.validation_loss_curve_[-1], expected)


def test_weights_decide_on_the_best_epoch():
    own = {"X_val": X[80:], "y_val": NAMES[80:]}
    options = {"max_iter": 30, "random_state": 0, "early_stopping": True, "n_iter_no_change": 30}
    weight = (NAMES[80:] == "no") * 1.0
    estimator = MLPClassifier((6,), **options).fit(X[:80], NAMES[:80], sample_weight_val=weight, **own)
    scored = accuracy_score(NAMES[80:], estimator.predict(X[80:]), sample_weight=weight)
    assert estimator.best_validation_score_ == max(estimator.validation_scores_) == scored


@pytest.mark.parametrize("estimator", [MLPClassifier(max_iter=2), MLPRegressor(max_iter=2)])
def test_bad_samples_to_validate_with(estimator):
    with pytest.raises(ValueError, match="X_val and y_val"):
        estimator.fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.fit(X, Y, X_val=X, y_val=Y[1:])
    with pytest.raises(ValueError, match="features"):
        estimator.fit(X, Y, X_val=X[:, :2], y_val=Y)
    with pytest.raises(ValueError, match="sample_weight_val needs X_val and y_val"):
        estimator.fit(X, Y, sample_weight_val=WEIGHT)
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(40,\), expected \(120,\)"):
        estimator.fit(X, Y, X_val=X, y_val=Y, sample_weight_val=WEIGHT)
    if isinstance(estimator, MLPClassifier):
        with pytest.raises(ValueError, match="y_val has classes that y has not"):
            estimator.fit(X, Y, X_val=X, y_val=Y + 1)
