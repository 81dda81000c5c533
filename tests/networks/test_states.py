"""States of networks: by path, at any depth, in files and copies, shared, moved, drawn anew; never by predicting."""

import copy
import pickle

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import backend_name, to_numpy

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((24, 5)).astype("float32"), np.arange(24) % 2


def nested(xp="numpy", device=None, **options):
    inner = pnn.Residual(pnn.Affine(8, 8), pnn.BatchNorm(8), pnn.Sequential(pnn.ReLU(), pnn.BatchNorm(8)))
    layers = pnn.Affine(5, 8), pnn.BatchNorm(8), inner, pnn.Affine(8, 2)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp, device=device, **options)


def states_of(net):
    return {name: to_numpy(array).copy() for name, array in net.states.items()}


def fit(net, **options):
    return pnn.Trainer(net, pnn.SGD(0.1)).fit(X, T, **{"epochs": 2, "batch_size": 8, "progress": False} | options)


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


PATHS = ["1.mean", "1.variance", "2.1.mean", "2.1.variance", "2.2.1.mean", "2.2.1.variance"]


def test_paths_and_first_values():
    net = nested()
    assert list(net.states) == PATHS
    assert [float(array[0]) for array in net.states.values()] == [0.0, 1.0] * 3
    assert "1.mean" not in net.parameters
    assert [array.shape for array in net.arrays()[len(net.parameters) :]] == [(8,)] * 6
    assert net.summary().endswith("186 parameters; 48 numbers of state")
    with pytest.raises(KeyError, match=r"there is no state '1\.gamma'; there are 1\.mean"):
        net.states["1.gamma"] = np.zeros(8)
    with pytest.raises(pnn.ShapeError, match=r"state 1.mean needs shape \(8,\)"):
        net.states["1.mean"] = np.zeros(3)


def test_only_training_changes_them(xp):
    net = nested(xp.place.xp, xp.place.device)
    before, x = states_of(net), xp.asarray(X)
    for _ in range(3):
        net.predict(x)
        net.gradient(x, T)
        net.loss(x, T, training=True)
        net.accuracy(x, T)
        pnn.Trainer(net, pnn.SGD(0.1)).evaluate(X, T)
    assert_same(states_of(net), before)
    fit(net)
    after = states_of(net)
    assert all(abs(after[name] - before[name]).max() > 1e-4 for name in PATHS)
    net.predict(x)
    pnn.Trainer(net, pnn.SGD(0.1)).evaluate(X, T)
    assert_same(states_of(net), after)


def test_a_loop_of_ones_own_writes_them(xp):
    one, other = (nested(xp.place.xp, xp.place.device) for _ in range(2))
    optimizer = pnn.SGD(0.1)
    for start in range(0, 24, 8):
        batch = X[start : start + 8], T[start : start + 8]
        optimizer.update(one.parameters, one.gradient(*batch, write_states=True))
    fit(other, epochs=1, shuffle=False)
    for name, array in states_of(other).items():
        np.testing.assert_allclose(states_of(one)[name], array, rtol=1e-4, atol=1e-5)


def test_predictions_follow_states_that_are_assigned(xp):
    net, x = nested(xp.place.xp, xp.place.device), xp.asarray(X)
    first = [to_numpy(net.predict(x)) for _ in range(3)][-1]
    net.states["1.mean"] = np.full(8, 0.5)
    assert abs(to_numpy(net.predict(x)) - first).max() > 1e-3


def test_files_hold_them(tmp_path, xp):
    fit(net := nested(xp.place.xp, xp.place.device))
    net.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors", xp.place.xp, device=xp.place.device)
    assert_same(states_of(loaded), states_of(net))
    np.testing.assert_array_equal(to_numpy(loaded.predict(X)), to_numpy(net.predict(X)))


