"""Several inputs, outputs, losses, targets and weights, by name, through whole runs."""

import copy
import pickle
import sys
from collections import OrderedDict

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.testing import check_network
from portable_nn.training.planned_step import PlannedStep

RNG = np.random.default_rng(0)
N, EPOCHS, BATCH = 60, 5, 16
IMAGE, TABLE = RNG.standard_normal((N, 6)).astype("float32"), RNG.standard_normal((N, 3)).astype("float32")
KIND = (IMAGE[:, 0] + TABLE[:, 0] > 0).astype("int64") + (IMAGE[:, 1] > 1)
AGE = IMAGE[:, 2] - TABLE[:, 1]
X, T = {"image": IMAGE, "table": TABLE}, {"kind": KIND, "age": AGE}
WEIGHTS = {"kind": RNG.uniform(0.0, 2.0, N), "age": RNG.uniform(0.0, 2.0, N)}
WEIGHTS["kind"][:8] = 0.0
RATE, SHARE = 0.2, 0.3


def two_heads(xp=None, losses=None, weights=None, middle=(), **options):
    if xp is not None:
        options |= {"xp": xp.place.xp, "device": xp.place.device}
    losses = losses or {"age": pnn.MeanSquaredError(), "kind": pnn.SoftmaxWithLoss()}  # in another order
    g = pnn.Graph(loss=losses, loss_weights=weights or {"age": SHARE}, seed=0, **options)
    h = pnn.Affine(6, 8)(g.input("image")) + pnn.Affine(3, 8)(g.input("table"))
    for layer in (pnn.Tanh(), *middle):
        h = layer(h)
    g.output(kind=pnn.Affine(8, 3)(h), age=pnn.Affine(8, 1)(h))
    return g


def fitted(net, x=X, t=T, optimizer=None, *, compile="auto", **options):
    options = {"epochs": EPOCHS, "batch_size": BATCH, "shuffle": False, "progress": False} | options
    return pnn.Trainer(net, optimizer or pnn.SGD(RATE), compile=compile).fit(x, t, **options)


def same(net, other, **tolerance):
    for name, array in net.parameters.items():
        np.testing.assert_allclose(to_numpy(other.parameters[name]), to_numpy(array), err_msg=name, **tolerance)


def by_hand(net, weights=None, cuts=None, epochs=EPOCHS):
    """Return what training by SGD gives in float64, by hand: the history, and the parameters."""
    p = {name: to_numpy(array).astype("float64") for name, array in net.parameters.items()}
    history = {"kind_loss": [], "age_loss": [], "loss": []}
    w_kind, w_age = (np.ones(N) if weights is None else np.asarray(weights[name]) for name in ("kind", "age"))
    for _ in range(epochs):
        sums = np.zeros(4)
        for cut in cuts or [slice(i, i + BATCH) for i in range(0, N, BATCH)]:
            image, table, kind, age, wk, wa = (a[cut] for a in (IMAGE, TABLE, KIND, AGE, w_kind, w_age))
            h = np.tanh(image @ p["affine1.W"] + p["affine1.b"] + table @ p["affine2.W"] + p["affine2.b"])
            y, z = h @ p["affine3.W"] + p["affine3.b"], h @ p["affine4.W"] + p["affine4.b"]
            chances = np.exp(y - y.max(1, keepdims=True))
            chances /= chances.sum(1, keepdims=True)
            truth = np.eye(3)[kind]
            sums += (
                -(wk * np.log((chances * truth).sum(1))).sum(),
                wk.sum(),
                (wa * (z[:, 0] - age) ** 2).sum(),
                wa.sum(),
            )
            dy = (chances - truth) * (wk / wk.sum())[:, None]
            dz = SHARE * 2 * (z - age[:, None]) * (wa / wa.sum())[:, None]
            dh = (dy @ p["affine3.W"].T + dz @ p["affine4.W"].T) * (1 - h**2)
            for name, x, d in (
                ("affine1", image, dh),
                ("affine2", table, dh),
                ("affine3", h, dy),
                ("affine4", h, dz),
            ):
                p[f"{name}.W"] = p[f"{name}.W"] - RATE * x.T @ d
                p[f"{name}.b"] = p[f"{name}.b"] - RATE * d.sum(0)
        kind_loss, age_loss = sums[0] / sums[1], sums[2] / sums[3]
        for name, value in zip(history, (kind_loss, age_loss, kind_loss + SHARE * age_loss), strict=True):
            history[name].append(value)
    return history, p


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("compile", ["auto", False])
def test_every_backend_trains_as_by_hand(xp, compile, weights):
    net = two_heads(xp)
    expected, params = by_hand(net, weights)
    history = fitted(net, compile=compile, sample_weight=weights)
    assert list(history) == ["loss", "kind_loss", "age_loss", "lr", "seconds"]
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, err_msg=name)
    for name, array in params.items():
        np.testing.assert_allclose(to_numpy(net.parameters[name]), array, rtol=1e-3, atol=1e-5)
    assert history["loss"][-1] < 0.8 * history["loss"][0]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch.compile's own imports
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_compiled_kernels_train_alike(backend):
    pytest.importorskip({"numpy": "numba", "torch": "torch"}[backend])
    net = two_heads()
    expected, _ = by_hand(net)
    history = fitted(net.to(backend), compile=True)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, err_msg=name)


