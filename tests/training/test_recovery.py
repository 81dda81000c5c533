"""Training that goes back when the loss diverges, and errors in callbacks: nothing that was learnt is lost."""

import math
import signal
import warnings
from contextlib import contextmanager

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.storage.checkpoints import Checkpoints

RNG = np.random.default_rng(0)
X = RNG.standard_normal((320, 5)).astype("float32")
T = (X @ RNG.standard_normal((5, 1)).astype("float32")) + 0.01 * RNG.standard_normal((320, 1)).astype("float32")


def linear(xp="numpy"):
    return pnn.Sequential(pnn.Affine(5, 1), loss=pnn.MeanSquaredError(), seed=0, xp=xp)


def fit(trainer, x=X, t=T, **options):
    x = trainer.network.place.asarray(x)
    return trainer.fit(x, t, **{"epochs": 20, "batch_size": 4, "progress": False} | options)


@contextmanager
def told():
    """Collect what is warned of."""
    messages = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield messages
    messages += [str(warning.message) for warning in caught]
    assert all("going on from step" in message for message in messages)


def test_a_rate_that_is_too_high_is_halved_until_it_works(xp):
    # Gradient descent on squares diverges from 2 / (2 * largest eigenvalue of x^T x / N) on: about 1 here.
    trainer = pnn.Trainer(linear(xp), pnn.SGD(30.0))
    with told() as messages:
        history = fit(trainer, recoveries=20)
    assert "going on from step 0 with a learning rate of 15 instead of 30" in messages[0]
    assert trainer.optimizer.lr == 30.0 / 2 ** len(messages) < 1.0
    assert history["loss"][-1] < 1e-3  # the noise has 1e-4
    assert len(history["loss"]) == 20
    assert history["lr"][-1] == trainer.optimizer.lr
    assert max(history["lr"]) < 1.0  # the rate of the steps that count


def late(step):
    """Return a good rate, but for some updates late in the second epoch of 80."""
    return 40.0 if 140 <= step < 158 else 0.05


def test_it_goes_back_to_the_last_look_not_to_the_epochs_beginning():
    trainer = pnn.Trainer(linear(), pnn.SGD(late))
    with told() as messages:
        history = fit(trainer, epochs=2, recoveries=20, loss_limit=1e3)
    assert len(messages) > 2
    assert all("of epoch 2: going on from step 50 with" in message for message in messages)
    assert max(history["loss"]) < 10
    assert trainer.optimizer.steps == 160


@pytest.mark.parametrize(
    ("samples", "bad"), [(320, 49), (320, 79), (320, 129), (320, 159), (200, 49), (200, 99), (200, 149)]
)
def test_an_update_that_went_wrong_just_before_a_mark_is_not_gone_back_to(samples, bad):
    # 80 steps an epoch and a look after 50 of them; or 50, where the look and the end of the epoch are one point.
    steps = samples // 4
    trainer = pnn.Trainer(linear(), pnn.SGD(lambda step: 1e6 if step == bad else 0.05))
    with told() as messages:
        history = fit(trainer, X[:samples], T[:samples], epochs=5, recoveries=3, loss_limit=1e3)
    assert len(messages) == 1
    assert max(history["loss"]) < 10
    assert trainer.optimizer.steps == 5 * steps  # so that a schedule ends where it should


def test_weights_that_are_bad_only_in_validation_are_left_too():
    trainer = pnn.Trainer(linear(), pnn.SGD(lambda step: 1e25 if step == 49 else 0.05))
    with told() as messages:
        history = fit(trainer, X[:200], T[:200], epochs=3, recoveries=3, validation_data=(X, T))
    assert len(messages) == 1
    assert max(history["val_loss"]) < 100
    assert trainer.optimizer.steps == 150


def test_when_no_recovery_is_left_the_good_weights_stay():
    net = linear()
    with told() as messages, pytest.raises(pnn.DivergenceError, match=r"2 times before; the network has its earlier"):
        fit(pnn.Trainer(net, pnn.SGD(1e30)), recoveries=2)
    assert len(messages) == 2
    for array, start in zip(net.arrays(), linear().arrays(), strict=True):
        np.testing.assert_array_equal(array, start)


def test_without_recoveries_the_error_says_that_there_are_some():
    with pytest.raises(pnn.DivergenceError, match=r"or let training go back by itself with fit\(recoveries=...\)"):
        fit(pnn.Trainer(linear(), pnn.SGD(1e30)))


def test_a_loss_that_explodes_without_overflow_is_caught_by_the_limit():
    trainer = pnn.Trainer(linear(), pnn.SGD(1.2))
    with pytest.raises(pnn.DivergenceError, match=r"NaN, infinite or more than 1000 at step \d+ of epoch 1"):
        fit(trainer, loss_limit=1000.0)
    with told() as messages:
        history = fit(trainer, loss_limit=1000.0, recoveries=10)
    assert "more than 1000" in messages[0]
    assert max(history["loss"]) < 1000


def test_dropout_and_adam_go_back_too(xp):
    layers = pnn.Affine(5, 16), pnn.ReLU(), pnn.Dropout(0.1), pnn.Affine(16, 1)
    net = pnn.Sequential(*layers, loss=pnn.MeanSquaredError(), seed=0, xp=xp)
    trainer = pnn.Trainer(net, pnn.Adam(1e18))
    with told() as messages:
        history = fit(trainer, recoveries=80, epochs=2)
    assert messages
    assert np.isfinite(history["loss"]).all()
    assert trainer.optimizer.steps == 2 * 80
    assert net.stream.position == 2 * 80


