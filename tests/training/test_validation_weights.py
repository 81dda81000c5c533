"""Samples to validate with that have weights, against means written in NumPy."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1100, 4)).astype("float32")  # more than are evaluated at a time
T = (X[:, 0] + X[:, 1] > 0).astype(int)
WEIGHT = RNG.uniform(0.0, 3.0, 1100).astype("float32")
MANY = (X[:, :2] > 0.3).astype("float32")


def network(loss, outputs, xp="numpy"):
    return pnn.Sequential(pnn.Affine(4, 6), pnn.Tanh(), pnn.Affine(6, outputs), loss=loss, seed=0, xp=xp)


def fit(net, *data, **options):
    return pnn.Trainer(net).fit(*data, progress=False, **{"epochs": 2, "batch_size": 400} | options)


def log_softmax(y):
    return y - np.log(np.exp(y).sum(axis=1, keepdims=True))


def expected_of_classes(y, t=T, weight=WEIGHT):
    losses, right = -log_softmax(y)[np.arange(len(t)), t], y.argmax(axis=1) == t
    return np.average(losses, weights=weight), np.average(right, weights=weight)


def outputs(net, x=X):
    return to_numpy(pnn.Trainer(net).predict(net.place.asarray(x))).astype(float)


@pytest.mark.parametrize("as_stream", [False, True])
def test_losses_and_accuracies_of_classes_are_weighted(xp, as_stream):
    net = network(pnn.SoftmaxWithLoss(), 2, xp)
    own = [(X[i : i + 64], T[i : i + 64], WEIGHT[i : i + 64]) for i in range(0, 1100, 64)]
    history = fit(net, X[:200], T[:200], validation_data=own if as_stream else (X, T, WEIGHT))
    loss, accuracy = expected_of_classes(outputs(net))
    np.testing.assert_allclose(history["val_loss"][-1], loss, rtol=1e-5)
    np.testing.assert_allclose(history["val_accuracy"][-1], accuracy, rtol=1e-5)
    assert abs(accuracy - net.accuracy(net.place.asarray(X), T)) > 1e-3
    scores = pnn.Trainer(net).evaluate(own) if as_stream else pnn.Trainer(net).evaluate(X, T, sample_weight=WEIGHT)
    assert scores == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}


def test_answers_of_one_sample_have_its_weight(xp):
    net = network(pnn.SigmoidWithLoss(), 2, xp)
    history = fit(net, X, MANY, validation_data=(X, MANY, WEIGHT))
    y = outputs(net)
    losses, right = np.logaddexp(0, y) - MANY * y, (y > 0) == (MANY > 0.5)
    np.testing.assert_allclose(history["val_loss"][-1], np.average(losses.mean(axis=1), weights=WEIGHT), rtol=1e-5)
    np.testing.assert_allclose(history["val_accuracy"][-1], np.average(right.mean(axis=1), weights=WEIGHT), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses_of_numbers_are_weighted(reduction):
    net = network(pnn.MeanSquaredError(reduction), 1)
    history = fit(net, X, X[:, :1], validation_data=[X, X[:, :1], WEIGHT])
    squares = ((outputs(net) - X[:, :1]) ** 2)[:, 0] @ WEIGHT
    np.testing.assert_allclose(
        history["val_loss"][-1], squares / (WEIGHT.sum() if reduction == "mean" else 1), rtol=1e-5
    )
    assert "val_accuracy" not in history


def test_the_part_that_is_split_off_keeps_its_weights():
    net = network(pnn.SoftmaxWithLoss(), 2)
    history = fit(net, X, T, sample_weight=WEIGHT, validation_split=0.3)
    _, kept = pnn.training.samples.split(1100, 0.3, 0)
    loss, accuracy = expected_of_classes(outputs(net, X[kept]), T[kept], WEIGHT[kept])
    np.testing.assert_allclose(history["val_loss"][-1], loss, rtol=1e-5)
    np.testing.assert_allclose(history["val_accuracy"][-1], accuracy, rtol=1e-5)


def test_lists_and_no_weights_are_taken():
    whole = fit(network(pnn.SoftmaxWithLoss(), 2), X, T, validation_data=(X[:9].tolist(), T[:9].tolist(), [1] * 9))
    plain = fit(network(pnn.SoftmaxWithLoss(), 2), X, T, validation_data=(X[:9], T[:9], None))
    np.testing.assert_allclose(whole["val_loss"], plain["val_loss"], rtol=1e-6)
    assert whole["val_accuracy"] == plain["val_accuracy"]


def test_weights_that_are_all_zero_change_nothing():
    history = fit(network(pnn.SoftmaxWithLoss(), 2), X, T, validation_data=(X, T, 0 * WEIGHT))
    assert history["val_loss"] == history["val_accuracy"] == [0, 0]


@pytest.mark.parametrize(
    ("weight", "error", "words"),
    [(WEIGHT[1:], pnn.ShapeError, r"needs shape \(1100,\)"), (-WEIGHT, pnn.LabelError, "weights of at least 0")],
)
def test_bad_weights_are_refused_and_say_whose_they_are(weight, error, words):
    with pytest.raises(error, match=words) as caught:
        fit(network(pnn.SoftmaxWithLoss(), 2), X, T, validation_data=(X, T, weight))
    assert caught.value.__notes__ == ["in validation_data"]


def test_an_iterable_brings_its_weights():
    with pytest.raises(ValueError, match="an iterable of batches brings its weights itself"):
        pnn.Trainer(network(pnn.SoftmaxWithLoss(), 2)).evaluate([(X, T)], sample_weight=WEIGHT)


class Unweighted(pnn.MeanSquaredError):
    def targets(self, shape, t, place, sample_weight=None):
        return super().targets(shape, t, place)[0], None


def test_weights_that_a_loss_would_ignore_are_refused():
    net = network(Unweighted(), 1)
    for options in ({"sample_weight": WEIGHT}, {"validation_data": (X, X[:, :1], WEIGHT)}):
        with pytest.raises(ValueError, match="Unweighted takes no sample weights"):
            fit(net, X, X[:, :1], **options)
    assert len(fit(net, X, X[:, :1], validation_data=(X, X[:, :1]))["val_loss"]) == 2


def test_other_weights_are_another_run(tmp_path):
    fit(network(pnn.SoftmaxWithLoss(), 2), X, T, validation_data=(X, T, WEIGHT), checkpoint=tmp_path)
    with pytest.raises(ValueError, match="validation data"):
        fit(
            network(pnn.SoftmaxWithLoss(), 2), X, T,
            validation_data=(X, T, WEIGHT + 1), checkpoint=tmp_path, resume=True, epochs=3,
        )  # fmt: skip
