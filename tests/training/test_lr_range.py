"""The learning-rate range test leaves everything as it is, and finds where the loss falls."""

import copy
import math

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import to_numpy
from portable_nn.training import LRRange

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 5)).astype("float32")
T = (X @ RNG.standard_normal((5, 3))).argmax(1)


def network(xp="numpy", device=None):
    layers = pnn.Affine(5, 8), pnn.BatchNorm(8), pnn.ReLU(), pnn.Dropout(0.1), pnn.Affine(8, 3)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp, device=device)


def test_nothing_is_changed(xp):
    trainers = []
    for tested in (True, False):
        net = network(xp.place.xp, xp.place.device)
        trainer = pnn.Trainer(net, pnn.Adam(0.01))
        trainer.fit(X, T, epochs=2, batch_size=30, progress=False)
        if tested:
            history, state, position = trainer.history, copy.deepcopy(trainer.optimizer.steps), net.stream.position
            arrays = net.arrays()
            before = [to_numpy(array).copy() for array in arrays]
            found = pnn.lr_range_test(trainer, X, T, batch_size=30, steps=20, progress=False)
            assert all(one is other for one, other in zip(net.arrays(), arrays, strict=True))
            for array, due in zip(arrays, before, strict=True):
                np.testing.assert_array_equal(to_numpy(array), due)
            assert (trainer.history, trainer.optimizer.steps, net.stream.position) == (history, state, position)
            assert (trainer.epochs, trainer.optimizer.lr, trainer.optimizer.lr_scale) == (2, 0.01, 1.0)
            assert 2 <= len(found.losses) <= 20
        trainer.fit(X, T, epochs=1, batch_size=30, progress=False)
        trainers.append(trainer)
    assert trainers[0].history["loss"] == trainers[1].history["loss"]


def test_rates_rise_by_one_factor_and_losses_are_those_of_such_a_run():
    found = pnn.lr_range_test(
        pnn.Trainer(network(), pnn.SGD(99.0)), X, T, start=1e-4, end=1e-1, steps=7, batch_size=30, progress=False
    )
    np.testing.assert_allclose(found.lrs, np.geomspace(1e-4, 1e-1, 7))

    losses = []

    class Note(pnn.Callback):
        def on_batch(self, trainer, step, record):
            losses.append(float(record["loss"]))

    rates = np.geomspace(1e-4, 1e-1, 7).tolist()
    optimizer = pnn.SGD(lambda step: rates[min(step, 6)])
    pnn.Trainer(network(), optimizer).fit(X, T, epochs=3, batch_size=30, callbacks=[Note()], progress=False)
    np.testing.assert_allclose(found.losses, losses[:7], rtol=1e-6)


def test_a_quadratic_suggests_a_rate_between_none_and_too_much():
    # the mean of (x w - t)^2 with x of variance 1 blows up from the rate 1 on
    x = RNG.standard_normal((4000, 1))
    net = pnn.Sequential(pnn.Affine(1, 1), loss=pnn.MeanSquaredError(), seed=0, dtype="float64")
    found = pnn.lr_range_test(pnn.Trainer(net, pnn.SGD()), x, 3.0 * x + 1.0, start=1e-5, progress=False)
    assert 0.01 < found.suggestion < 0.5
    assert 1.0 < found.lrs[-1] < 10.0  # and ends soon after
    assert all(map(math.isfinite, found.losses))


def test_iterables_weights_and_short_data():
    batches = [(X[i : i + 30], T[i : i + 30]) for i in (0, 30, 60)]
    trainer = pnn.Trainer(network())
    one = pnn.lr_range_test(trainer, batches, steps=10, end=1e-3, progress=False)
    assert len(one.losses) == 10
    weighted = pnn.lr_range_test(trainer, X[:7], T[:7], sample_weight=np.ones(7), steps=10, end=1e-3, progress=False)
    assert len(weighted.losses) == 10


def test_a_loss_that_never_falls_suggests_nothing():
    found = LRRange([1e-3, 1e-2, 1e-1], [1.0, 2.0, 3.0])
    assert math.isnan(found.suggestion)
    found.plot()


def test_the_suggestion_is_on_the_slope_and_not_in_noise_before_it():
    lrs = np.geomspace(1e-6, 1.0, 150)
    decades = np.log10(lrs)
    losses = 2.0 - np.clip(decades + 4.0, 0.0, 2.0) / 2.0 + np.maximum(decades + 1.0, 0.0)  # they fall to 1e-2
    for seed in range(20):
        noise = np.random.default_rng(seed).exponential(0.5, size=150)  # of batches with few or no samples of a class
        found = LRRange(lrs.tolist(), (losses + noise).tolist())
        assert 3e-5 < found.suggestion < 3e-2


def test_a_first_batch_without_samples_of_a_rare_class_ends_nothing():
    rare = [(X[:30], np.zeros(30)), *[(X[:30], np.arange(30) < 3)] * 5]
    net = pnn.Sequential(pnn.Affine(5, 1), loss=pnn.SigmoidWithLoss(pos_weight=90.0), seed=0)
    found = pnn.lr_range_test(pnn.Trainer(net), rare, steps=40, end=1e-3, progress=False)
    assert found.losses[1] > 6.0 * found.losses[0]
    assert len(found.losses) == 40


def test_the_picture_and_the_text(tmp_path):
    pytest.importorskip("matplotlib")
    found = pnn.lr_range_test(pnn.Trainer(network()), X, T, batch_size=30, steps=60, progress=False)
    figure = found.plot(tmp_path / "rates.png")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert f"suggestion: {found.suggestion:.2g}" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert (tmp_path / "rates.png").stat().st_size > 10_000
    assert f"suggestion={found.suggestion:.3g}" in repr(found)


def test_progress_is_shown(capsys, monkeypatch):
    pnn.lr_range_test(pnn.Trainer(network()), X, T, batch_size=30, steps=5)
    capsys.readouterr()


MISTAKES = {
    "no trainer": (lambda: pnn.lr_range_test(network(), X, T), TypeError, "needs a Trainer"),
    "start": (lambda: pnn.lr_range_test(pnn.Trainer(network()), X, T, start=0.0), ValueError, "0 < start < end"),
    "end": (lambda: pnn.lr_range_test(pnn.Trainer(network()), X, T, end=1e-9), ValueError, "0 < start < end"),
    "steps": (lambda: pnn.lr_range_test(pnn.Trainer(network()), X, T, steps=1), ValueError, "steps"),
    "x": (lambda: pnn.lr_range_test(pnn.Trainer(network()), X[:5], T), pnn.ShapeError, "."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(mistake):
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        call()
