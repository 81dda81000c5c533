"""What callbacks are told of each update, and what they may do to gradients, in trainers and estimators alike."""

import itertools

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3)).astype("float32")
T = (X[:, 0] > 0).astype("int64")


def network(xp):
    place = xp.place
    layers = pnn.Affine(3, 4), pnn.Dropout(0.2), pnn.Affine(4, 2)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=place.xp, device=place.device)


def fit(network, optimizer, *callbacks, **options):
    options = {"epochs": 2, "batch_size": 16, "progress": False} | options
    return pnn.Trainer(network, optimizer).fit(X, T, callbacks=callbacks, **options)


class Batches(pnn.Callback):
    """Writes down the losses of all batches."""

    def __init__(self):
        self.seen = []

    def on_batch(self, trainer, step, record):
        self.seen.append((step, float(record["loss"])))


class Double(pnn.Callback):
    """Doubles the gradients of weights."""

    def on_gradients(self, trainer, gradients):
        return {name: 2.0 * gradient for name, gradient in gradients.items() if name.endswith("W")}


def test_on_batch_sees_every_update(xp):
    batches = Batches()
    history = fit(network(xp), pnn.SGD(0.1), batches)
    assert [step for step, _ in batches.seen] == [1, 2, 3] * 2
    for epoch in range(2):
        losses = [loss for _, loss in batches.seen[3 * epoch : 3 * epoch + 3]]
        assert history["loss"][epoch] == pytest.approx(np.average(losses, weights=[16, 16, 8]), rel=1e-5)
    # Who only watches changes nothing.
    assert history["loss"] == pytest.approx(fit(network(xp), pnn.SGD(0.1))["loss"], rel=1e-6)


def test_on_gradients_replaces_gradients(xp):
    changed, reference = network(xp), network(xp)
    fit(changed, pnn.SGD(0.1), Double(), epochs=1, batch_size=40, shuffle=False)
    start = {name: to_numpy(array) for name, array in network(xp).parameters.items()}
    grads = {name: to_numpy(array) for name, array in reference.gradient(X, T).items()}
    for name, array in changed.parameters.items():
        factor = 2.0 if name.endswith("W") else 1.0
        np.testing.assert_allclose(to_numpy(array), start[name] - 0.1 * factor * grads[name], rtol=1e-5, atol=1e-7)


def test_gradients_are_changed_before_they_are_clipped(xp):
    class Huge(pnn.Callback):
        def on_gradients(self, trainer, gradients):
            return {name: 1e3 * gradient for name, gradient in gradients.items()}

    net = network(xp)
    before = [to_numpy(array).copy() for array in net.arrays()]
    fit(net, pnn.SGD(1.0, clip_norm=0.01), Huge(), epochs=1, batch_size=40)
    moved = [to_numpy(array) - old for array, old in zip(net.arrays(), before, strict=True)]
    assert np.sqrt(sum((part**2).sum() for part in moved)) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("returned", "error", "words"),
    [({"9.W": X}, KeyError, "returned '9.W'"), ({"0.W": X}, pnn.ShapeError, r"shape \(3, 4\) for 0.W, got \(40, 3\)")],
)
def test_gradients_that_do_not_fit_are_refused(returned, error, words):
    class Wrong(pnn.Callback):
        def on_gradients(self, trainer, gradients):
            return returned

    net = pnn.Sequential(pnn.Affine(3, 4), pnn.Affine(4, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    with pytest.raises(error, match=words):
        fit(net, pnn.SGD(0.1), Wrong())


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators_tell_the_same():
    pytest.importorskip("sklearn")
    from portable_nn.adapters.sklearn import MLPClassifier, NetworkClassifier

    batches, double = Batches(), Double()
    MLPClassifier((4,), max_iter=2, batch_size=16, tol=0.0, callbacks=[batches, double], n_iter_no_change=100).fit(X, T)
    assert len(batches.seen) == 6
    told = []

    class Shared(pnn.Callback):  # each fit gets a copy of it
        def on_batch(self, trainer, step, record):
            told.append(step)

    layers = pnn.Affine(3, 4), pnn.Affine(4, 2)
    net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0)
    NetworkClassifier(net, epochs=2, batch_size=16, callbacks=[Shared()]).fit(X, T)
    assert told == [1, 2, 3] * 2


class Freeze(pnn.Callback):
    """Freezes or unfreezes a layer after the second epoch, and writes its weights down after each."""

    def __init__(self, change):
        self.change, self.seen = change, []

    def on_epoch(self, trainer, epoch, record):
        self.seen.append(to_numpy(trainer.network.parameters["0.W"]).copy())
        if epoch == 2:
            getattr(trainer.network, self.change)("0")


@pytest.mark.parametrize("change", ["freeze", "unfreeze"])
@pytest.mark.parametrize("recoveries", [0, 1])
def test_freezing_acts_from_the_next_epoch_on(xp, change, recoveries):
    net, watch = network(xp), Freeze(change)
    if change == "unfreeze":
        net.freeze("0")
    fit(net, pnn.Momentum(0.1), watch, epochs=4, recoveries=recoveries)
    moved = [not np.array_equal(a, b) for a, b in itertools.pairwise(watch.seen)]
    assert moved == ([True, False, False] if change == "freeze" else [False, True, True])


def test_unfreezing_with_adam_says_what_to_do():
    net = pnn.Sequential(pnn.Affine(3, 4), pnn.Affine(4, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    net.freeze("0")
    with pytest.raises(ValueError, match="after unfreezing parameters, go on with a new optimizer"):
        fit(net, pnn.Adam(0.1), Freeze("unfreeze"), epochs=4)
