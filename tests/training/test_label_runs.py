"""Runs of networks that label sequences and pixels: as torch's, in micro-batches, with weights, in streams."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import portable_nn as pnn
from portable_nn.arrays import to_numpy

RNG = np.random.default_rng(0)
N, T, F, C = 60, 5, 6, 3
CLASS_WEIGHT = [0.5, 2.0, 1.5]
X = {"sequences": RNG.standard_normal((N, T, F)), "pixels": RNG.standard_normal((N, F, 2, 3))}


def with_ignored(shape):
    labels = np.where(RNG.random(shape) < 0.3, -100, RNG.integers(0, C, shape))
    labels[12:15] = -100  # a part of a batch in which nothing counts
    return labels


LABELS = {"sequences": with_ignored((N, T)), "pixels": with_ignored((N, 2, 3))}
WEIGHT = {kind: np.random.default_rng(1).random(t.shape) for kind, t in LABELS.items()}


def network(kind, xp=None, dtype="float64", **options):
    layers = [pnn.MatMul(F, 8), pnn.Tanh(), pnn.MatMul(8, C)]
    if kind == "pixels":
        layers = [pnn.Transpose((0, 2, 3, 1)), *layers, pnn.Transpose((0, 3, 1, 2))]
    place = {} if xp is None else {"xp": xp.place.xp, "device": xp.place.device}
    loss = pnn.SoftmaxWithLoss(**{"ignore_label": -100, "class_weight": CLASS_WEIGHT} | options)
    return pnn.Sequential(*layers, loss=loss, seed=0, dtype=dtype, **place)


def theirs(kind, start, batches, lr):
    """Return torch's losses and weights over SGD steps of the same network."""
    torch = pytest.importorskip("torch")
    W, V = (torch.asarray(to_numpy(p).copy()).requires_grad_() for p in start.values())
    optimizer, losses = torch.optim.SGD([W, V], lr), []
    for x, t in batches:
        x = torch.asarray(x).movedim(1, -1) if kind == "pixels" else torch.asarray(x)
        y = (torch.tanh(x @ W) @ V).movedim(-1, 1)
        weight = torch.asarray(CLASS_WEIGHT, dtype=torch.float64)
        loss = torch.nn.functional.cross_entropy(y, torch.asarray(t), weight=weight, ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, [p.detach().numpy() for p in (W, V)]


class Losses(pnn.Callback):
    def __init__(self):
        self.losses = []

    def on_batch(self, trainer, step, record):
        self.losses.append(float(record["loss"]))


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("compile", [False, "auto"])
@pytest.mark.parametrize("kind", X)
def test_fifty_steps_are_torchs(xp64, kind, compile, accumulate):
    net, watched = network(kind, xp64), Losses()
    cuts = [slice(i, i + 12) for i in range(0, N, 12)]
    batches = [(X[kind][cut], LABELS[kind][cut]) for cut in cuts] * 10
    losses, weights = theirs(kind, dict(net.parameters), batches, 0.5)
    history = pnn.Trainer(net, pnn.SGD(0.5), compile=compile).fit(
        X[kind], LABELS[kind], epochs=10, batch_size=12 // accumulate, accumulate=accumulate, shuffle=False,
        progress=False, callbacks=[watched],
    )  # fmt: skip
    np.testing.assert_allclose(watched.losses, losses, rtol=1e-10)
    for array, expected in zip(net.parameters.values(), weights, strict=True):
        np.testing.assert_allclose(to_numpy(array), expected, rtol=1e-10, atol=1e-12)
    share = [np.asarray(CLASS_WEIGHT)[t[t >= 0]].sum() for _, t in batches[-5:]]
    assert history["loss"][-1] == pytest.approx(np.average(losses[-5:], weights=share), rel=1e-10)


def trained(kind, xp=None, *, x=None, t=None, weight=None, options=None, **fit):
    net = network(kind, xp, "float32", **(options or {}))
    trainer = pnn.Trainer(net, pnn.Momentum(1e-3 if net.criterion.reduction == "sum" else 0.1))
    data = X[kind] if x is None else x
    history = trainer.fit(data, LABELS[kind] if t is None else t, sample_weight=weight, progress=False, **fit)
    return history, [to_numpy(p) for p in net.parameters.values()], trainer


def assert_same(run, other):
    np.testing.assert_allclose(run[0]["loss"], other[0]["loss"], rtol=1e-5)
    for a, b in zip(run[1], other[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


OPTIONS = {
    "plain": {"class_weight": None},
    "weighted classes": {},
    "nothing ignored": {"class_weight": None, "ignore_label": None},
    "summed": {"reduction": "sum"},
    "balanced": {"class_weight": "balanced"},
}


@pytest.mark.parametrize(("kind", "weighted"), [("sequences", False), ("sequences", True), ("pixels", True)])
@pytest.mark.parametrize("options", OPTIONS)
def test_micro_batches_are_weighted_by_the_labels_that_count(xp, kind, options, weighted):
    fit = {"epochs": 2, "options": OPTIONS[options], "weight": WEIGHT[kind] if weighted else None}
    t = np.maximum(LABELS[kind], 0) if options == "nothing ignored" else LABELS[kind]
    if options == "summed":
        fit["epochs"] = 1
    whole = trained(kind, xp, t=t, batch_size=25, **fit)
    assert_same(trained(kind, xp, t=t, batch_size=5, accumulate=5, **fit), whole)


@pytest.mark.parametrize("kind", X)
def test_batches_of_unequal_weight_score_as_one(xp, kind):
    net = network(kind, xp, "float32")
    trainer = pnn.Trainer(net)
    x, t, weight = X[kind], LABELS[kind], WEIGHT[kind]
    scores = [trainer.evaluate(x, t, batch_size=size, sample_weight=weight) for size in (7, N)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
    assert scores[1]["loss"] == pytest.approx(float(net.loss(x, t, sample_weight=weight)), rel=1e-6)
    right = to_numpy(net.predict(x)).argmax(axis=-1 if kind == "sequences" else 1) == t
    assert scores[1]["accuracy"] == pytest.approx(np.average(right[t >= 0], weights=weight[t >= 0]), rel=1e-5)
    unweighted = trainer.evaluate(x, t, batch_size=7)["accuracy"]
    assert unweighted == pytest.approx(right[t >= 0].mean(), rel=1e-12)
    assert unweighted == pytest.approx(net.accuracy(x, t), rel=1e-12)
    stream = trainer.evaluate([(x[:7], t[:7], weight[:7]), (x[7:], t[7:], weight[7:])])
    assert stream == pytest.approx(scores[1], rel=1e-5)


def test_weights_of_labels_go_with_data_that_are_validated(xp):
    x, t, weight = X["sequences"], LABELS["sequences"], WEIGHT["sequences"]
    options = {"epochs": 1, "batch_size": 16}
    history, _, trainer = trained("sequences", xp, validation_data=(x, t, weight), **options)
    expected = trainer.evaluate(x, t, sample_weight=weight)
    assert history["val_loss"][0] == pytest.approx(expected["loss"], rel=1e-6)
    assert history["val_accuracy"][0] == pytest.approx(expected["accuracy"])
    lists, _, _ = trained("sequences", xp, validation_data=(x.tolist(), t.tolist(), weight.tolist()), **options)
    assert lists["val_loss"] == history["val_loss"]
    split, _, _ = trained("sequences", xp, weight=weight, validation_split=0.25, **options)
    assert np.isfinite(split["val_loss"]).all()


@pytest.mark.parametrize("by", ["label", "sample"])
@pytest.mark.parametrize("kind", X)
def test_streams_and_arrays_train_alike(xp, kind, by):
    x, t = X[kind], LABELS[kind]
    weight = WEIGHT[kind] if by == "label" else WEIGHT[kind].reshape(N, -1)[:, 0]
    arrays = trained(kind, xp, weight=weight, epochs=2, batch_size=20, shuffle=False)
    batches = [(x[i : i + 10], t[i : i + 10], weight[i : i + 10]) for i in range(0, N, 10)]
    net = network(kind, xp, "float32")
    history = pnn.Trainer(net, pnn.Momentum(0.1)).fit(batches, epochs=2, accumulate=2, progress=False)
    assert_same((history, [to_numpy(p) for p in net.parameters.values()]), arrays)


def test_batches_without_weights_among_others_weigh_one():
    x, t, weight = X["sequences"], LABELS["sequences"], WEIGHT["sequences"]
    ones = np.concatenate([weight[:30], np.ones((30, T))])
    arrays = trained("sequences", weight=ones, epochs=1, batch_size=60, shuffle=False)
    net = network("sequences", dtype="float32")
    batches = [(x[:30], t[:30], weight[:30]), (x[30:], t[30:])]
    history = pnn.Trainer(net, pnn.Momentum(0.1)).fit(batches, epochs=1, accumulate=2, progress=False)
    assert_same((history, [to_numpy(p) for p in net.parameters.values()]), arrays)
    numbers = pnn.Sequential(pnn.Affine(3, 2), loss=pnn.MeanSquaredError(), seed=0)
    x, t = np.ones((4, 3)), np.ones((4, 2))
    with pytest.raises(pnn.ShapeError, match=r"sample weights of one form, got shapes \(4,\), \(4, 2\)"):
        pnn.Trainer(numbers).fit([(x, t, np.ones(4)), (x, t, np.ones((4, 2)))], accumulate=2, progress=False)


def test_batches_that_count_nothing_change_nothing(xp):
    net = network("sequences", xp, "float32")
    before = [to_numpy(p).copy() for p in net.parameters.values()]
    t = np.full((N, T), -100)
    history = pnn.Trainer(net, pnn.SGD(0.1)).fit(X["sequences"], t, epochs=2, batch_size=20, progress=False)
    assert history["loss"] == [0.0, 0.0]
    assert pnn.Trainer(net).evaluate(X["sequences"], t) == {"loss": 0.0, "accuracy": 0.0}
    for array, expected in zip(net.parameters.values(), before, strict=True):
        np.testing.assert_array_equal(to_numpy(array), expected)


def test_shapes_of_weights_may_change_between_batches():
    x, t = RNG.standard_normal((12, 3)), RNG.standard_normal((12, 2))
    weights = [RNG.random(6), RNG.random((6, 2))]
    each = np.concatenate([np.repeat(weights[0][:, None], 2, axis=1), weights[1]])
    batches = [(x[:6], t[:6], weights[0]), (x[6:], t[6:], weights[1])]
    runs = []
    for data in (batches, [(x[:6], t[:6], each[:6]), (x[6:], t[6:], each[6:])]):
        net = pnn.Sequential(pnn.Affine(3, 2), loss=pnn.MeanSquaredError(), seed=0)
        runs.append(pnn.Trainer(net, pnn.SGD(0.1)).fit(data, epochs=4, progress=False)["loss"])
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-6)


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("kind", X)
def test_classes_are_balanced_over_labels(kind, one_hot):
    labels = LABELS[kind]
    counted = labels[labels >= 0]
    t = labels
    if one_hot:
        labels = np.maximum(labels, 0)
        counted, t = labels.ravel(), np.eye(C)[labels]
        t = np.moveaxis(t, -1, 1) if kind == "pixels" else t
    _, _, trainer = trained(kind, t=t, options={"class_weight": "balanced"}, epochs=1)
    wanted = compute_class_weight("balanced", classes=np.arange(C), y=counted)
    np.testing.assert_allclose(list(trainer.network.criterion.class_weight.values()), wanted, rtol=1e-12)


def test_labels_unseen_in_training_are_warned_of_but_not_those_to_ignore():
    x, t = X["sequences"], np.zeros((N, T), int)
    other = np.full((N, T), -100)
    trained("sequences", t=t, validation_data=(x, other), epochs=1)
    other[0, 0] = 2
    with pytest.warns(UserWarning, match="no sample to train on has the labels 2, but"):
        trained("sequences", t=t, validation_data=(x, other), epochs=1)


def test_runs_with_labels_of_sequences_go_on_and_are_saved(tmp_path):
    options = {"checkpoint": tmp_path / "run", "batch_size": 16, "weight": WEIGHT["sequences"]}
    once = trained("sequences", epochs=4, batch_size=16, weight=WEIGHT["sequences"])
    trained("sequences", epochs=2, **options)
    resumed = trained("sequences", epochs=4, resume=True, **options)
    for a, b in zip(once[1], resumed[1], strict=True):
        np.testing.assert_array_equal(a, b)
    resumed[2].network.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors")
    assert loaded.criterion.config() == resumed[2].network.criterion.config()
    assert float(loaded.loss(X["sequences"], LABELS["sequences"])) == float(
        resumed[2].network.loss(X["sequences"], LABELS["sequences"])
    )
