"""scikit-learn's estimators on our networks: the same numbers, the same errors, and what theirs refuse."""

import pickle
import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.9")

import joblib
from scipy import sparse
from sklearn import datasets, neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import portable_nn as pnn
from portable_nn.adapters.sklearn import (
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
    from_sklearn,
    to_sklearn,
)
from portable_nn.testing.backends import Backend

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

THEIRS = {MLPClassifier: neural_network.MLPClassifier, MLPRegressor: neural_network.MLPRegressor}
IRIS = datasets.load_iris(return_X_y=True)
SCALED = (IRIS[0] - IRIS[0].mean(axis=0)) / IRIS[0].std(axis=0), IRIS[1]
BINARY = SCALED[0][:100], SCALED[1][:100]
LABELS = datasets.make_multilabel_classification(60, n_features=5, random_state=0)
NUMBERS = datasets.make_regression(60, n_features=5, n_targets=1, noise=1.0, random_state=0)
SEVERAL = datasets.make_regression(60, n_features=5, n_targets=3, noise=1.0, random_state=0)
COUNTS = NUMBERS[0], np.random.default_rng(0).poisson(2.0, 60).astype(float)
PROBLEMS = {
    "classes": (MLPClassifier, SCALED, {}),
    "two classes": (MLPClassifier, BINARY, {}),
    "names": (MLPClassifier, (SCALED[0], np.array(["a", "b", "c"])[SCALED[1]]), {}),
    "labels": (MLPClassifier, LABELS, {}),
    "numbers": (MLPRegressor, (NUMBERS[0], NUMBERS[1] / 100), {}),
    "several numbers": (MLPRegressor, (SEVERAL[0], SEVERAL[1] / 100), {}),
    "counts": (MLPRegressor, COUNTS, {"loss": "poisson"}),
}


def assert_same_fit(ours, theirs, X):
    for name in ("coefs_", "intercepts_"):
        for one, two in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-6)
    for name in ("n_iter_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name)
    predictions = ours.predict(X), theirs.predict(X)
    assert predictions[0].dtype == predictions[1].dtype
    if predictions[0].dtype.kind in "fc":
        np.testing.assert_allclose(*predictions, rtol=1e-6, atol=1e-7)
    else:
        np.testing.assert_array_equal(*predictions)
    if hasattr(theirs, "predict_proba"):
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_one_step_on_the_whole_batch_is_theirs(solver, problem, activation):
    kind, (X, y), options = PROBLEMS[problem]
    options = {"solver": solver, "activation": activation, "max_iter": 1, "random_state": 3, "alpha": 0.1} | options
    ours, theirs = (k(hidden_layer_sizes=(7, 5), **options).fit(X, y) for k in (kind, THEIRS[kind]))
    assert_same_fit(ours, theirs, X)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 7},
        {"batch_size": 7, "solver": "sgd", "learning_rate": "invscaling", "power_t": 0.2},
        {"batch_size": 9, "solver": "sgd", "nesterovs_momentum": False, "shuffle": False},
        {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05},
        {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 3},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 2, "learning_rate_init": 0.1},
    ],
    ids=str,
)
def test_whole_fits_are_theirs(problem, options):
    kind, (X, y), more = PROBLEMS[problem]
    options = {"max_iter": 30, "random_state": 5} | options | more
    ours, theirs = (k(hidden_layer_sizes=(6,), **options).fit(X, y) for k in (kind, THEIRS[kind]))
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)
    assert_same_fit(ours, theirs, X)
    if options.get("early_stopping"):
        np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-6)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_lbfgs_finds_what_theirs_finds(problem):
    kind, (X, y), options = PROBLEMS[problem]
    options = {"solver": "lbfgs", "max_iter": 5, "random_state": 1, "activation": "tanh", "alpha": 0.1} | options
    ours, theirs = (k(hidden_layer_sizes=(6,), **options).fit(X, y) for k in (kind, THEIRS[kind]))
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-5)
    for one, two in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_sample_weights_and_partial_fit_are_theirs(problem):
    kind, (X, y), options = PROBLEMS[problem]
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    classes = np.arange(y.shape[1]) if np.ndim(y) == 2 else np.unique(y)
    first = {"classes": classes} if kind is MLPClassifier else {}
    fits = []
    for k in (kind, THEIRS[kind]):
        estimator = k(hidden_layer_sizes=(6,), random_state=2, batch_size=11, **options).partial_fit(
            X, y, sample_weight=weight, **first
        )
        fits.append(estimator.partial_fit(X[:20], y[:20]).partial_fit(X, y, sample_weight=weight))
    assert_same_fit(*fits, X)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_penalty_changed_between_partial_fits_is_the_one_used(problem):
    kind, (X, y), options = PROBLEMS[problem]
    classes = np.arange(y.shape[1]) if np.ndim(y) == 2 else np.unique(y)
    first = {"classes": classes} if kind is MLPClassifier else {}
    fits = []
    for k in (kind, THEIRS[kind]):
        estimator = k(hidden_layer_sizes=(6,), random_state=2, batch_size=11, **options).partial_fit(X, y, **first)
        fits.append(estimator.set_params(alpha=10.0).partial_fit(X, y).partial_fit(X, y))
    assert_same_fit(*fits, X)


