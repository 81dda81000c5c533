"""Metrics in training: what the training passes give, in every way in which steps are taken."""

import sys

import numpy as np
import pytest
from sklearn import metrics as sk

import portable_nn as pnn
from portable_nn.arrays import to_numpy

RNG = np.random.default_rng(0)
X = RNG.standard_normal((70, 5)).astype("float32")
T = RNG.integers(0, 3, 70)
W = RNG.uniform(0.1, 3.0, 70).astype("float32")


def net(xp="numpy", **options):
    return pnn.Sequential(
        pnn.Affine(5, 8), pnn.Tanh(), pnn.Affine(8, 3), loss=pnn.SoftmaxWithLoss(**options), seed=0, xp=xp
    )


class Seen(pnn.metrics.Metric):
    """Scikit-learn's macro F1 of all rows, from somebody's own class."""

    name, of, better, keeps_rows = "seen", "labels", "max", True

    def measure(self, t, y, weight):
        return t, y, weight

    def result(self, t, y, weight):
        return sk.f1_score(t, y, average="macro", sample_weight=weight)


class Sums(pnn.metrics.Metric):
    """A weighted accuracy, from sums, whose class may be compiled."""

    recordable = True
    name, of, better = "sums", "labels", "max"

    def measure(self, t, y, weight):
        xp = pnn.namespace_of(y)
        return xp.sum(xp.where(t == y, weight, xp.zeros_like(weight))), xp.sum(weight)

    def result(self, right, total):
        return float(right / total)


def chosen():
    return ["accuracy", pnn.metrics.F1(), pnn.metrics.ROCAUC(), Seen(), Sums(), sk.accuracy_score]


def expected_of_training(network, batches):
    """Return what scikit-learn says of the outputs before each update, by hand-made steps of plain SGD."""
    ys, ts, ws = [], [], []
    for x, t, w in batches:
        ys.append(to_numpy(network.predict(x)))
        ts.append(t)
        ws.append(np.ones(len(t)) if w is None else w)
        for name, gradient in network.gradient(x, t, sample_weight=w).items():
            network.parameters[name] = network.parameters[name] - 0.1 * gradient
    return np.concatenate(ts), np.concatenate(ys), np.concatenate(ws)


def check(history, t, y, w, prefix=""):
    labels, p = y.argmax(axis=1), np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    near = {"abs": 1e-5}
    assert history[prefix + "accuracy"] == pytest.approx(sk.accuracy_score(t, labels, sample_weight=w), **near)
    f1 = sk.f1_score(t, labels, average="macro", sample_weight=w)
    assert history[prefix + "f1"] == pytest.approx(f1, **near)
    area = sk.roc_auc_score(t, p / p.sum(axis=1, keepdims=True), multi_class="ovr", sample_weight=w)
    assert history[prefix + "roc_auc"] == pytest.approx(area, **near)
    assert history[prefix + "seen"] == pytest.approx(f1, **near)
    assert history[prefix + "sums"] == pytest.approx(history[prefix + "accuracy"], **near)
    assert history[prefix + "accuracy_score"] == pytest.approx(history[prefix + "accuracy"], **near)


@pytest.mark.filterwarnings("ignore:steps with")
@pytest.mark.parametrize("weight", [None, W])
def test_values_of_training_are_those_of_the_training_passes(weight, xp):
    network, trainer = net(xp), pnn.Trainer(net(xp), pnn.SGD(0.1), metrics=chosen())
    cuts = [slice(i, i + 16) for i in range(0, 70, 16)]
    batches = [(X[cut], T[cut], None if weight is None else weight[cut]) for cut in cuts]
    t, y, w = expected_of_training(network, batches)
    options = {"epochs": 1, "batch_size": 16, "shuffle": False, "progress": False, "sample_weight": weight}
    history = trainer.fit(X, T, validation_data=(X, T), **options)
    check({name: values[0] for name, values in history.items()}, t, y, w)
    y = to_numpy(network.predict(X))
    check({name: values[0] for name, values in history.items()}, T, y, np.ones(70), "val_")
    check(trainer.evaluate(X, T, sample_weight=W, batch_size=17), T, y, W)