def test_a_hundred_steps_are_those_of_torch():
    torch = pytest.importorskip("torch")
    net = two_heads(dtype="float64")
    p = {name: torch.tensor(array, requires_grad=True) for name, array in net.parameters.items()}
    optimizer = torch.optim.Adam(p.values(), 1e-2, eps=1e-8)
    image, table, kind, age = (torch.tensor(np.asarray(a)) for a in (IMAGE, TABLE, KIND, AGE))
    image, table, age = image.double(), table.double(), age.double()
    for _ in range(25):
        for i in range(0, N, BATCH):
            rows = slice(i, i + BATCH)
            h = image[rows] @ p["affine1.W"] + p["affine1.b"] + table[rows] @ p["affine2.W"] + p["affine2.b"]
            h = torch.tanh(h)
            y, z = h @ p["affine3.W"] + p["affine3.b"], h @ p["affine4.W"] + p["affine4.b"]
            loss = torch.nn.functional.cross_entropy(y, kind[rows])
            loss = loss + SHARE * torch.nn.functional.mse_loss(z[:, 0], age[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    fitted(net, optimizer=pnn.Adam(1e-2), epochs=25)
    for name, array in p.items():
        np.testing.assert_allclose(net.parameters[name], array.detach().numpy(), rtol=0, atol=1e-10, err_msg=name)


def test_the_gradient_is_that_of_central_differences():
    report = check_network(
        two_heads(middle=[pnn.GELU()]), {n: a[:5] for n, a in X.items()}, {"kind": KIND[:5], "age": AGE[:5]}
    )
    assert report.ok, report


# Weights, and parts of batches.


def test_one_array_of_weights_is_for_all_outputs(xp):
    one = fitted(two_heads(xp), sample_weight=WEIGHTS["kind"])
    both = fitted(two_heads(xp), sample_weight={"age": WEIGHTS["kind"], "kind": WEIGHTS["kind"]})
    assert one["loss"] == both["loss"]


def test_outputs_without_weights_count_each_sample_once(xp):
    some = fitted(two_heads(xp), sample_weight={"kind": WEIGHTS["kind"]})
    all_of_them = fitted(two_heads(xp), sample_weight={"kind": WEIGHTS["kind"], "age": np.ones(N)})
    np.testing.assert_allclose(some["age_loss"], all_of_them["age_loss"], rtol=1e-5)
    np.testing.assert_allclose(some["loss"], all_of_them["loss"], rtol=1e-5)


HARD = {  # each counts its samples in another way
    "kind": lambda: pnn.SoftmaxWithLoss(class_weight=[0.2, 1.0, 3.0]),
    "age": lambda: pnn.Huber("sum", delta=0.5),
}


@pytest.mark.parametrize("weight", [None, WEIGHTS, WEIGHTS["kind"]], ids=["", "by output", "one for all"])
@pytest.mark.parametrize("losses", [None, HARD], ids=["", "hard"])
def test_parts_of_a_batch_make_the_gradient_of_the_batch(xp, losses, weight):
    runs = []
    for options in ({"batch_size": 24}, {"batch_size": 8, "accumulate": 3}):
        made = None if losses is None else {name: make() for name, make in losses.items()}
        net = two_heads(xp, made, middle=[pnn.Dropout(0.3)])
        history = fitted(net, optimizer=pnn.SGD(0.02), sample_weight=weight, **options)
        runs.append((net, history))
    (net, expected), (other, history) = runs
    for name in ("loss", "kind_loss", "age_loss"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5, err_msg=name)
    same(net, other, rtol=0, atol=2e-6)


def test_balanced_classes_are_those_of_the_output(xp):
    loss = pnn.SoftmaxWithLoss(class_weight="balanced")
    net = two_heads(xp, {"kind": loss, "age": pnn.MeanSquaredError()})
    fitted(net, epochs=1)
    counts = np.bincount(KIND)
    assert net.loss_function.losses["kind"].class_weight == pytest.approx(dict(enumerate(N / (3 * counts))))


# From the doors to the results.


def test_results_have_the_names_of_the_outputs(xp):
    net = two_heads(xp)
    trainer = pnn.Trainer(net, pnn.SGD(RATE))
    history = trainer.fit(X, T, epochs=2, validation_data=(X, T), progress=False)
    measured = ["loss", "kind_loss", "age_loss", "kind_accuracy"]
    assert list(history) == [*measured[:3], *(f"val_{name}" for name in measured), "lr", "seconds"]
    scores = trainer.evaluate(X, T, batch_size=25)
    assert list(scores) == measured
    for name in measured:
        assert history[f"val_{name}"][-1] == pytest.approx(scores[name], rel=1e-5)
    assert scores["loss"] == pytest.approx(scores["kind_loss"] + SHARE * scores["age_loss"])
    assert float(net.loss(X, T)) == pytest.approx(scores["loss"], rel=1e-5)
    assert net.accuracy(X, T) == {"kind": pytest.approx(scores["kind_accuracy"])}
    whole, parts = net.predict(X), trainer.predict(X, batch_size=25)
    assert list(whole) == list(parts) == ["kind", "age"]
    assert whole["kind"].shape == (N, 3)
    assert whole["age"].shape == (N, 1)
    right = to_numpy(whole["kind"]).argmax(1) == KIND
    assert right.mean() == pytest.approx(scores["kind_accuracy"])
    for name, y in whole.items():
        np.testing.assert_allclose(to_numpy(parts[name]), to_numpy(y), rtol=1e-5, atol=1e-6)
    assert list(net.gradient(X, T)) == list(net.parameters)


def test_weights_count_in_what_is_measured(xp):
    net = two_heads(xp)
    y = {name: to_numpy(part).astype("float64") for name, part in net.predict(X).items()}
    right, errors = y["kind"].argmax(1) == KIND, (y["age"][:, 0] - AGE) ** 2
    weight = {"kind": WEIGHTS["kind"]}
    scores = pnn.Trainer(net).evaluate(X, T, sample_weight=weight, batch_size=25)
    assert scores["kind_accuracy"] == pytest.approx(np.average(right, weights=WEIGHTS["kind"]), rel=1e-5)
    assert scores["age_loss"] == pytest.approx(errors.mean(), rel=1e-4)
    history = fitted(net, epochs=1, optimizer=pnn.SGD(1e-12), validation_data=(X, T, WEIGHTS))
    assert history["val_kind_accuracy"][0] == pytest.approx(np.average(right, weights=WEIGHTS["kind"]), rel=1e-5)
    assert history["val_age_loss"][0] == pytest.approx(np.average(errors, weights=WEIGHTS["age"]), rel=1e-4)


def test_predictions_are_planned_by_all_shapes(xp):
    net = two_heads(xp)
    walked, recorded, planned = (net.predict(X) for _ in range(3))
    fewer = [net.predict({name: array[:7] for name, array in X.items()}) for _ in range(3)]
    for name, y in walked.items():
        for other in (recorded, planned):
            np.testing.assert_allclose(to_numpy(other[name]), to_numpy(y), rtol=1e-5, atol=1e-6)
        for other in fewer:
            np.testing.assert_allclose(to_numpy(other[name]), to_numpy(y)[:7], rtol=1e-5, atol=1e-6)


def test_names_come_in_any_order_as_any_mapping_and_as_lists(xp):
    expected = fitted(two_heads(xp), epochs=2)["loss"]
    turned = OrderedDict(table=TABLE.tolist(), image=IMAGE), {"age": AGE.tolist(), "kind": KIND}
    here = {name: xp.asarray(array, device=xp.place.device) for name, array in X.items()}
    for x, t in (turned, (here, {"kind": KIND[:, None][:, 0], "age": AGE[:, None]})):
        np.testing.assert_allclose(fitted(two_heads(xp), x, t, epochs=2)["loss"], expected, rtol=1e-6)


def test_a_share_is_kept_to_validate_with(xp):
    history = fitted(two_heads(xp), validation_split=0.25, shuffle=True)
    assert len(history["val_kind_accuracy"]) == EPOCHS
    other = fitted(two_heads(), validation_split=0.25, shuffle=True)
    for name in ("loss", "val_kind_loss", "val_age_loss"):
        np.testing.assert_allclose(history[name], other[name], rtol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("weight", [None, WEIGHTS, WEIGHTS["kind"]], ids=["", "by output", "one for all"])
def test_iterables_yield_mappings(xp, weight, accumulate):
    def rows(part, cut):
        return {name: a[cut] for name, a in part.items()} if isinstance(part, dict) else part[cut]

    cuts = [slice(i, i + 6) for i in range(0, N, 6)]
    batches = [[rows(part, cut) for part in (X, T, weight) if part is not None] for cut in cuts]
    streamed = fitted(two_heads(xp), [tuple(b) for b in batches], None, epochs=2, accumulate=accumulate)
    arrays = fitted(two_heads(xp), batch_size=6, sample_weight=weight, epochs=2, accumulate=accumulate)
    for name in ("loss", "kind_loss", "age_loss"):
        np.testing.assert_allclose(streamed[name], arrays[name], rtol=1e-5)
    net = two_heads(xp)
    scores = pnn.Trainer(net).evaluate([tuple(b[:2]) for b in batches])
    assert scores == pytest.approx(pnn.Trainer(net).evaluate(X, T), rel=1e-5)


def test_some_batches_of_a_stream_have_weights(xp):
    halves = [
        ({n: a[cut] for n, a in X.items()}, {n: a[cut] for n, a in T.items()}) for cut in (slice(30), slice(30, N))
    ]
    batches = [halves[0], (*halves[1], {"age": WEIGHTS["age"][30:]})]
    weight = {"age": np.concatenate([np.ones(30), WEIGHTS["age"][30:]])}
    streamed = fitted(two_heads(xp), batches, None, epochs=2, accumulate=2)
    arrays = fitted(two_heads(xp), batch_size=N, sample_weight=weight, epochs=2)
    np.testing.assert_allclose(streamed["age_loss"], arrays["age_loss"], rtol=1e-5)


# Files, copies, callbacks.


def test_a_saved_network_has_names_and_losses(xp, tmp_path):
    net = two_heads(xp, HARD and {name: make() for name, make in HARD.items()})
    net.freeze("affine1")
    fitted(net, epochs=1, optimizer=pnn.SGD(1e-3))
    net.save(tmp_path / "net.safetensors")
    again = pnn.load(tmp_path / "net.safetensors", xp.place.xp, device=xp.place.device)
    assert repr(again) == repr(net)
    assert again.order.output_names == ["kind", "age"]
    for name, y in net.predict(X).items():
        np.testing.assert_array_equal(to_numpy(again.predict(X)[name]), to_numpy(y))
    assert fitted(again, epochs=1)["loss"] == fitted(net, epochs=1)["loss"]


def test_a_run_goes_on_with_the_same_bits(xp, tmp_path):
    options = {"validation_data": (X, T), "sample_weight": WEIGHTS, "shuffle": True, "epochs": 6}
    middle = {"middle": [pnn.Dropout(0.2)]}
    whole = two_heads(xp, **middle)
    expected = fitted(whole, optimizer=pnn.Adam(1e-2), **options)
    for epochs in (2, 6):
        net = two_heads(xp, **middle)
        options |= {"epochs": epochs, "checkpoint": tmp_path, "resume": True}
        history = fitted(net, optimizer=pnn.Adam(1e-2), **options)
    for name in ("loss", "kind_loss", "age_loss", "val_kind_loss", "val_kind_accuracy"):
        assert history[name] == expected[name]
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(to_numpy(net.parameters[name]), to_numpy(array))
    best = pnn.load(tmp_path / "best.safetensors", xp.place.xp, device=xp.place.device)
    assert list(best.predict(X)) == ["kind", "age"]


class Interrupting(pnn.Callback):
    def on_batch(self, trainer, step, record):
        if trainer.epochs == 2 and step == 3:
            raise KeyboardInterrupt


def test_a_run_that_ends_within_an_epoch_goes_on_with_the_same_bits(xp, tmp_path):
    def batches(epoch):
        for i in range(0, N, 6):
            if stops and epoch == 2 and i == 30:
                raise OSError("gone")
            cut = slice(i, i + 6)
            yield {n: a[cut] for n, a in X.items()}, {n: a[cut] for n, a in T.items()}, WEIGHTS["kind"][cut]

    stops = False
    whole = two_heads(xp)
    expected = fitted(whole, batches, None, epochs=3)
    stops, net = True, two_heads(xp)
    with pytest.raises(OSError, match="gone"):
        fitted(net, batches, None, epochs=3, checkpoint=tmp_path)
    stops, net = False, two_heads(xp)
    history = fitted(net, batches, None, epochs=3, checkpoint=tmp_path, resume=True)
    assert history["loss"] == expected["loss"]
    assert history["age_loss"] == expected["age_loss"]
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(to_numpy(net.parameters[name]), to_numpy(array))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"weights": {"age": 0.5}}, r"loss \(weights.age\) was 0.3, now it is 0.5"),
        ({"losses": {"kind": pnn.SoftmaxWithLoss(), "age": pnn.Huber()}}, r"loss \(losses.age.kind\)"),
        ({"t": {"kind": KIND, "age": AGE + 1}}, r"data \(t.age.sha256\)"),
        ({"x": {"image": IMAGE, "table": TABLE + 1}}, r"data \(x.table.sha256\)"),
        ({"sample_weight": {"age": np.ones(N)}}, r"data \(sample_weight\)"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_run_is_told_by_its_names(tmp_path, change, what):
    fitted(two_heads(), checkpoint=tmp_path, epochs=1)
    data = {name: change.pop(name) for name in ("x", "t", "sample_weight") if name in change}
    with pytest.raises(ValueError, match=what):
        fitted(two_heads(**change), checkpoint=tmp_path, epochs=2, resume=True, **data)


def test_copies_are_whole(xp):
    net = two_heads(xp)
    trainer = pnn.Trainer(net, pnn.SGD(RATE))
    trainer.fit(X, T, epochs=1, progress=False)
    others = [copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))]
    expected = trainer.fit(X, T, epochs=2, progress=False)["loss"]
    for other in others:
        np.testing.assert_allclose(other.fit(X, T, epochs=2, progress=False)["loss"], expected, rtol=1e-6)
        assert other.network.loss_function.weights == {"kind": 1.0, "age": SHARE}
    moved = net.to("numpy", dtype="float64")
    for name, y in net.predict(X).items():
        np.testing.assert_allclose(moved.predict(X)[name], to_numpy(y), rtol=1e-4, atol=1e-5)


