"""A call of `fit` that is refused changes nothing: neither network nor optimizer, and not the trainer either."""

import json

import numpy as np
import pytest

import portable_nn as pnn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 4)).astype(np.float32)
T = (X[:, 0] > 0).astype(int)


def net(**options):
    return pnn.Sequential(pnn.Affine(4, 8), pnn.ReLU(), pnn.Affine(8, 2), loss=pnn.SoftmaxWithLoss(), seed=0, **options)


def fit(trainer, **options):
    return trainer.fit(X, T, **{"epochs": 2, "progress": False} | options)


def state_of(trainer):
    network, optimizer = trainer.network, trainer.optimizer
    slots = {name: [array.tolist() for array in arrays] for name, arrays in optimizer.state.items()}
    numbers = [optimizer.steps, optimizer.lr_scale, slots, trainer.epochs, trainer.validates, network.stream.position]
    return json.dumps([numbers, [array.tolist() for array in network.arrays()]])


class Refusing(pnn.Callback):
    def on_start(self, trainer):
        raise ValueError("not today")


class Ending(pnn.Callback):
    def __init__(self):
        self.calls = []

    def on_start(self, trainer):
        self.calls.append("start")

    def on_end(self, trainer):
        self.calls.append("end")


@pytest.mark.parametrize(
    "options",
    [
        {"every": 0},
        {"checkpoint": "used"},
        {"callbacks": [Refusing()]},
        {"callbacks": [pnn.EarlyStopping()]},
        {"epochs": 9, "checkpoint": "used", "resume": True, "batch_size": 5},
    ],
)
def test_a_refused_fit_leaves_history_and_all_else(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(pnn.Trainer(net()), checkpoint="used")
    trainer = pnn.Trainer(net())
    history = fit(trainer, validation_data=(X, T))
    before = state_of(trainer)
    with pytest.raises(ValueError):  # noqa: PT011  (each of its own)
        fit(trainer, **options)
    assert trainer.history is history
    assert state_of(trainer) == before


def test_callbacks_that_were_started_are_told_of_the_end_and_no_others():
    first, last = Ending(), Ending()
    with pytest.raises(ValueError, match="not today"):
        fit(pnn.Trainer(net()), callbacks=[first, Refusing(), last])
    assert first.calls == ["start", "end"]
    assert last.calls == []


def test_every_callback_is_told_of_the_end_even_if_another_raises_then():
    class Failing(pnn.Callback):
        def on_end(self, trainer):
            raise RuntimeError("at the end")

    last = Ending()
    with pytest.raises(RuntimeError, match="at the end"):
        fit(pnn.Trainer(net()), callbacks=[Failing(), last])
    assert last.calls == ["start", "end"]


def test_what_was_taken_from_a_checkpoint_is_undone_with_what_early_stopping_puts_back(tmp_path, monkeypatch):
    options = {"checkpoint": tmp_path, "validation_data": (X, T)}
    fit(pnn.Trainer(net()), callbacks=[pnn.EarlyStopping()], **options)
    trainer = pnn.Trainer(net())
    before = state_of(trainer)
    watcher = pnn.EarlyStopping()

    def fail(*_):
        assert watcher.best_epoch
        raise ImportError("no compiler")

    monkeypatch.setattr("portable_nn.training.trainer.training_step", fail)
    with pytest.raises(ImportError, match="no compiler"):
        fit(trainer, epochs=4, resume=True, callbacks=[watcher], **options)
    assert state_of(trainer) == before
    assert not list(trainer.history)


@pytest.mark.parametrize(
    ("monitor", "sign"),
    [("val_loss", 1), ("mse", 1), ("mean_absolute_error", 1), ("val_accuracy", -1), ("f1_score", -1)],
)
def test_early_stopping_knows_the_better_way_from_the_name(monitor, sign):
    assert pnn.EarlyStopping(monitor=monitor).sign == sign


@pytest.mark.parametrize("monitor", ["val_auc", "lr", "neg_log_loss"])
def test_early_stopping_asks_for_the_mode_where_the_name_does_not_tell(monitor):
    with pytest.raises(ValueError, match=f'from the name \'{monitor}\' whether .* say mode="min" or mode="max"'):
        fit(pnn.Trainer(net()), callbacks=[pnn.EarlyStopping(monitor=monitor)], validation_data=(X, T))
    assert pnn.EarlyStopping(monitor=monitor, mode="max").sign == -1


def test_early_stopping_needs_a_name_and_whole_epochs():
    with pytest.raises(TypeError, match="monitor to be a name in the history"):
        pnn.EarlyStopping(monitor=3)
    with pytest.raises(ValueError, match=r"EarlyStopping needs patience to be a whole number of at least 0, got 2\.5"):
        pnn.EarlyStopping(2.5)