def fitted(xp="numpy", data=(X, T), metrics=None, trainer=None, **options):
    trainer = trainer or pnn.Trainer(net(xp), pnn.Adam(0.01), metrics=metrics or ["accuracy", "f1", "roc_auc"])
    options = {"epochs": 2, "progress": False} | ({"batch_size": 16} if len(data) == 2 else {}) | options
    history = trainer.fit(*data, **options)
    return {name: values for name, values in history.items() if name != "seconds"}


def alike(one, other, **near):
    assert list(one) == list(other)
    for name, values in one.items():
        assert values == pytest.approx(other[name], **near), name


def test_metrics_do_not_change_training(xp):
    with_metrics, plain = pnn.Trainer(net(xp), metrics=["f1", "roc_auc"]), pnn.Trainer(net(xp))
    fitted(trainer=with_metrics)
    fitted(trainer=plain)
    for one, other in zip(with_metrics.network.arrays(), plain.network.arrays(), strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))
    assert set(plain.history) == {"loss", "lr", "seconds"}


def test_rows_that_are_kept_outlive_their_batch():
    trainer = pnn.Trainer(net(), pnn.SGD(1e-9), metrics=["roc_auc", sk.accuracy_score])  # shuffled, into one memory
    history = fitted(trainer=trainer, epochs=1, validation_data=(X, T))
    for name in ("roc_auc", "accuracy_score"):
        assert history[name] == pytest.approx(history[f"val_{name}"], abs=1e-5)


def test_batches_of_an_iterable_and_accumulation_are_the_same(xp):
    whole = fitted(xp, shuffle=False)
    batches = [(X[i : i + 16], T[i : i + 16]) for i in range(0, 70, 16)]
    alike(fitted(xp, data=(batches,)), whole)
    alike(fitted(xp, shuffle=False, batch_size=8, accumulate=2), whole, abs=1e-5)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_padding_and_labels_to_ignore_do_not_count(library):
    pytest.importorskip(library)
    rng = np.random.default_rng(1)
    batches = []
    for rows, time in ((4, 9), (4, 7), (4, 5), (3, 11)):
        x, t = rng.standard_normal((rows, time, 5)).astype("float32"), rng.integers(0, 3, (rows, time))
        t[:, 1] = -1
        batches.append((x, t))
    results = []
    for pad in (True, False):
        trainer = pnn.Trainer(
            net(library, ignore_label=-1), pnn.SGD(0.1), pad=pad, metrics=["accuracy", "f1", "log_loss"]
        )
        results.append(fitted(trainer=trainer, data=(batches,), validation_data=batches))
        reference = trainer.network
        y = np.concatenate([to_numpy(reference.predict(x)).reshape(-1, 3) for x, _ in batches])
        t = np.concatenate([t.ravel() for _, t in batches])
        real = t >= 0
        f1 = sk.f1_score(t[real], y[real].argmax(axis=1), average="macro")
        assert results[-1]["val_f1"][-1] == pytest.approx(f1, abs=1e-6)
    alike(*results, abs=1e-5)


def test_many_compiled_steps_in_a_call(monkeypatch):
    pytest.importorskip("jax")
    whole = fitted(trainer=pnn.Trainer(net("jax"), metrics=chosen()), batch_size=7)  # Seen is no class to compile
    compiled = chosen()
    del compiled[3]
    trainer = pnn.Trainer(net("jax"), metrics=compiled)
    history = fitted(data=(net("jax").place.asarray(X), T), trainer=trainer, batch_size=7)
    whole.pop("seen")
    alike(history, whole, abs=1e-5)