class Mean(pnn.Layer):
    """x minus the mean of all rows so far: somebody's own."""

    options = ("size",)

    def __init__(self, size):
        super().__init__()
        self.size = size
        self.states["sum"], self.states["rows"] = pnn.State((size,)), pnn.State((), 1e-3)

    def forward_pass(self, run, params, x):
        total = run.states["sum"] + run.place.xp.sum(x, axis=0)
        rows = run.states["rows"] + float(x.shape[0])
        run.update("sum", total)
        run.update("rows", rows)
        return x - total / rows, None

    def backward_pass(self, run, params, saved, dy):
        return dy, {}


def test_a_file_of_a_layer_of_ones_own(tmp_path):
    net = pnn.Sequential(Mean(5), pnn.Affine(5, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    fit(net)
    net.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors", classes=[Mean])
    assert_same(states_of(loaded), states_of(net))
    assert float(loaded.states["0.rows"]) == pytest.approx(48.0, abs=0.01)


@pytest.mark.parametrize("damage", ["1.mean", "2.2.1.variance"])
def test_a_file_without_one_is_refused(tmp_path, damage):
    from portable_nn.storage.arrays import read_arrays, write_arrays

    nested().save(tmp_path / "net.safetensors")
    description, arrays = read_arrays(tmp_path / "net.safetensors", "network", 2)
    del arrays[damage]
    write_arrays(tmp_path / "net.safetensors", arrays, description)
    with pytest.raises(pnn.CheckpointError, match="its layers need"):
        pnn.load(tmp_path / "net.safetensors")


@pytest.mark.parametrize("made", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), lambda net: net.to()])
def test_copies_have_states_of_their_own(made):
    fit(net := nested())
    other, before = made(net), states_of(net)
    assert_same(states_of(other), before)
    fit(other)
    assert_same(states_of(net), before)
    assert abs(states_of(other)["1.mean"] - before["1.mean"]).max() > 1e-5


def test_moved_networks_bring_them(xp):
    fit(net := nested())
    there = net.to(xp)
    assert_same(states_of(there), states_of(net))
    np.testing.assert_allclose(to_numpy(there.predict(xp.asarray(X))), net.predict(X), rtol=1e-4, atol=1e-5)


def test_initialize_begins_anew():
    fit(net := nested())
    net.initialize(0)
    assert_same(states_of(net), states_of(nested()))
    np.testing.assert_array_equal(net.predict(X), nested().predict(X))


def test_a_trained_block_keeps_them_and_a_new_one_has_none_to_keep():
    block = pnn.Sequential(pnn.Affine(5, 8), pnn.BatchNorm(8))
    outer = pnn.Sequential(block, pnn.Affine(8, 2), loss=pnn.SoftmaxWithLoss(), seed=0, dtype="float64")
    assert outer.states["0.1.mean"].dtype == "float64"
    fit(outer)
    body = outer[0]
    after = {name.removeprefix("0."): array for name, array in states_of(outer).items()}
    other = pnn.Sequential(body, pnn.Affine(8, 3), loss=pnn.SoftmaxWithLoss(), seed=1)
    assert_same({name.removeprefix("0."): array for name, array in states_of(other).items()}, after)


def test_freezing_stops_gamma_and_beta_alone():
    net = nested()
    net.freeze("1", "2")
    gamma, before = net.parameters["1.gamma"].copy(), states_of(net)
    fit(net)
    np.testing.assert_array_equal(net.parameters["1.gamma"], gamma)
    assert abs(states_of(net)["1.mean"] - before["1.mean"]).max() > 1e-4
    with pytest.raises(KeyError, match=r"1\.mean is a state, which no gradient changes"):
        net.freeze("1.mean")


def test_frozen_statistics_stop(xp):
    net = nested(xp.place.xp, xp.place.device)
    fit(net)
    for _, layer in net.leaves():
        if isinstance(layer, pnn.BatchNorm):
            layer.frozen_statistics = True
    before, weights = states_of(net), to_numpy(net.parameters["0.W"]).copy()
    fit(net)
    assert_same(states_of(net), before)
    assert abs(to_numpy(net.parameters["0.W"]) - weights).max() > 1e-4