def test_sparse_input_is_theirs():
    X = sparse.csr_matrix(np.where(SCALED[0] > 0, SCALED[0], 0.0))
    options = {"max_iter": 10, "random_state": 0, "batch_size": 40}
    ours, theirs = (
        k(hidden_layer_sizes=(6,), **options).fit(X, SCALED[1]) for k in (MLPClassifier, neural_network.MLPClassifier)
    )
    assert_same_fit(ours, theirs, X)
    early = MLPClassifier((6,), early_stopping=True, **options).fit(X, SCALED[1])
    assert len(early.validation_scores_) == early.n_iter_
    lbfgs = MLPClassifier((6,), solver="lbfgs", max_iter=20, random_state=0).fit(X, SCALED[1])
    assert lbfgs.score(X, SCALED[1]) > 0.8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_data_type_is_that_of_the_data_or_as_asked(dtype):
    X = SCALED[0].astype(dtype)
    fitted = MLPClassifier((6,), max_iter=2).fit(X, SCALED[1])
    assert all(array.dtype == dtype for array in [*fitted.coefs_, *fitted.intercepts_])
    assert fitted.predict_proba(X).dtype == dtype
    other = MLPClassifier((6,), max_iter=2, dtype="float32").fit(X, SCALED[1])
    assert all(array.dtype == "float32" for array in other.coefs_)


def test_warm_start_goes_on_and_weights_may_be_replaced():
    X, y = SCALED
    estimator = MLPClassifier((6,), max_iter=20, warm_start=True, random_state=0).fit(X, y)
    loss = estimator.loss_
    assert estimator.fit(X, y).loss_ < loss
    estimator.coefs_ = [np.zeros_like(W) for W in estimator.coefs_]
    estimator.intercepts_[-1] = np.array([0.0, 9.0, 0.0])
    assert (estimator.predict(X) == 1).all()


def test_copies_go_on_where_the_estimator_was(tmp_path):
    X, y = SCALED
    options = {"random_state": 0, "max_iter": 5}
    for kind in (MLPClassifier, MLPRegressor):
        estimator = kind(hidden_layer_sizes=(6,), **options).fit(X, y)
        joblib.dump(estimator, tmp_path / "estimator.joblib")
        copies = pickle.loads(pickle.dumps(estimator)), joblib.load(tmp_path / "estimator.joblib")
        for other in copies:
            np.testing.assert_array_equal(other.predict(X), estimator.predict(X))
            assert other.get_params() == estimator.get_params()
        estimator.partial_fit(X, y)
        for other in copies:
            other.partial_fit(X, y)
            np.testing.assert_array_equal(other.coefs_[0], estimator.coefs_[0])
        fresh = clone(estimator)
        assert not hasattr(fresh, "coefs_")


def test_scikit_learns_tools_take_them():
    X, y = SCALED
    pipeline = make_pipeline(
        StandardScaler(), MLPClassifier((10,), max_iter=150, learning_rate_init=0.02, random_state=0)
    )
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.93
    grid = GridSearchCV(pipeline, {"mlpclassifier__hidden_layer_sizes": [(1,), (10,)]}, cv=3).fit(X, y)
    assert grid.best_params_ == {"mlpclassifier__hidden_layer_sizes": (10,)}
    assert CalibratedClassifierCV(pipeline, cv=3).fit(X, y).score(X, y) > 0.9
    assert BaggingClassifier(pipeline, n_estimators=2, random_state=0).fit(X, y).score(X, y) > 0.9