def test_own_gradients_on_jax_take_halves_of_steps():
    pytest.importorskip("jax")

    class Looking(pnn.Callback):
        def on_gradients(self, trainer, gradients):
            return None

    alike(fitted("jax", callbacks=[Looking()]), fitted("jax"), abs=1e-5)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_uncompiled_steps(library):
    pytest.importorskip(library)
    trainers = [pnn.Trainer(net(library), pnn.SGD(0.1), compile=c, metrics=["f1", "roc_auc"]) for c in ("auto", False)]
    alike(*(fitted(trainer=trainer) for trainer in trainers), abs=1e-5)


@pytest.mark.parametrize("at", [2, 5, 8])
def test_a_resumed_run_has_the_same_history(at, tmp_path, xp):
    metrics = ["accuracy", "f1", "roc_auc"]
    options = {"epochs": 3, "validation_data": (X, T)}
    whole = fitted(xp, metrics=metrics, **options)
    broken = pnn.Trainer(net(xp), pnn.Adam(0.01), metrics=metrics)

    class Stop(pnn.Callback):
        def on_batch(self, trainer, step, record):
            if trainer.optimizer.steps == at:
                raise RuntimeError("the plug was pulled")

    with pytest.raises(RuntimeError, match="plug"):
        fitted(trainer=broken, checkpoint=tmp_path, callbacks=[Stop()], **options)
    again = pnn.Trainer(net(xp), pnn.Adam(0.01), metrics=metrics)
    assert fitted(trainer=again, checkpoint=tmp_path, resume=True, **options) == whole


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_metrics_of_lower_precisions(precision):
    pytest.importorskip("torch")
    network = pnn.Sequential(pnn.Affine(5, 3), loss=pnn.SoftmaxWithLoss(), seed=0, xp="torch", dtype=precision)
    trainer = pnn.Trainer(network, pnn.SGD(1e-9), metrics=["accuracy", "f1", "roc_auc", "log_loss"])
    history = fitted(trainer=trainer, epochs=1, accumulate=2, validation_data=(X, T))
    y = to_numpy(network.predict(X))
    assert history["f1"][0] == pytest.approx(sk.f1_score(T, y.argmax(axis=1), average="macro"), abs=1e-6)
    for name in ("accuracy", "f1", "roc_auc", "log_loss"):
        assert history[name] == pytest.approx(history[f"val_{name}"], abs=1e-5)


def test_the_line_of_an_epoch_shows_the_metrics_that_are_numbers(capsys):
    given = ["f1", "confusion_matrix", "roc_auc", pnn.metrics.Function(lambda t, y: "much", name="text")]
    trainer = pnn.Trainer(net(), pnn.SGD(0.1), metrics=given)
    history = trainer.fit(X, T, epochs=2, validation_data=(X[:30], T[:30]), progress=True)
    names = ("loss", "f1", "roc_auc", "val_loss", "val_f1", "val_roc_auc")
    for epoch, line in enumerate(capsys.readouterr().err.splitlines()):
        assert line.split(": ")[1].split(", ")[:-1] == [f"{name}={history[name][epoch]:.4f}" for name in names]


def test_the_bar_shows_the_metrics_by_output(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    graph = pnn.Graph(loss={"kind": pnn.SoftmaxWithLoss(), "size": pnn.MeanSquaredError()}, seed=0)
    x = graph.input("x")
    graph.output(kind=pnn.Affine(5, 3)(x), size=pnn.Affine(5, 1)(x))
    trainer = pnn.Trainer(graph, metrics={"kind": ["f1", "roc_auc"], "size": ["rmse"]})
    trainer.fit(X, {"kind": T, "size": X[:, 0]}, epochs=1, validation_split=0.3, progress=True)
    shown = capsys.readouterr().err.rpartition("\r")[2]
    for name in ("kind_loss", "kind_f1", "kind_roc_auc", "size_rmse", "val_kind_f1", "val_size_rmse"):
        assert f"{name}={trainer.history[name][-1]:.4f}" in shown