@pytest.mark.parametrize(("stop", "kept"), [(30, 0), (50, 50), (66, 50), (77, 50), (79, 50)])
def test_an_interrupted_run_with_recoveries_ends_with_the_same_bits(stop, kept, tmp_path):
    def run(folder, stop=None, resume=False):
        trainer, stops = pnn.Trainer(linear(), pnn.SGD(late)), [stop]
        numbers = trainer.optimizer.numbers

        def interrupting():
            if trainer.optimizer.steps == 80 + (stops[0] or math.inf):
                stops[0] = None
                signal.raise_signal(signal.SIGINT)
            return numbers()

        trainer.optimizer.numbers = interrupting
        with told() as messages:
            fit(trainer, epochs=4, recoveries=20, checkpoint=folder, resume=resume)
        return trainer, messages

    whole, whole_messages = run(tmp_path / "whole")
    _, messages = run(tmp_path / "parts", stop)
    assert Checkpoints(tmp_path / "parts").newest().step == kept
    goes_on, more = run(tmp_path / "parts", resume=True)
    assert messages + more == whole_messages
    assert goes_on.history["loss"] == whole.history["loss"]
    assert goes_on.history["lr"] == whole.history["lr"]
    assert goes_on.optimizer.lr == whole.optimizer.lr
    for a, b in zip(goes_on.network.arrays(), whole.network.arrays(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recoveries": -1}, "recoveries to be a whole number of at least 0, got -1"),
        ({"recoveries": 1.5}, "recoveries to be a whole number of at least 0, got 1.5"),
        ({"loss_limit": math.nan}, "needs a number as loss_limit, got nan"),
        ({"loss_limit": "5"}, "needs a number as loss_limit, got '5'"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        fit(pnn.Trainer(linear()), **options)


class Remembers(pnn.Callback):
    """Keeps its memory in one list and one array, written in place."""

    def on_start(self, trainer):
        self.epochs, self.sums = [], np.zeros(1)

    def on_epoch(self, trainer, epoch, record):
        self.epochs.append(epoch)
        self.sums += epoch

    def state(self):
        return self.epochs, [self.sums]

    def restore(self, trainer, numbers, arrays):
        self.epochs, self.sums = numbers, np.array(arrays[0])


class Fails(pnn.Callback):
    """Fails after an epoch."""

    def __init__(self, epoch, error=ZeroDivisionError):
        self.epoch, self.error = epoch, error

    def on_epoch(self, trainer, epoch, record):
        if epoch == self.epoch:
            raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_an_error_in_a_callback_leaves_a_checkpoint_with_the_epochs_steps(error, tmp_path):
    def trainer():
        return pnn.Trainer(linear(), pnn.Adam(pnn.ReduceOnPlateau(0.01, patience=0)))

    def callbacks(epoch):
        return [pnn.EarlyStopping(monitor="loss", patience=99, restore_best=False), memory, Fails(epoch, error)]

    memory, whole = Remembers(), trainer()
    fit(whole, epochs=6, callbacks=callbacks(0))
    assert memory.epochs == [1, 2, 3, 4, 5, 6]
    with pytest.raises(error):
        fit(trainer(), epochs=6, callbacks=callbacks(4), checkpoint=tmp_path, every=100)
    state = Checkpoints(tmp_path).newest()
    assert (state.epoch, state.step) == (3, 80)
    goes_on = trainer()
    fit(goes_on, epochs=6, callbacks=callbacks(0), checkpoint=tmp_path, every=100, resume=True)
    assert (memory.epochs, memory.sums.tolist()) == ([1, 2, 3, 4, 5, 6], [21.0])
    assert goes_on.history["loss"] == whole.history["loss"]
    assert goes_on.history["lr"] == whole.history["lr"]
    for a, b in zip(goes_on.network.arrays(), whole.network.arrays(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_error_while_validating_leaves_one_too(tmp_path):
    def failing(epoch):
        yield X, T
        raise OSError("gone")

    with pytest.raises(OSError, match="gone") as raised:
        fit(pnn.Trainer(linear()), epochs=2, checkpoint=tmp_path, validation_data=failing)
    assert raised.value.__notes__ == ["in batch 1", "while evaluating"]
    assert (state := Checkpoints(tmp_path).newest()).step == 80
    assert state.epoch == 0
    goes_on, whole = pnn.Trainer(linear()), pnn.Trainer(linear())
    fit(goes_on, epochs=2, checkpoint=tmp_path, resume=True, validation_data=[(X, T)])
    fit(whole, epochs=2, validation_data=(X, T))
    assert goes_on.history["loss"] == whole.history["loss"]


def test_infinite_weights_are_no_checkpoint(tmp_path):
    def source(epoch):
        yield from [(X[i : i + 4], T[i : i + 4]) for i in range(0, 40, 4)]
        raise OSError("gone")

    trainer = pnn.Trainer(linear(), pnn.SGD(lambda step: 1e30 * 1e30 if step == 9 else 0.05))
    with pytest.raises(OSError, match="gone"):
        trainer.fit(source, epochs=1, progress=False, checkpoint=tmp_path)
    assert not Checkpoints(tmp_path).paths()


def test_an_error_in_the_data_is_not_hidden_by_one_of_the_disk(tmp_path, monkeypatch):
    def source(epoch):
        yield X, T
        raise EOFError("no more")

    def full(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr(Checkpoints, "write", full)
    with pytest.raises(EOFError, match="no more") as raised:
        pnn.Trainer(linear()).fit(source, epochs=1, progress=False, checkpoint=tmp_path)
    assert str(raised.value.__context__) == "no space left"