# What theirs refuse.


def test_one_activation_a_layer_dropout_and_losses():
    X, y = SCALED
    options = {"random_state": 0, "max_iter": 80, "learning_rate_init": 0.02}
    estimator = MLPClassifier((10, 8), activation=("gelu", pnn.LeakyReLU(0.2)), dropout=(0.1, 0.0), **options).fit(X, y)
    assert [type(layer).__name__ for layer in estimator._network.layers] == [
        *("Affine", "GELU", "Dropout", "Affine", "LeakyReLU", "Affine")
    ]
    assert estimator.score(X, y) > 0.9
    smoothed = MLPClassifier((10,), loss=pnn.SoftmaxWithLoss(label_smoothing=0.3), **options).fit(X, y)
    assert smoothed.predict_proba(X).max() < MLPClassifier((10,), **options).fit(X, y).predict_proba(X).max()
    robust = MLPRegressor(pnn.Huber(delta=0.5), hidden_layer_sizes=(10,), **options).fit(NUMBERS[0], NUMBERS[1] / 100)
    assert robust.score(NUMBERS[0], NUMBERS[1] / 100) > 0.8


def test_class_weights_count():
    X, y = BINARY
    few = np.r_[np.arange(50), np.arange(50, 55)]
    options = {"random_state": 0, "max_iter": 40, "solver": "lbfgs", "alpha": 1.0}
    plain = MLPClassifier((5,), **options).fit(X[few], y[few])
    balanced = MLPClassifier((5,), class_weight="balanced", **options).fit(X[few], y[few])
    weight = np.where(y[few] == 0, 55 / 100, 55 / 10)
    same = MLPClassifier((5,), **options).fit(X[few], y[few], sample_weight=weight)
    np.testing.assert_allclose(balanced.predict_proba(X), same.predict_proba(X), rtol=1e-6)
    assert balanced.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()


def test_an_optimizer_given_as_instance_starts_anew_with_each_fit():
    X, y = SCALED
    estimator = MLPClassifier((6,), optimizer=pnn.Adam(0.01), max_iter=5, random_state=0).fit(X, y)
    first = estimator.loss_curve_
    assert estimator.fit(X, y).loss_curve_ == first
    assert estimator.optimizer.steps == 0


@pytest.mark.parametrize("optimizer", ["rmsprop", pnn.AdamW(pnn.Cosine(0.02, steps=200), weight_decay=0.1)])
def test_optimizers_by_name_or_instance(optimizer):
    X, y = SCALED
    estimator = MLPClassifier((10,), optimizer=optimizer, clip_norm=1.0, learning_rate_init=0.01, max_iter=100)
    assert estimator.fit(X, y).score(X, y) > 0.9


