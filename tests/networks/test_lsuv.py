"""Weights from data: what has variance 1 then, what is left alone, and what is refused."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

X = 4.0 + 3.0 * np.random.default_rng(0).standard_normal((64, 12)).astype("float32")


def at(xp):
    return {"xp": xp.place.xp, "device": xp.place.device}


def nested(**place):
    """Return a network of networks, the nodes behind all their affine layers, and its inputs."""
    block = pnn.Sequential(pnn.Affine(16, 16), pnn.Tanh(), pnn.MatMul(16, 16))
    g = pnn.Graph(loss=pnn.MeanSquaredError(), seed=3, **place)
    h = pnn.Sequential(pnn.Affine(12, 16), pnn.SELU(), pnn.Dropout(0.5), pnn.Residual(block))(g.input("x"))
    g.output(pnn.Affine(16, 5)(h))
    return g


class Watch(pnn.Run):
    """A run that notes the variances of what layers with weights return."""

    variances = ()

    def forward(self, layer, params, *inputs):
        y, saved = super().forward(layer, params, *inputs)
        if "W" in params:
            self.variances = (*self.variances, float(np.var(to_numpy(y))))
        return y, saved


def variances(net, x):
    run = Watch(net.place)
    net.forward_pass(run, net.pass_arrays(), net.inputs(x))
    return run.variances


def test_every_layer_of_a_nested_network_has_variance_one(xp):
    net = nested(**at(xp))
    before = {name: to_numpy(p).copy() for name, p in net.parameters.items()}
    assert max(abs(v - 1) for v in variances(net, X)) > 0.5
    pnn.lsuv(net, X)
    found = variances(net, X)
    assert len(found) == 4
    np.testing.assert_allclose(found, 1.0, atol=0.011)
    for name, p in net.parameters.items():
        assert np.array_equal(to_numpy(p), before[name]) == name.endswith(".b")
        if name.endswith("W"):  # a multiple of an orthogonal matrix
            W = to_numpy(p).astype("float64")
            gram = W.T @ W if W.shape[0] >= W.shape[1] else W @ W.T
            np.testing.assert_allclose(gram / gram[0, 0], np.eye(len(gram)), atol=1e-5)


def test_the_weights_are_those_of_the_seed_on_every_backend(xp):
    one, other, another = nested(**at(xp)), nested(), nested()
    another.seed = 4
    for net in (one, other, another):
        pnn.lsuv(net, X)
    for name, p in other.parameters.items():
        np.testing.assert_allclose(to_numpy(one.parameters[name]), p, rtol=1e-4, atol=1e-6)
        assert name.endswith(".b") or not np.allclose(another.parameters[name], p)


def test_a_shared_matrix_is_drawn_for_its_first_layer():
    first = pnn.Affine(12, 6)
    net = pnn.Sequential(first, pnn.Tanh(), pnn.Affine(6, 12, W=first.parameters["W"].T), pnn.Affine(12, 4), seed=0)
    pnn.lsuv(net, X)
    before, shared, last = variances(net, X)
    assert before == pytest.approx(1.0, abs=0.011)
    assert abs(shared - 1.0) > 0.1
    assert last == pytest.approx(1.0, abs=0.011)


def test_frozen_weights_embeddings_and_biases_stay(xp):
    g = pnn.Graph(seed=0, **at(xp))
    e = pnn.Flatten()(pnn.Embedding(9, 3)(g.input("word")))
    g.output(pnn.Affine(6, 4)(e), pnn.Affine(6, 4, b=pnn.initializers.normal(0.5))(e))
    g.freeze("affine1.W")
    words = np.random.default_rng(0).integers(0, 9, (40, 2))
    before = {name: to_numpy(p).copy() for name, p in g.parameters.items()}
    pnn.lsuv(g, words)
    changed = {name for name, p in g.parameters.items() if not np.array_equal(to_numpy(p), before[name])}
    assert changed == {"affine2.W"}
    assert np.var(to_numpy(g.predict(words)[1])) == pytest.approx(1.0, abs=0.011)


def test_states_and_random_numbers_are_not_touched():
    def net():
        layers = pnn.Affine(12, 8), pnn.BatchNorm(8), pnn.Dropout(0.5), pnn.Affine(8, 3)
        return pnn.Sequential(*layers, loss=pnn.MeanSquaredError(), seed=0)

    one, other = net(), net()
    pnn.lsuv(one, X)
    np.testing.assert_array_equal(one.states["1.mean"], other.states["1.mean"])
    for name in other.parameters:
        other.parameters[name] = one.parameters[name]
    assert float(one.loss(X, X[:, :3], training=True)) == float(other.loss(X, X[:, :3], training=True))


def test_inputs_by_name_with_a_mask():
    g = pnn.Graph(seed=0)
    g.output(pnn.Affine(5, 2)(pnn.Mean(1)(pnn.Affine(3, 5)(g.input("x")))))
    x = np.random.default_rng(0).standard_normal((30, 4, 3))
    pnn.lsuv(g, {"x": x, "mask": np.arange(4) < np.full((30, 1), 2)})
    assert variances(g, x)[0] == pytest.approx(1.0, abs=0.011)


@pytest.mark.parametrize("x", [np.zeros((8, 12)), np.full((8, 12), np.inf), np.full((8, 12), np.nan), X[:0]])
def test_outputs_without_a_variance_are_an_error_that_changes_nothing(x, xp):
    net = pnn.Sequential(pnn.Affine(12, 4), pnn.ReLU(), pnn.Affine(4, 2), seed=0, **at(xp))
    before = {name: to_numpy(p).copy() for name, p in net.parameters.items()}
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"from layer 0, Affine\(12, 4\)"):
        pnn.lsuv(net, x)
    for name, p in net.parameters.items():
        np.testing.assert_array_equal(to_numpy(p), before[name])


def test_a_dead_layer_is_named():
    dead = pnn.Affine(12, 4, b=pnn.initializers.constant(-1e6))
    net = pnn.Sequential(pnn.Sequential(dead, pnn.ReLU()), pnn.Affine(4, 2), seed=0)
    with pytest.raises(ValueError, match=r"got 0.0 from layer 1, Affine\(4, 2\)"):
        pnn.lsuv(net, X)


def test_what_has_no_weights_is_refused():
    with pytest.raises(ValueError, match="has no layer with weights W"):
        pnn.lsuv(pnn.Sequential(pnn.ReLU(), pnn.PReLU()), X)
    with pytest.raises(TypeError, match="lsuv needs a network"):
        pnn.lsuv(pnn.Affine(3, 2, seed=0), X)
