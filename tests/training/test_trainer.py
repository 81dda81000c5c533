import math
import os
import signal
import sys
import threading

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

F32 = np.float32
RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 4)).astype(F32)
T = (X[:, 0] + X[:, 1] > 0).astype(int)


def net(**options):
    options = {"loss": pnn.SoftmaxWithLoss(), "seed": 0} | options
    return pnn.Sequential(pnn.Affine(4, 8), pnn.ReLU(), pnn.Dropout(0.1), pnn.Affine(8, 2), **options)


def fit(network, *data, opt=None, **options):
    data = data or (X, T)
    return pnn.Trainer(network, opt).fit(*data, **{"progress": False, "batch_size": 16} | options)


def test_training_learns_and_records_one_value_an_epoch(xp):
    network = net(xp=xp)
    history = fit(network, epochs=15, opt=pnn.Adam(0.02), validation_data=(X, T))
    assert network.accuracy(X, T) > 0.9
    assert set(history) == {"loss", "val_loss", "val_accuracy", "lr", "seconds"}
    assert {len(values) for values in history.values()} == {15}
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["val_loss"][-1] == pytest.approx(float(network.loss(X, T)), rel=1e-5)
    assert history["val_accuracy"][-1] == network.accuracy(X, T)
    assert history.stopped == ""


def test_the_same_seed_is_the_same_run_on_every_backend(xp):
    ours, numpys = (fit(net(xp=namespace), epochs=4, opt=pnn.SGD(0.1)) for namespace in (xp, "numpy"))
    np.testing.assert_allclose(ours["loss"], numpys["loss"], rtol=1e-5)


def test_the_same_seed_is_the_same_run_twice_to_the_bit(xp):
    first, second = net(xp=xp), net(xp=xp)
    assert fit(first)["loss"] == fit(second)["loss"]
    for a, b in zip(first.arrays(), second.arrays(), strict=True):
        assert to_numpy(a).tobytes() == to_numpy(b).tobytes()


def test_one_epoch_in_one_batch_is_one_step_by_hand(xp64):
    network = pnn.Sequential(pnn.Affine(4, 2), loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp64, dtype="float64")
    W, x = np.array(to_numpy(network.parameters["0.W"])), X.astype(float)
    p = np.exp(x @ W) / np.exp(x @ W).sum(1, keepdims=True)
    expected = W - 0.5 * x.T @ (p - np.eye(2)[T]) / 90
    history = fit(network, x, T, opt=pnn.SGD(0.5), batch_size=1000, epochs=1, shuffle=False)
    np.testing.assert_allclose(to_numpy(network.parameters["0.W"]), expected, rtol=1e-10, atol=1e-14)
    assert history["loss"][0] == pytest.approx(-np.log(p[np.arange(90), T]).mean(), rel=1e-10)


def test_the_epochs_loss_weighs_the_partial_batch_by_its_size():
    network = pnn.Sequential(pnn.Identity(), loss=pnn.MeanSquaredError())
    x = np.array([[1.0], [1.0], [3.0]])
    assert fit(network, x, np.zeros(3), batch_size=2, epochs=1, shuffle=False)["loss"] == [pytest.approx(11 / 3)]
    network = pnn.Sequential(pnn.Identity(), loss=pnn.MeanSquaredError("sum"))
    assert fit(network, x, np.zeros(3), batch_size=2, epochs=1, shuffle=False)["loss"] == [pytest.approx(11)]


def test_without_shuffling_the_order_is_the_datas():
    class Record(pnn.Layer):
        def forward_pass(self, run, params, x):
            if run.training:
                seen.append(x[:, 0].tolist())
            return x, None

        def backward_pass(self, run, params, saved, dy):
            return dy, {}

    seen = []
    network = pnn.Sequential(Record(), loss=pnn.MeanSquaredError())
    x = np.arange(5.0)[:, None]
    fit(network, x, x, batch_size=2, epochs=2, shuffle=False)
    assert seen == [[0, 1], [2, 3], [4]] * 2
    seen.clear()
    fit(network, x, x, batch_size=2, epochs=2)
    first, second = np.concatenate(seen[:3]).tolist(), np.concatenate(seen[3:]).tolist()
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4]
    assert first != second