def test_callbacks_see_epochs_and_may_stop(capsys):
    class Three(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            self.losses = [*getattr(self, "losses", []), record["loss"]]
            if epoch == 3:
                trainer.stop("enough")

    callback = Three()
    estimator = MLPClassifier((5,), callbacks=[callback], progress=True).fit(*SCALED)
    assert estimator.n_iter_ == 3
    assert callback.losses == estimator.loss_curve_
    assert "epoch 3/200" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "swish"}, "activation"),
        ({"activation": ["relu"]}, "activation needs one name for each of the 2 hidden layers"),
        ({"activation": ["relu", "swish"]}, "got 'swish'"),
        ({"dropout": [0.1]}, r"dropout needs a rate in \[0, 1\) for each of the 2 hidden layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"optimizer": "tiger"}, "optimizer needs to be an Optimizer or one of"),
        ({"compile": "yes"}, "compile"),
        ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes must be > 0"),
        ({"alpha": -1}, "alpha"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**{"hidden_layer_sizes": (4, 3)} | options).fit(*SCALED)


BAD = {
    "NaN": (lambda X, y: (np.where(X > 1, np.nan, X), y)),
    "one dimension": (lambda X, y: (X[:, 0], y)),
    "other length": (lambda X, y: (X, y[:-1])),
    "no samples": (lambda X, y: (X[:0], y[:0])),
    "words": (lambda X, y: (np.where(X > 1, "much", "little"), y)),
    "complex": (lambda X, y: (X + 1j, y)),
    "no y": (lambda X, y: (X, None)),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("kind", THEIRS)
def test_bad_input_gets_their_errors(kind, bad):
    X, y = BAD[bad](*SCALED)
    messages = []
    for k in (THEIRS[kind], kind):
        with pytest.raises(Exception) as caught:  # noqa: PT011  (which one, theirs decides)
            k(hidden_layer_sizes=(3,), max_iter=1).fit(X, y)
        messages.append((type(caught.value), str(caught.value).replace("portable_nn.adapters.sklearn.", "")))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("kind", THEIRS)
def test_bad_input_to_predict_gets_their_errors(kind):
    X, y = SCALED
    with pytest.raises(NotFittedError, match="not fitted yet"):
        kind().predict(X)
    ours, theirs = (k(hidden_layer_sizes=(3,), max_iter=1).fit(X, y) for k in (kind, THEIRS[kind]))
    for bad in (X[:, :2], np.where(X > 1, np.inf, X), X[0], X[:0]):
        messages = []
        for estimator in (ours, theirs):
            with pytest.raises(ValueError) as caught:  # noqa: PT011
                estimator.predict(bad)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


def test_an_error_leaves_a_fitted_estimator_as_it_was():
    X, y = SCALED
    estimator = MLPClassifier((4,), max_iter=3, random_state=0, warm_start=True).fit(X, y)
    before = [W.copy() for W in estimator.coefs_]
    with pytest.raises(ValueError, match="warm_start can only be used"):
        estimator.fit(X, y % 2)
    with pytest.raises(ValueError, match="NaN"):
        estimator.partial_fit(np.full_like(X, np.nan), y)
    for wrong in ({"activation": ["relu", "relu"]}, {"optimizer": "tiger"}, {"dropout": [0.1, 0.1]}):
        kept = estimator.get_params()
        with pytest.raises(ValueError, match=next(iter(wrong))):
            estimator.set_params(warm_start=False, **wrong).fit(X, y)
        estimator.set_params(**kept)
    for one, two in zip(before, estimator.coefs_, strict=True):
        np.testing.assert_array_equal(one, two)


# Where the data are.


@pytest.fixture(params=["torch", "jax", "array_api_strict", "cupy"])
def elsewhere(request, monkeypatch):
    if missing := Backend(request.param, request.param).missing():
        pytest.skip(f"missing backend {missing}")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with sklearn.config_context(array_api_dispatch=True):
        yield pnn.Place(request.param)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_it_trains_where_the_data_are(elsewhere, kind, solver):
    X, y = SCALED
    options = {"random_state": 0, "max_iter": 10, "batch_size": 30, "solver": solver}
    here = kind(hidden_layer_sizes=(6,), **options).fit(X.astype("float32"), y)
    X_there, y_there = elsewhere.asarray(X), elsewhere.asarray(y, elsewhere.index_dtype)
    there = kind(hidden_layer_sizes=(6,), **options).fit(X_there, y_there)
    assert elsewhere.holds(there.coefs_[0])
    predicted = there.predict(X_there)
    assert elsewhere.holds(predicted)
    if kind is MLPClassifier:
        assert (pnn.to_numpy(predicted) == here.predict(X.astype("float32"))).mean() > 0.98
        assert elsewhere.holds(there.predict_proba(X_there))
    else:
        np.testing.assert_allclose(pnn.to_numpy(predicted), here.predict(X.astype("float32")), rtol=2e-2, atol=2e-3)
        assert predicted.dtype == elsewhere.dtype


def test_early_stopping_elsewhere(elsewhere):
    X, y = elsewhere.asarray(SCALED[0]), SCALED[1]
    estimator = MLPClassifier((6,), early_stopping=True, max_iter=20, random_state=0).fit(X, y)
    assert len(estimator.validation_scores_) == estimator.n_iter_


def test_another_library_than_that_of_the_fit_is_an_error_that_says_how_to_move(elsewhere):
    X, y = SCALED[0].astype("float32"), SCALED[1]
    for estimator in (MLPClassifier((6,), max_iter=3), NetworkClassifier(small, epochs=1)):
        estimator.fit(X, y)
        with pytest.raises(ValueError, match=rf'that was numpy.*\.to\("{elsewhere.backend}"\)'):
            estimator.predict(elsewhere.asarray(X))
        moved = estimator.to(elsewhere.xp)
        assert elsewhere.holds(moved.predict(elsewhere.asarray(X)))
        np.testing.assert_array_equal(pnn.to_numpy(moved.predict(elsewhere.asarray(X))), estimator.predict(X))


def test_a_grid_search_finds_the_same_on_torch(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    X, y = SCALED[0].astype("float32"), SCALED[1]
    estimator = MLPClassifier(max_iter=60, learning_rate_init=0.02, random_state=0)
    grid = GridSearchCV(
        make_pipeline(StandardScaler(), estimator),
        {"mlpclassifier__hidden_layer_sizes": [(1,), (12,)], "mlpclassifier__alpha": [1e-4, 10.0]},
        cv=3,
    )
    here = clone(grid).fit(X, y)
    with sklearn.config_context(array_api_dispatch=True):
        there = clone(grid).fit(torch.asarray(X), torch.asarray(y))
        predicted = there.predict(torch.asarray(X))
    assert isinstance(predicted, torch.Tensor)
    assert there.best_params_ == here.best_params_
    np.testing.assert_allclose(there.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"], atol=0.02)


# Conversions and wrappers.


@pytest.mark.parametrize("problem", PROBLEMS)
def test_weights_go_to_theirs_and_back(problem):
    kind, (X, y), options = PROBLEMS[problem]
    theirs = THEIRS[kind](hidden_layer_sizes=(6,), max_iter=5, random_state=0, **options).fit(X, y)
    ours = from_sklearn(theirs)
    assert type(ours) is kind
    np.testing.assert_allclose(
        ours.predict(X) if kind is MLPRegressor else ours.predict_proba(X),
        theirs.predict(X) if kind is MLPRegressor else theirs.predict_proba(X),
        rtol=1e-9,
    )
    back = to_sklearn(ours)
    assert back.get_params() == theirs.get_params()
    np.testing.assert_array_equal(back.predict(X), theirs.predict(X))


def test_what_theirs_cannot_be_is_an_error():
    X, y = SCALED
    with pytest.raises(ValueError, match="scikit-learn has no activation 'gelu'"):
        to_sklearn(MLPClassifier((3,), activation="gelu", max_iter=1).fit(X, y))
    with pytest.raises(ValueError, match="scikit-learn has no loss SoftmaxWithLoss"):
        to_sklearn(MLPClassifier((3,), loss=pnn.SoftmaxWithLoss(), max_iter=1).fit(X, y))
    with pytest.raises(TypeError, match="of scikit-learn is needed, got StandardScaler"):
        from_sklearn(StandardScaler())
    with pytest.raises(NotFittedError):
        from_sklearn(neural_network.MLPClassifier())


def small(inputs, outputs):
    return pnn.Sequential(pnn.Affine(inputs, 16), pnn.ReLU(), pnn.Affine(16, outputs))


def test_any_network_is_an_estimator():
    X, y = SCALED
    names = np.array(["a", "b", "c"])[y]
    options = {"epochs": 30, "random_state": 0, "optimizer": pnn.Adam(0.02)}
    classifier = NetworkClassifier(small, validation_split=0.2, **options).fit(X, names)
    assert classifier.score(X, names) > 0.93
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1.0)
    assert len(classifier.history_["val_loss"]) == 30
    network = small(4, 3)
    same = NetworkClassifier(network, **options).fit(X, y)
    again = clone(same).fit(X, y)
    np.testing.assert_array_equal(same.predict_proba(X), again.predict_proba(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(same)).predict(X), same.predict(X))
    labels = NetworkClassifier(small, **options).fit(*LABELS)
    assert labels.predict(LABELS[0]).shape == LABELS[1].shape
    regressor = NetworkRegressor(small, **options).fit(SEVERAL[0], SEVERAL[1] / 100)
    assert regressor.score(SEVERAL[0], SEVERAL[1] / 100) > 0.8
    assert NetworkRegressor(small, **options).fit(NUMBERS[0], NUMBERS[1]).predict(NUMBERS[0]).shape == (60,)


def test_warnings_are_theirs():
    for kind in (MLPClassifier, neural_network.MLPClassifier):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kind(hidden_layer_sizes=(3,), max_iter=1, batch_size=1000).fit(*SCALED)
        texts = [str(each.message).replace("\n", " ") for each in caught]
        assert any("clipped" in text for text in texts)
        assert any("Maximum iterations (1) reached" in text for text in texts)
        assert any(issubclass(each.category, ConvergenceWarning) for each in caught)
