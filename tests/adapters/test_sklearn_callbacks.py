"""The callbacks and schedules of a trainer, in the perceptrons."""

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.9")

import portable_nn as pnn
from portable_nn.adapters.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
Y = (X[:, 0] + 0.3 * RNG.normal(size=120) > 0).astype(int)
KINDS = [MLPClassifier, MLPRegressor]


@pytest.mark.parametrize("kind", KINDS)
def test_early_stopping_of_a_trainer_ends_a_fit_and_restores_the_best_weights(kind):
    class Weights(pnn.Callback):
        def on_start(self, trainer):
            self.seen = []

        def on_epoch(self, trainer, epoch, record):
            self.seen.append((record["val_loss"], trainer.network.arrays()[0].copy()))
            assert trainer.epochs == epoch
            assert len(trainer.history.get("loss", [])) == epoch - 1
            assert trainer.optimizer.steps > 0

        def on_end(self, trainer):
            self.history = trainer.history

    weights = Weights()
    options = {"early_stopping": True, "n_iter_no_change": 1000, "learning_rate_init": 0.3, "random_state": 0}
    estimator = kind(hidden_layer_sizes=(20,), callbacks=[weights, pnn.EarlyStopping(2)], **options).fit(X, Y)
    losses = [loss for loss, _ in weights.seen]
    best = int(np.argmin(losses))
    assert estimator.n_iter_ == len(losses) == best + 3 < 200
    np.testing.assert_array_equal(estimator.coefs_[0], weights.seen[best][1])
    assert weights.history.best_epoch == best + 1
    assert weights.history.stopped == "val_loss has not improved for 2 epochs"
    assert weights.history["loss"] == estimator.loss_curve_
    assert weights.history["val_loss"] == losses


@pytest.mark.parametrize("kind", KINDS)
def test_early_stopping_without_anything_to_watch_is_an_error(kind):
    with pytest.raises(ValueError, match="EarlyStopping watches 'val_loss'"):
        kind(callbacks=[pnn.EarlyStopping(2)]).fit(X, Y)
    stopping = pnn.EarlyStopping(2, monitor="loss", min_delta=10.0)
    assert kind(callbacks=[stopping]).fit(X, Y).n_iter_ == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_falls_on_a_plateau(kind):
    schedule = pnn.ReduceOnPlateau(0.01, factor=0.5, patience=0, threshold=10.0)

    class Rates(pnn.Callback):
        def on_start(self, trainer):
            self.rates = []

        def on_epoch(self, trainer, epoch, record):
            self.rates.append((record["lr"], trainer.optimizer.lr))

    rates = Rates()
    kind(optimizer=pnn.Adam(schedule), callbacks=[rates], max_iter=4, tol=0.0, random_state=0).fit(X, Y)
    # The first epoch is an improvement over nothing; each that follows is none.
    assert rates.rates == [(0.01, 0.01), (0.01, 0.005), (0.005, 0.0025), (0.0025, 0.00125)]
    assert schedule.lr == 0.01


def test_a_plateau_is_one_of_the_validation_loss_where_there_is_one():
    seen = []

    class Observing(pnn.ReduceOnPlateau):
        def observe(self, value):
            seen.append(value)

        def __deepcopy__(self, memo):
            return self

    class Losses(pnn.Callback):
        def on_start(self, trainer):
            self.losses = []

        def on_epoch(self, trainer, epoch, record):
            self.losses.append(record["val_loss"])

    losses = Losses()
    MLPClassifier(optimizer=pnn.Adam(Observing(0.01)), early_stopping=True, callbacks=[losses], max_iter=3).fit(X, Y)
    assert seen == losses.losses
    assert len(seen) == 3


def test_averages_of_the_weights_and_groups_work_in_estimators_too():
    class Each(pnn.Callback):
        def on_start(self, trainer):
            self.updates, self.epochs = [], []

        def on_batch(self, trainer, step, record):
            self.updates.append([pnn.to_numpy(p).copy() for p in trainer.network.arrays()])

        def on_epoch(self, trainer, epoch, record):
            self.epochs.append([pnn.to_numpy(p).copy() for p in trainer.network.arrays()])

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((90, 4)), rng.integers(0, 3, 90)
    optimizer = pnn.Momentum(0.1, groups={"*.b": {"frozen_until": 3}})
    callbacks = [each := Each(), pnn.EMA(0.9)]
    options = {"max_iter": 4, "batch_size": 30, "random_state": 0, "tol": 0.0}
    fitted = MLPClassifier((5,), optimizer=optimizer, callbacks=callbacks, **options).fit(X, y)
    average = each.updates[0]
    for number, update in enumerate(each.updates):
        average = [0.9 * a + 0.1 * w for a, w in zip(average, update, strict=True)]
        if number % 3 == 2:
            for found, expected in zip(each.epochs[number // 3], average, strict=True):
                np.testing.assert_allclose(found, expected, atol=1e-10)
    found = [fitted.coefs_[0], fitted.intercepts_[0], fitted.coefs_[1], fitted.intercepts_[1]]
    for one, expected in zip(found, average, strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-10)
    biases = [update[1] for update in each.updates]
    assert [bool(np.all(b == biases[0])) for b in biases] == [True] * 6 + [False] * 6
