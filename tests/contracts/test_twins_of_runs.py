"""What users write goes through whole runs as ours does: schedules, callbacks, random layers, resumed, in threads."""

import copy
import threading

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import copies, to_numpy
from portable_nn.random import KeyStream

pytestmark = pytest.mark.filterwarnings("ignore:steps with .* run uncompiled")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 3)).astype("float32")
T = (X[:, 0] > 0).astype("int64")


class MyDropout(pnn.Layer):
    """The double of Dropout."""

    options = ("rate",)
    is_random = True

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward_pass(self, run, params, x):
        if not run.training:
            return x, None
        mask = run.kernels.dropout_mask(x, self.rate, *run.next_key())
        return x * mask, mask

    def backward_pass(self, run, params, saved, dy):
        return dy * saved, {}


class MyPlateau:
    """The double of ReduceOnPlateau(lr, factor=0.5, patience=0, threshold=0)."""

    def __init__(self, lr):
        self.lr = lr
        self.rate, self.best = lr, float("inf")

    def __call__(self, step):
        return self.rate

    def observe(self, value):
        self.rate *= 1.0 if value < self.best else 0.5
        self.best = min(self.best, value)

    def state(self):
        return [self.rate, self.best]

    def restore(self, state):
        self.rate, self.best = state


class MyEarlyStopping(pnn.Callback):
    """The double of EarlyStopping(patience, monitor="loss")."""

    def __init__(self, patience):
        self.patience = patience

    def on_start(self, trainer):
        self.best, self.epoch, self.weights = float("inf"), 0, []

    def on_epoch(self, trainer, epoch, record):
        if record["loss"] < self.best:
            self.best, self.epoch, self.weights = record["loss"], epoch, copies(trainer.network.arrays())
        elif epoch - self.epoch >= self.patience:
            trainer.stop("enough")

    def on_end(self, trainer):
        if self.epoch:
            trainer.network.set_arrays(self.weights)

    def state(self):
        return [self.best, self.epoch], self.weights

    def restore(self, trainer, numbers, arrays):
        self.best, self.epoch = numbers
        self.weights = [trainer.network.place.asarray(array) for array in arrays]


def network(xp, dropout=pnn.Dropout):
    place = xp.place
    layers = pnn.Affine(3, 16), pnn.ReLU(), dropout(0.3), pnn.Affine(16, 2)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=place.xp, device=place.device)


def fit(trainer, **options):
    options = {"epochs": 8, "batch_size": 16, "progress": False} | options
    return trainer.fit(X, T, **options)


def plateau():
    return pnn.ReduceOnPlateau(0.5, factor=0.5, patience=0, threshold=0.0)


def test_dropout_draws_the_same_masks(xp):
    ours = fit(pnn.Trainer(network(xp), pnn.SGD(0.5)))["loss"]
    theirs = fit(pnn.Trainer(network(xp, MyDropout), pnn.SGD(0.5)))["loss"]
    np.testing.assert_allclose(theirs, ours, rtol=1e-5)
    assert len(set(ours)) == len(ours)


def test_a_schedule_observes(xp):
    ours = fit(pnn.Trainer(network(xp), pnn.SGD(plateau())), epochs=12)
    theirs = fit(pnn.Trainer(network(xp), pnn.SGD(MyPlateau(0.5))), epochs=12)
    assert ours["lr"][-1] < 0.5
    assert theirs["lr"] == ours["lr"]
    assert theirs["loss"] == ours["loss"]


def test_early_stopping_stops_and_restores(xp):
    ours, theirs = network(xp), network(xp)
    reference = fit(pnn.Trainer(ours, pnn.SGD(2.0)), epochs=40, callbacks=[pnn.EarlyStopping(2, monitor="loss")])
    history = fit(pnn.Trainer(theirs, pnn.SGD(2.0)), epochs=40, callbacks=[MyEarlyStopping(2)])
    assert history["loss"] == reference["loss"]
    assert len(history["loss"]) < 40
    for a, b in zip(theirs.arrays(), ours.arrays(), strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))


def made(xp):
    trainer = pnn.Trainer(network(xp, MyDropout), pnn.Adam(MyPlateau(0.05)))
    return trainer, {"callbacks": [MyEarlyStopping(30)]}


def test_a_run_of_ones_own_parts_is_resumed_to_the_bit(xp, tmp_path):
    trainer, options = made(xp)
    whole = fit(trainer, epochs=10, **options)["loss"]
    for epochs in (4, 7, 10):
        again, options = made(xp)
        history = fit(again, epochs=epochs, checkpoint=tmp_path / "run", resume=True, **options)["loss"]
    assert history == whole
    for a, b in zip(again.network.arrays(), trainer.network.arrays(), strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))


def test_a_schedule_that_a_checkpoint_cannot_keep_is_refused(xp, tmp_path):
    class Forgetful:
        def __call__(self, step):
            return 0.1

        def observe(self, value):
            pass

    with pytest.raises(TypeError, match=r"Forgetful observes: a checkpoint needs its methods state\(\)"):
        fit(pnn.Trainer(network(xp), pnn.SGD(pnn.WarmUp(Forgetful(), steps=2))), checkpoint=tmp_path / "run")
    fit(pnn.Trainer(network(xp), pnn.SGD(Forgetful())))


def test_a_trainer_and_its_copy_in_two_threads(xp):
    trainer, options = made(xp)
    fit(trainer, epochs=2, **options)
    expected = fit(copy.deepcopy(trainer), epochs=6)["loss"]
    trainers, losses = [copy.deepcopy(trainer) for _ in range(2)], {}

    def run(i):
        losses[i] = fit(trainers[i], epochs=6)["loss"]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert losses[0] == losses[1] == expected


def test_a_stream_gives_no_key_twice_to_threads():
    stream, keys, lock = KeyStream(0), [], threading.Lock()

    def take():
        mine = [stream.next() for _ in range(500)]
        with lock:
            keys.extend(mine)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == len(keys) == 4000


def my_he(rng, shape):
    return np.sqrt(2.0 / shape[0]) * rng.standard_normal(shape)


def test_an_initializer(xp):
    place = {"xp": xp.place.xp, "device": xp.place.device, "seed": 0}
    ours = pnn.Affine(3, 4, W=pnn.initializers.he_normal(), **place)
    theirs = pnn.Affine(3, 4, W=my_he, **place)
    np.testing.assert_array_equal(to_numpy(theirs.params["W"]), to_numpy(ours.params["W"]))


@pytest.mark.parametrize("value", [np.zeros(4), 1.0, np.zeros((4, 3))])
def test_an_initializer_of_another_shape_is_refused(xp, value):
    with pytest.raises(pnn.ShapeError, match=r"asked for shape \(3, 4\), and returned"):
        pnn.Affine(3, 4, W=lambda rng, shape: value, xp=xp.place.xp, device=xp.place.device)


def test_the_name_of_an_initializer_is_refused():
    with pytest.raises(TypeError, match="a function of a generator and a shape, got 'he_normal'"):
        pnn.Affine(3, 4, W="he_normal")
