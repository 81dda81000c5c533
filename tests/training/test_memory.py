"""What a fit holds: weights, one copy of them, gradients, slots and one batch of activations."""

import itertools
import tracemalloc

import numpy as np
import pytest

import portable_nn as pnn

WIDTHS = 784, 2048, 2048, 10


def network(widths=WIDTHS, seed=0):
    layers = [part for i, o in itertools.pairwise(widths) for part in (pnn.Affine(i, o), pnn.ReLU())]
    return pnn.Sequential(*layers[:-1], loss=pnn.SoftmaxWithLoss(), seed=seed)


def fit(net, compile, optimizer, **options):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((320, net.layers[0].inputs)).astype("float32"), rng.integers(0, 10, 320)
    options = {"epochs": 3, "batch_size": 32, "progress": False} | options
    return pnn.Trainer(net, optimizer, compile=compile).fit(x, t, **options)


def peak(compile, optimizer, **options):
    """Return the largest memory that was held at once, over that of the weights."""
    fit(network((50, 1100, 10)), compile, type(optimizer)(), epochs=1)  # imports and compilers are warm
    tracemalloc.start()
    try:
        net = network()
        fit(net, compile, optimizer, **options)
        size = sum(array.nbytes for array in net.arrays())
        return tracemalloc.get_traced_memory()[1] / size
    finally:
        tracemalloc.stop()


BATCH = 0.1
"""Of the weights' size: the activations of a batch of 32 and what belongs to them."""


@pytest.mark.parametrize("compile", [False, "auto"])
def test_adam_holds_five_times_the_weights(compile):
    assert peak(compile, pnn.Adam()) <= (5 + BATCH) * 1.15


def test_sgd_holds_three_times_the_weights():
    assert peak(False, pnn.SGD()) <= (3 + BATCH) * 1.15


def test_an_explosion_in_the_last_update_of_an_epoch_does_not_take_the_copy_with_it():
    net, start = network((4, 3)), network((4, 3)).arrays()
    x, t = np.random.default_rng(0).standard_normal((32, 4)).astype("float32"), np.arange(32) % 3
    trainer = pnn.Trainer(net, pnn.SGD(lambda step: 1e12 if step == 7 else 0.01))
    with pytest.raises(pnn.DivergenceError, match="the network has its earlier weights"):
        trainer.fit(x, t, epochs=20, batch_size=4, progress=False, loss_limit=1e3)
    for array, before in zip(net.arrays(), start, strict=True):
        assert np.abs(array - before).max() < 1


def test_after_a_divergence_training_goes_on_with_a_lower_rate(xp):
    place = xp.place
    net = pnn.Sequential(pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), seed=0, xp=place.xp, device=place.device)
    x, t = np.random.default_rng(0).standard_normal((32, 4)).astype("float32"), np.arange(32) % 3
    trainer = pnn.Trainer(net, pnn.Adam(lambda step: 1e38 if 12 <= step < 20 else 0.01))
    with pytest.raises(pnn.DivergenceError):
        trainer.fit(x, t, epochs=5, batch_size=4, progress=False)
    trainer.optimizer.lr = 0.01
    losses = trainer.fit(x, t, epochs=30, batch_size=4, progress=False)["loss"]
    assert losses[-1] < losses[0]


def test_what_a_callback_has_seen_stays_as_it_was(xp):
    class Seen(pnn.Callback):
        def __init__(self):
            self.arrays = []

        def on_epoch(self, trainer, epoch, record):
            array = trainer.network.parameters["0.W"]
            self.arrays.append((array, pnn.to_numpy(array).copy()))

    place, seen = xp.place, Seen()
    net = pnn.Sequential(pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), seed=0, xp=place.xp, device=place.device)
    x, t = np.random.default_rng(0).standard_normal((32, 4)).astype("float32"), np.arange(32) % 3
    pnn.Trainer(net, pnn.Adam(0.1)).fit(x, t, epochs=4, progress=False, callbacks=[seen])
    for array, copied in seen.arrays:
        np.testing.assert_array_equal(pnn.to_numpy(array), copied)