class Noting(pnn.Callback):
    def __init__(self):
        self.records = []

    def on_batch(self, trainer, step, record):
        self.records.append({name: float(value) for name, value in record.items()})


@pytest.mark.parametrize("accumulate", [1, 2])
def test_callbacks_see_each_loss(xp, accumulate):
    told = Noting()
    history = fitted(two_heads(xp), epochs=1, batch_size=N // 2, accumulate=accumulate, callbacks=[told])
    assert [list(record) for record in told.records] == [["loss", "kind_loss", "age_loss"]] * (2 // accumulate)
    for record in told.records:
        assert record["loss"] == pytest.approx(record["kind_loss"] + SHARE * record["age_loss"], rel=1e-5)
    mean = np.mean([record["age_loss"] for record in told.records])
    assert history["age_loss"][0] == pytest.approx(mean, rel=1e-5)


class Reweighing(pnn.Callback):
    def __init__(self, by, on="on_epoch"):
        self.by = by

    def on_epoch(self, trainer, epoch, record):
        trainer.network.loss_function.weights = self.by


def test_a_callback_replaces_what_losses_count(xp):
    net, plain = two_heads(xp), two_heads(xp)
    history = fitted(net, epochs=3, callbacks=[Reweighing({"kind": 0.0, "age": 2.0})])
    fitted(plain, epochs=1)
    plain.loss_function.weights = {"kind": 0.0, "age": 2.0}
    expected = fitted(plain, epochs=2)
    np.testing.assert_allclose(history["age_loss"][1:], expected["age_loss"], rtol=1e-5)
    np.testing.assert_allclose(history["loss"][2], 2 * history["age_loss"][2], rtol=1e-5)
    with pytest.raises(TypeError):
        net.loss_function.weights["age"] = 3.0  # which would not be seen


def test_training_stops_by_the_loss_of_an_output(xp):
    stopping = pnn.EarlyStopping(2, monitor="val_kind_loss")
    noise = {"kind": RNG.integers(0, 3, N), "age": AGE}
    history = fitted(two_heads(xp), epochs=60, validation_data=(X, noise), callbacks=[stopping])
    assert history.stopped.startswith("val_kind_loss has not improved")
    assert history.best_epoch == 1 + int(np.argmin(history["val_kind_loss"]))
    with pytest.raises(ValueError, match="watches 'val_kind_loss': give fit validation_data"):
        fitted(two_heads(xp), callbacks=[pnn.EarlyStopping(monitor="val_kind_loss")])


def test_frozen_parameters_and_averages(xp):
    net = two_heads(xp)
    net.freeze("affine2")
    before = to_numpy(net.parameters["affine2.W"]).copy()
    trainer = pnn.Trainer(net, pnn.AdamW(1e-2, groups={"*.b": {"weight_decay": 0.0}}))
    history = trainer.fit(X, T, epochs=3, validation_data=(X, T), callbacks=[pnn.EMA(0.9)], progress=False)
    np.testing.assert_allclose(to_numpy(net.parameters["affine2.W"]), before, rtol=1e-6)  # an average of equal ones
    assert trainer.evaluate(X, T)["age_loss"] == pytest.approx(history["val_age_loss"][-1], rel=1e-5)


def test_it_recovers_from_losses_that_are_too_large(xp):
    net = two_heads(xp, weights={"age": 1.0})
    with pytest.warns(UserWarning, match="learning rate"):
        history = fitted(net, optimizer=pnn.SGD(8.0), recoveries=12, loss_limit=1e3, epochs=3)
    assert all(np.isfinite(history["age_loss"]))


# Code of somebody's own.


class MyError(pnn.Loss):
    """The double of MeanSquaredError for one output."""

    def targets(self, shape, t, place, sample_weight=None):
        t = place.asarray(to_numpy(t))
        return t if t.ndim == 2 else t[:, None], None

    def forward_pass(self, run, params, y, t, weight=None):
        scale = 1.0 / float(y.shape[0])  # a Python number, which nobody may freeze
        return run.place.xp.sum((y - t) ** 2) * scale, (y - t, scale)

    def gradient(self, run, saved, dout=1.0):
        return saved[0] * (2.0 * saved[1]) * dout


@pytest.mark.filterwarnings("ignore:steps with .* run uncompiled")
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_loss_of_ones_own_among_others(xp, accumulate, tmp_path):
    net = two_heads(xp, {"kind": pnn.SoftmaxWithLoss(), "age": MyError()})
    history = fitted(net, accumulate=accumulate)
    expected = fitted(two_heads(xp), accumulate=accumulate)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    with pytest.raises(ValueError, match="MyError, of the output age, takes no sample weights"):
        fitted(net, sample_weight=WEIGHTS)
    net.save(tmp_path / "net.safetensors")
    with pytest.raises(pnn.CheckpointError, match="MyError"):
        pnn.load(tmp_path / "net.safetensors")
    again = pnn.load(tmp_path / "net.safetensors", classes=[MyError])
    assert isinstance(again.loss_function.losses["age"], MyError)


def words_and_numbers(xp, **options):
    g = pnn.Graph(loss={"kind": pnn.SoftmaxWithLoss(), "age": pnn.MeanSquaredError()}, seed=0, **options)
    h = pnn.Tanh()(pnn.Mean(axis=1)(pnn.Embedding(7, 8)(g.input("words"))) + pnn.Affine(3, 8)(g.input("table")))
    g.output(kind=pnn.Affine(8, 3)(h), age=pnn.Affine(8, 1)(h))
    return g.to(xp.place.xp, device=xp.place.device)


def test_whole_numbers_reach_the_input_that_asks_for_them(xp):
    words, runs = RNG.integers(0, 7, (N, 5)), []
    for here in (np, xp.place.xp):
        place = {} if here is np else {"device": xp.place.device}
        x = {"words": here.asarray(words, **place), "table": here.asarray(TABLE, **place)}
        net = words_and_numbers(xp)
        runs.append(fitted(net, x, T, validation_data=(x, T), accumulate=2)["age_loss"])
        assert net.predict(x)["kind"].shape == (N, 3)
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-5)
    assert runs[0][-1] < runs[0][0]
    with pytest.raises(pnn.DTypeError, match="the input words needs x of whole numbers"):
        fitted(net, {"words": TABLE, "table": TABLE}, T)
    with pytest.raises(ValueError, match="7"):
        fitted(net, {"words": words + 3, "table": TABLE}, T)
    with pytest.raises(ValueError, match="7"):
        net.predict({"words": words + 3, "table": TABLE})


# Inside.


def test_a_network_of_several_inputs_and_outputs_is_a_layer(xp):
    inner = pnn.Graph()
    h = pnn.Tanh()(pnn.Affine(6, 8)(inner.input("image")) + pnn.Affine(3, 8)(inner.input("table")))
    inner.output(kind=pnn.Affine(8, 3)(h), age=pnn.Affine(8, 1)(h))
    losses = {"k": pnn.SoftmaxWithLoss(), "a": pnn.MeanSquaredError()}
    place = {"xp": xp.place.xp, "device": xp.place.device}
    outer = pnn.Graph(loss=losses, loss_weights={"a": SHARE}, seed=0, **place)
    kind, age = inner(outer.input("i"), outer.input("t"), name="body")
    outer.output(k=kind, a=age)
    flat = two_heads(xp)
    for name, array in flat.parameters.items():
        outer.parameters[f"body.{name}"] = array
    history = fitted(outer, {"i": IMAGE, "t": TABLE}, {"k": KIND, "a": AGE})
    expected = fitted(flat)
    assert history["loss"] == expected["loss"]
    assert history["a_loss"] == expected["age_loss"]
    for name, array in flat.parameters.items():
        np.testing.assert_array_equal(to_numpy(outer.parameters[f"body.{name}"]), to_numpy(array))


def test_one_output_may_have_a_name_and_one_input_its_array(xp):
    runs = []
    place = {"xp": xp.place.xp, "device": xp.place.device}
    for loss, x, t in (
        (pnn.SoftmaxWithLoss(), IMAGE, KIND),
        (pnn.SoftmaxWithLoss(), {"image": IMAGE}, {"kind": KIND}),
        ({"kind": pnn.SoftmaxWithLoss()}, IMAGE, {"kind": KIND}),
    ):
        g = pnn.Graph(loss=loss, seed=0, **place)
        g.output(kind=pnn.Affine(6, 3)(g.input("image")))
        runs.append(fitted(g, x, t, sample_weight=WEIGHTS["kind"])["loss"])
        assert list(g.predict(IMAGE)) == ["kind"]
        assert (list(g.accuracy(x, t)) == ["kind"]) if isinstance(loss, dict) else g.accuracy(x, t) <= 1
    assert runs[0] == runs[1]
    np.testing.assert_allclose(runs[2], runs[0], rtol=1e-6)


def test_outputs_without_names_are_a_tuple(xp):
    g = pnn.Graph(seed=0, xp=xp.place.xp, device=xp.place.device)
    x = g.input("x")
    g.output(pnn.Affine(6, 3)(x), pnn.Affine(6, 1)(x))
    whole, parts = g.predict(IMAGE), pnn.Trainer(g).predict(IMAGE, batch_size=25)
    assert isinstance(whole, tuple)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(to_numpy(other), to_numpy(one), rtol=1e-5, atol=1e-6)


def test_an_output_may_lead_on_to_another(xp):
    """Its derivative is the sum of that by its own loss and that by the other."""
    g = pnn.Graph(loss={"a": pnn.MeanSquaredError("sum"), "b": pnn.MeanSquaredError("sum")}, seed=0, xp=xp.place.xp)
    a = pnn.Affine(6, 1)(g.input("x"))
    g.output(a=a, b=2.0 * a)
    t = np.zeros((N, 1), "float32")
    y = to_numpy(g.predict(IMAGE)["a"])
    expected = IMAGE.T @ (2 * y + 8 * y)
    found = to_numpy(g.gradient(IMAGE, {"a": t, "b": t})["affine1.W"])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_plans_are_kept_by_the_shapes_of_all_arrays(monkeypatch):
    made = []
    planned = PlannedStep._planned
    monkeypatch.setattr(PlannedStep, "_planned", lambda *given: made.append(1) or planned(*given))
    g = pnn.Graph(loss={"y": pnn.MeanSquaredError()}, seed=0)
    pooled = [pnn.Mean(axis=(1, 2))(g.input(name)) for name in ("a", "b")]
    g.output(y=pnn.Affine(1, 1)(pnn.Reshape((1,))(pooled[0] * pooled[1])))

    def batches(epoch):
        for a, b in ((3, 4), (4, 3), (3, 4), (4, 3), (4, 4)):
            rng = np.random.default_rng(a)
            yield {"a": rng.random((5, a, 2)), "b": rng.random((5, b, 2))}, {"y": np.ones(5)}

    pnn.Trainer(g, pnn.SGD(0.1)).fit(batches, epochs=2, progress=False)
    assert len(made) == 3


def test_many_steps_are_one_call_on_jax(monkeypatch):
    pytest.importorskip("jax")
    from portable_nn.training.compiled_step import CompiledStep

    calls, take = [], CompiledStep.take
    monkeypatch.setattr(CompiledStep, "take", lambda *given: calls.append(1) or take(*given))
    monkeypatch.setattr(CompiledStep, "steps_in_a_call", lambda *_: 5)
    net = two_heads().to("jax")
    here = [{n: net.place.xp.asarray(a) for n, a in part.items()} for part in (X, T)]
    history = fitted(net, *here, batch_size=6, epochs=2)
    assert len(calls) == 4
    expected = fitted(two_heads(), batch_size=6, epochs=2)
    for name in ("loss", "kind_loss", "age_loss"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)


def test_the_history_is_drawn_by_output():
    pytest.importorskip("matplotlib")
    figure = fitted(two_heads(), validation_data=(X, T)).plot()
    assert [axes.get_title() for axes in figure.axes] == ["loss", "kind loss", "age loss", "kind accuracy"]


def test_the_bar_shows_each_loss(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fitted(two_heads(), epochs=1, validation_data=(X, T), progress=True)
    shown = capsys.readouterr().err
    for name in ("kind_loss=", "age_loss=", "val_kind_accuracy="):
        assert name in shown


# Mistakes.


def train(x=X, t=T, **options):
    return lambda net: pnn.Trainer(net, pnn.SGD(0.1)).fit(x, t, progress=False, **options)


MISTAKES = {
    "an input is missing": (
        train({"image": IMAGE}),
        ValueError,
        "x needs the names image, table, got image: table is m",
    ),
    "an input is misspelt": (train({"image": IMAGE, "tabel": TABLE}), ValueError, "no tabel, did you mean table"),
    "one input too many": (train({**X, "sound": TABLE}), ValueError, "image, table, sound: there is no sound"),
    "one array for two inputs": (
        train(IMAGE),
        TypeError,
        r"x needs to be a mapping by image, table, got an array of sh",
    ),
    "inputs of two lengths": (
        train({"image": IMAGE, "table": TABLE[:5]}),
        pnn.ShapeError,
        r"as many samples each, \(N, ...\), got \(60, 6\) for image, \(5, 3\) for table",
    ),
    "an input of another shape": (train({"image": IMAGE[:, :5], "table": TABLE}), pnn.ShapeError, "affine1"),
    "one array for two targets": (train(t=KIND), TypeError, "t needs to be a mapping by kind, age, got an array"),
    "a target is missing": (
        train(t={"kind": KIND}),
        ValueError,
        "t needs the names kind, age, got kind: age is missing",
    ),
    "a target is misspelt": (train(t={"kind": KIND, "aeg": AGE}), ValueError, "there is no aeg, did you mean age"),
    "a target is of another length": (train(t={"kind": KIND[:5], "age": AGE}), pnn.ShapeError, "the output kind: "),
    "a label is out of range": (train(t={"kind": KIND + 9, "age": AGE}), pnn.LabelError, "the output kind: "),
    "weights of no output": (train(sample_weight={"kidn": AGE}), ValueError, "no kidn, did you mean kind"),
    "weights of another length": (train(sample_weight={"kind": AGE[:5]}), pnn.ShapeError, "the output kind: sample_w"),
    "no targets": (train(t=None), TypeError, "targets t are needed beside arrays x by name"),
    "NaN": (train({"image": IMAGE, "table": TABLE * np.nan}), ValueError, r"x\['table'\] needs finite numbers"),
    "a validation target": (train(validation_data=(X, {"kind": KIND})), ValueError, "age is missing"),
    "a batch of an iterable": (train([(X, {"kind": KIND})], None), ValueError, "age is missing"),
    "a list of a mapping of text": (train({"image": IMAGE, "table": [["a"] * 3] * N}), pnn.DTypeError, r"x\['table'\]"),
    "predict": (lambda net: net.predict({"image": IMAGE}), ValueError, "table is missing"),
    "predict of an array": (lambda net: net.predict(IMAGE), TypeError, "a mapping by image, table"),
    "evaluate": (lambda net: pnn.Trainer(net).evaluate(X, AGE), TypeError, "a mapping by kind, age"),
    "accuracy": (lambda net: net.accuracy(X, {"age": AGE}), ValueError, "kind is missing"),
    "summary": (
        lambda net: net.summary((6,)),
        TypeError,
        "input_shape needs to be a mapping by image, table, got tuple",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_and_changes_nothing(mistake):
    act, kind, message = MISTAKES[mistake]
    net = two_heads()
    before = [array.copy() for array in net.arrays()]
    with pytest.raises(kind, match=message):
        act(net)
    for array, old in zip(net.arrays(), before, strict=True):
        np.testing.assert_array_equal(array, old)
    assert net.stream.position == 0


def test_mappings_where_arrays_are_needed():
    net = pnn.Sequential(pnn.Affine(6, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    with pytest.raises(ValueError, match="Sequential: x needs the names x, got image: there is no image"):
        train({"image": IMAGE}, KIND)(net)
    with pytest.raises(TypeError, match="t to be an array, as its output has no name, got a mapping of kind"):
        train(IMAGE, {"kind": KIND})(net)
    with pytest.raises(TypeError, match="sample_weight to be an array"):
        train(IMAGE, KIND, sample_weight={"kind": AGE})(net)
    with pytest.raises(TypeError, match="t to be an array"):
        net.gradient(IMAGE, {"kind": KIND})
    regression = pnn.Graph(loss={"age": pnn.MeanSquaredError()}, seed=0)
    regression.output(age=pnn.Affine(6, 1)(regression.input("x")))
    with pytest.raises(TypeError, match="has no accuracy"):
        regression.accuracy(IMAGE, {"age": AGE})


def test_unseen_classes_are_named_with_their_output():
    g = pnn.Graph(loss={"kind": pnn.SoftmaxWithLoss(), "size": pnn.SoftmaxWithLoss()}, seed=0)
    x = g.input("x")
    g.output(kind=pnn.Affine(2, 3)(x), size=pnn.Affine(2, 3)(x))
    x, t = np.ones((4, 2)), {"kind": np.array([0, 1, 2, 0]), "size": np.array([0, 1, 0, 1])}
    validation = x, t | {"size": np.array([0, 1, 2, 0])}
    with pytest.warns(UserWarning, match="no sample to train on has the labels 2 of the output size, but some to"):
        pnn.Trainer(g).fit(x, t, epochs=1, validation_data=validation, progress=False)