def test_sample_weights_take_part():
    weight = np.where(T == 1, 1.0, 0.0)
    network = net()
    fit(network, epochs=30, opt=pnn.Adam(0.05), sample_weight=weight)
    assert (np.argmax(network.predict(X), axis=1) == 1).all()


def test_a_validation_split_is_not_trained_on():
    order = pnn.random.generator(0, "validation").permutation(90)
    x = X.copy()
    x[order[:18]] = 1e6  # would blow training up
    history = fit(net(), x, T, validation_split=0.2, epochs=2)
    assert history["val_loss"][-1] > 1e3 > history["loss"][-1]


def test_networks_data_may_live_with_the_network_or_be_numpys(xp):
    here = fit(net(xp=xp), xp.asarray(X), xp.asarray(T), epochs=2, validation_data=(xp.asarray(X), xp.asarray(T)))
    there = fit(net(xp=xp), epochs=2, validation_data=(X, T))
    assert here["loss"] == there["loss"]
    assert here["val_loss"] == there["val_loss"]


def test_predict_and_evaluate_work_batch_by_batch(xp):
    network = net(xp=xp)
    trainer = pnn.Trainer(network)
    np.testing.assert_allclose(to_numpy(trainer.predict(X, batch_size=7)), to_numpy(network.predict(X)), rtol=1e-5)
    scores = trainer.evaluate(X, T, batch_size=7)
    assert scores["loss"] == pytest.approx(float(network.loss(X, T)), rel=1e-5)
    assert scores["accuracy"] == pytest.approx(network.accuracy(X, T))


def test_arrays_that_a_user_holds_outlive_training(xp):
    network = net(xp=xp)
    held = network.parameters["0.W"]
    before = np.array(to_numpy(held))
    fit(network, epochs=2)
    np.testing.assert_array_equal(to_numpy(held), before)
    assert (to_numpy(network.parameters["0.W"]) != before).any()


@pytest.mark.parametrize("kind", [pnn.SGD, pnn.Adam])
def test_a_diverging_loss_names_the_step_and_leaves_earlier_weights(kind, xp):
    network, opt = net(xp=xp), kind(1e30)
    start = [np.array(to_numpy(a)) for a in network.arrays()]
    with pytest.raises(pnn.DivergenceError, match=r"step \d+ of epoch 1; .*lower learning rate \(it was 1e\+30\)"):
        fit(network, opt=opt, epochs=5)
    for before, after in zip(start, network.arrays(), strict=True):
        np.testing.assert_array_equal(to_numpy(after), before)
    assert opt.steps == 0
    assert all(np.isfinite(to_numpy(a)).all() for slots in opt.state.values() for a in slots)


def test_divergence_names_the_exact_step():
    x = np.ones((300, 1))
    x[130] = 1e30  # its square is infinite in float32
    network = pnn.Sequential(pnn.Affine(1, 1), loss=pnn.MeanSquaredError(), seed=0)
    with pytest.raises(pnn.DivergenceError, match="step 131 of epoch 1"):
        fit(network, x, np.ones(300), batch_size=1, opt=pnn.SGD(0.0 + 1e-3), shuffle=False)


def test_divergence_leaves_the_best_weights_of_early_stopping():
    schedule = lambda step: 0.01 if step < 18 else 1e30  # noqa: E731  (three epochs of six steps)
    network, stopping = net(), pnn.EarlyStopping(monitor="loss")
    with pytest.raises(pnn.DivergenceError, match="of epoch 4"):
        fit(network, opt=pnn.Adam(schedule), epochs=9, callbacks=[stopping])
    assert stopping.best_epoch in (1, 2, 3)
    assert math.isfinite(float(network.loss(X, T)))