def test_a_layer_used_twice_is_updated_in_order(xp):
    norm = pnn.BatchNorm(5, momentum=0.25)
    g = pnn.Graph(loss=pnn.MeanSquaredError(), seed=0, xp=xp.place.xp, device=xp.place.device)
    x = g.input("x")
    g.output(norm(norm(x) * 3.0 + 1.0))
    x32 = X[:12]
    mean, variance = np.zeros(5), np.ones(5)
    for batch in (x32, x32 + 1.0, x32 * 2.0):
        first = batch.astype("float64")
        second = 3.0 * (first - first.mean(0)) / np.sqrt(first.var(0) + 1e-5) + 1.0
        for values in (first, second):
            mean = 0.75 * mean + 0.25 * values.mean(0)
            variance = 0.75 * variance + 0.25 * values.var(0, ddof=1)
        trainer = pnn.Trainer(g, pnn.SGD(1e-12))
        trainer.fit(batch, np.zeros((12, 5), "float32"), epochs=1, batch_size=12, progress=False)
        np.testing.assert_allclose(to_numpy(norm.states["mean"].value), mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(to_numpy(norm.states["variance"].value), variance, rtol=1e-4, atol=1e-5)
    assert len(g.states) == 2


def test_a_shared_layer_in_two_blocks_has_its_states_once(tmp_path):
    norm = pnn.BatchNorm(5)
    layers = pnn.Sequential(pnn.Affine(5, 5), norm), pnn.Sequential(norm, pnn.ReLU()), pnn.Affine(5, 2)
    net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0)
    assert list(net.states) == ["0.1.mean", "0.1.variance"]
    fit(net)
    net.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors")
    assert_same(states_of(loaded), states_of(net))
    assert_same({n: to_numpy(a) for n, a in loaded.parameters.items()}, dict(net.parameters))
    fit(net, epochs=1)
    fit(loaded, epochs=1)
    assert_same(states_of(loaded), states_of(net))
    assert loaded[0][1].states["mean"] is loaded[1][0].states["mean"]


def test_a_graph_called_by_hand_writes_them(xp):
    g = pnn.Graph(xp=xp.place.xp, device=xp.place.device, seed=0)
    g.output(pnn.BatchNorm(5, momentum=1.0)(g.input("x")))
    y = g.forward(xp.asarray(X))
    np.testing.assert_allclose(to_numpy(y).mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(to_numpy(g.states["batchnorm1.mean"]), X.mean(axis=0), rtol=1e-4, atol=1e-6)
    with pytest.raises(pnn.ShapeError, match="more than one value"):
        g.forward(xp.asarray(X[:1]))


class Own(pnn.Sequential):
    """A block with a pass of its own: opaque."""

    def forward_pass(self, run, params, *inputs):
        return super().forward_pass(run, params, *inputs)


@pytest.mark.filterwarnings("ignore:steps with .* run uncompiled")
def test_blocks_with_passes_of_their_own(xp):
    def made(kind):
        layers = pnn.Affine(5, 8), kind(pnn.BatchNorm(8), pnn.ReLU()), pnn.Affine(8, 2)
        return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp.place.xp, device=xp.place.device)

    ours, theirs = made(pnn.Sequential), made(Own)
    expected, found = fit(ours, epochs=4)["loss"], fit(theirs, epochs=4)["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    for name in ours.states:
        np.testing.assert_allclose(to_numpy(theirs.states[name]), to_numpy(ours.states[name]), rtol=1e-3, atol=1e-4)


def test_a_network_of_states_alone_is_where_they_are(xp):
    norm = pnn.BatchNorm(5)
    norm.initialize(xp.place, 0)
    net = pnn.Sequential(norm, pnn.Affine(5, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    assert backend_name(net.place.xp) == backend_name(xp.place.xp)