def test_early_stopping_restores_the_weights_of_the_best_epoch(xp):
    kept = {}

    class Keep(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            kept[epoch] = [np.array(to_numpy(a)) for a in trainer.network.arrays()]
            record["made_up"] = [5.0, 3.0, 4.0, 3.5, 3.0][epoch - 1]

    network = net(xp=xp)
    history = fit(network, epochs=50, callbacks=[Keep(), pnn.EarlyStopping(3, monitor="made_up", mode="min")])
    assert history["made_up"] == [5.0, 3.0, 4.0, 3.5, 3.0]
    assert history.best_epoch == 2
    assert "made_up has not improved for 3 epochs" in history.stopped
    for a, b in zip(network.arrays(), kept[2], strict=True):
        np.testing.assert_array_equal(to_numpy(a), b)


def test_early_stopping_on_accuracy_prefers_more():
    class Fake(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            record["my_accuracy"] = [0.5, 0.7, 0.6, 0.6][epoch - 1]

    history = fit(net(), epochs=50, callbacks=[Fake(), pnn.EarlyStopping(2, monitor="my_accuracy")])
    assert history.best_epoch == 2


def test_reduce_on_plateau_is_told_of_every_epoch():
    schedule = pnn.ReduceOnPlateau(1e-12, patience=1, factor=0.5)
    history = fit(net(), opt=pnn.SGD(schedule), epochs=6, validation_data=(X, T))
    assert history["lr"] == [1e-12, 1e-12, 1e-12, 5e-13, 5e-13, 2.5e-13]


def test_training_goes_on_where_it_stopped_with_new_orders():
    network, twice = net(), net()
    fit(network, epochs=4, opt=pnn.Adam())
    trainer = pnn.Trainer(twice, pnn.Adam())
    for _ in range(2):
        trainer.fit(X, T, batch_size=16, epochs=2, progress=False)
    np.testing.assert_array_equal(network.parameters["0.W"], twice.parameters["0.W"])


def test_callbacks_see_the_run_and_can_stop_it():
    calls = []

    class Watch(pnn.Callback):
        def on_start(self, trainer):
            calls.append("start")

        def on_epoch(self, trainer, epoch, record):
            calls.append((epoch, sorted(record)))
            if epoch == 2:
                trainer.stop("seen enough")

        def on_end(self, trainer):
            calls.append("end")

    history = fit(net(), epochs=9, callbacks=[Watch()])
    assert calls == ["start", (1, ["loss", "lr", "seconds"]), (2, ["loss", "lr", "seconds"]), "end"]
    assert history.stopped == "seen enough"


class Interrupt(pnn.Layer):
    """Sends Ctrl-C in its n-th training pass; the first for each batch shape only tries to record a plan."""

    def __init__(self, n):
        super().__init__()
        self._n = n

    def forward_pass(self, run, params, x):
        self._n -= run.training
        if self._n == 0 and run.training:
            os.kill(os.getpid(), signal.SIGINT)
        return x * 1.0, None  # done by no kernel, so that each step comes here

    def backward_pass(self, run, params, saved, dy):
        return dy, {}


def test_ctrl_c_ends_training_cleanly_and_keeps_history_and_network():
    before = signal.getsignal(signal.SIGINT)
    network = pnn.Sequential(Interrupt(17), pnn.Affine(4, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    history = fit(network, epochs=10)
    assert history.stopped == "interrupted in epoch 3"
    assert len(history["loss"]) == 2
    assert 0 < network.accuracy(X, T) <= 1
    assert signal.getsignal(signal.SIGINT) is before


def test_training_outside_the_main_thread_works():
    histories = []
    threads = [threading.Thread(target=lambda: histories.append(fit(net(), epochs=3))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for history in histories:  # the last digit is up to BLAS, which may be elsewhere in memory
        assert history["loss"] == pytest.approx(fit(net(), epochs=3)["loss"], rel=1e-6)


def test_the_progress_bar_shows_loss_metric_and_throughput(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fit(net(), epochs=2, validation_data=(X, T), progress=True)
    shown = capsys.readouterr().err
    for part in ("epoch 2/2: 100%", "180/180", "samples/s", "loss=", "val_accuracy="):
        assert part in shown


def test_the_picture_is_a_png_of_both_curves(tmp_path):
    history = fit(net(), epochs=3, validation_data=(X, T))
    figure = history.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    loss, accuracy = figure.axes
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), history["loss"])
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), history["val_accuracy"])
    assert (loss.get_xlabel(), loss.get_title(), accuracy.get_title()) == ("epoch", "loss", "accuracy")


def test_pictures_of_four_are_two_by_two_and_name_the_best_epoch():
    pytest.importorskip("matplotlib")
    network = pnn.Sequential(pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    trainer = pnn.Trainer(network, pnn.SGD(0.1), metrics=["accuracy", "f1", "log_loss"])
    history = trainer.fit(X, T, epochs=12, validation_data=(X, T), callbacks=[pnn.EarlyStopping()], progress=False)
    figure = history.plot()
    assert figure.axes[0].get_gridspec().get_geometry() == (2, 2)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["training", "validation", f"best epoch: {history.best_epoch}"]
    assert set(np.diff(figure.axes[0].get_xticks())) <= {1, 2, 5, 10}


def test_regression_has_no_accuracy_to_record():
    network = pnn.Sequential(pnn.Affine(4, 1), loss=pnn.MeanSquaredError(), seed=0)
    history = fit(network, X, X[:, 0], epochs=20, opt=pnn.Adam(0.05), validation_split=0.2)
    assert set(history) == {"loss", "val_loss", "lr", "seconds"}
    assert history["val_loss"][-1] < 0.01
    assert len(history.plot().axes) == 1


def test_jax_compiles_a_step_once_for_each_batch_shape(monkeypatch):
    jax = pytest.importorskip("jax")
    from portable_nn.kernels import kernels_for

    compiled = []
    kernels = kernels_for(jax.numpy)
    original = kernels.compile_step
    monkeypatch.setattr(kernels, "compile_step", lambda step: compiled.append(original(step)) or compiled[-1])
    fit(net(xp="jax"), epochs=3, opt=pnn.Adam(pnn.Cosine(0.01, steps=18)))
    assert len(compiled) == 1
    assert compiled[0]._cache_size() == 2  # full batches and the last one


def test_an_optimizer_of_another_network_is_refused_before_anything_changes(xp):
    opt, other = pnn.Adam(), net(xp=xp)
    fit(pnn.Sequential(pnn.Affine(4, 2), loss=pnn.SoftmaxWithLoss()), opt=opt)
    before = [np.array(to_numpy(a)) for a in other.arrays()]
    with pytest.raises(ValueError, match=r"has made \d+ updates of another network: .*needs a new optimizer"):
        fit(other, opt=opt)
    for a, b in zip(other.arrays(), before, strict=True):
        np.testing.assert_array_equal(to_numpy(a), b)


@pytest.mark.parametrize("options", [{"dtype": "float64"}, {"xp": "array_api_strict", "device": "device1"}])
def test_an_optimizer_does_not_carry_another_place_into_a_network(options):
    opt = pnn.Adam()
    fit(net(**options), opt=opt)
    with pytest.raises(ValueError, match="a new network needs a new optimizer"):
        fit(net(), opt=opt)


def test_adam_asks_for_a_new_optimizer_after_unfreezing():
    network, opt = net(), pnn.Adam()
    network.freeze("0")
    fit(network, opt=opt, epochs=1)
    network.unfreeze()
    with pytest.raises(ValueError, match=r"has made 6 updates without 0.W, 0.b: after unfreezing"):
        fit(network, opt=opt)
    fit(network, opt=pnn.Adam(), epochs=1)


def test_divergence_in_the_last_update_does_not_go_unnoticed_or_into_the_weights():
    for options in ({"validation_data": (X, T)}, {}):
        network = net()
        start = [a.copy() for a in network.arrays()]
        with pytest.raises(pnn.DivergenceError, match=r"after the last step of epoch 1|at step 1 of epoch 2"):
            fit(network, opt=pnn.SGD(1e38), epochs=2, batch_size=90, **options)
        for before, after in zip(start, network.arrays(), strict=True):
            np.testing.assert_array_equal(after, before)


def test_arrays_that_callbacks_saw_or_assigned_outlive_training(xp):
    seen, mine = [], xp.zeros((4, 8), dtype=xp.float32)

    class Watch(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            seen.append(dict(trainer.network.parameters))
            trainer.network.parameters["0.W"] = mine

    fit(net(xp=xp), epochs=3, callbacks=[Watch()])
    assert all(np.isfinite(to_numpy(array)).all() for parameters in seen for array in parameters.values())
    np.testing.assert_array_equal(to_numpy(mine), 0.0)


@pytest.mark.parametrize("batch_size", [7, 30, 90])
def test_weighted_losses_do_not_depend_on_the_batches(batch_size, xp):
    network = net(xp=xp, loss=pnn.SoftmaxWithLoss(class_weight=[1.0, 9.0]))
    scores = pnn.Trainer(network).evaluate(X, T, batch_size=batch_size)
    assert scores["loss"] == pytest.approx(float(network.loss(X, T)), rel=1e-5)
    weight = np.linspace(0, 1, 90)
    network = pnn.Sequential(pnn.Affine(4, 2), loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp)
    expected = float(network.loss(X, T, sample_weight=weight))
    history = fit(network, opt=pnn.SGD(1e-30), epochs=1, batch_size=batch_size, sample_weight=weight)
    assert history["loss"] == [pytest.approx(expected, rel=1e-5)]


def test_the_recorded_rate_is_the_one_that_the_epoch_began_with():
    history = fit(net(), opt=pnn.SGD(pnn.StepDecay(0.1, every=6)), epochs=3)
    assert history["lr"] == pytest.approx([0.1, 0.01, 0.001])


def test_callbacks_are_told_of_the_end_whatever_ends_it():
    ends = []

    class Fails(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            raise KeyboardInterrupt

        def on_end(self, trainer):
            ends.append(trainer)

    with pytest.raises(KeyboardInterrupt):
        fit(net(), callbacks=[Fails()])
    assert len(ends) == 1


def test_ctrl_c_in_a_callback_ends_training_after_that_epoch():
    class Interrupts(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            os.kill(os.getpid(), signal.SIGINT)

    history = fit(net(), epochs=9, callbacks=[Interrupts()])
    assert history.stopped == "interrupted after epoch 1"
    assert len(history["loss"]) == 1


def test_torch_inputs_and_parameters_with_a_graph_leave_it_outside():
    torch = pytest.importorskip("torch")
    W = torch.nn.Parameter(torch.ones(4, 2))
    network = pnn.Sequential(pnn.Affine.from_arrays(W), loss=pnn.SoftmaxWithLoss())
    fit(network, torch.tensor(X, requires_grad=True), torch.tensor(T), epochs=2)
    assert not network.parameters["0.W"].requires_grad
    assert not network.predict(torch.tensor(X, requires_grad=True)).requires_grad


def test_classes_that_are_only_validated_with_are_warned_of():
    t = np.zeros(90, int)
    with pytest.warns(UserWarning, match="no sample to train on has the labels 1, but some to validate with do"):
        fit(net(), X, t, epochs=1, validation_data=(X, T))
    t[0] = 1
    kept = next(seed for seed in range(99) if pnn.random.generator(seed, "validation").permutation(90)[0] == 0)
    with pytest.warns(UserWarning, match="no sample to train on has the labels 1,"):
        fit(net(seed=kept), X, t, epochs=1, validation_split=0.1)
    t[1:3] = 1
    fit(net(), X, t, epochs=1, validation_data=(X, T))
