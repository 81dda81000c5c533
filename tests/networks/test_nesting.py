"""Networks as layers of networks."""

import copy
import pickle

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.networks.opacity import opaque_parts
from portable_nn.testing import check_layer, check_network

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((40, 4)).astype("float32"), RNG.integers(0, 3, 40)


def parts():
    affine = [pnn.Affine(4, 6), pnn.Affine(6, 6), pnn.Affine(6, 3)]
    return affine[0], pnn.ReLU(), affine[1], pnn.Dropout(0.3), pnn.Tanh(), affine[2]


def flat(xp="numpy", **options):
    return pnn.Sequential(*parts(), loss=pnn.SoftmaxWithLoss(), seed=3, xp=xp, **options)


def nested(xp="numpy", **options):
    a, b, c, d, e, f = parts()
    inner = pnn.Sequential(c, pnn.Sequential(d))
    return pnn.Sequential(a, pnn.Sequential(b, inner, e), f, loss=pnn.SoftmaxWithLoss(), seed=3, xp=xp, **options)


def with_weights_of(network, other):
    for name, array in zip(network.parameters, other.arrays(), strict=True):
        network.parameters[name] = array
    return network


def test_parameters_are_named_by_path():
    assert list(nested().parameters) == ["0.W", "0.b", "1.1.0.W", "1.1.0.b", "2.W", "2.b"]


@pytest.mark.parametrize("compile", [False, "auto"])
def test_three_levels_give_the_bits_of_the_flat_network(xp, compile):
    one = flat(xp)
    other = with_weights_of(nested(xp), one)
    histories = [
        pnn.Trainer(n, pnn.Adam(), compile=compile).fit(X, T, epochs=3, batch_size=16, progress=False)
        for n in (one, other)
    ]
    assert histories[0]["loss"] == histories[1]["loss"]
    for a, b in zip(one.arrays(), other.arrays(), strict=True):
        np.testing.assert_array_equal(pnn.to_numpy(a), pnn.to_numpy(b))
    np.testing.assert_array_equal(pnn.to_numpy(one.predict(X)), pnn.to_numpy(other.predict(X)))


def test_gradients_of_nested_networks():
    assert check_network(nested(), X[:5], T[:5]).ok
    block = pnn.Residual(pnn.Affine(4, 4, seed=0), pnn.Tanh(), shortcut=pnn.Affine(4, 4, seed=1), seed=0)
    assert check_layer(block, RNG.standard_normal((3, 4))).ok
    g = pnn.Graph(seed=0)
    a, b = g.input("a"), g.input("b")
    g.output(pnn.Affine(3, 2)(a) * b, b)
    assert check_layer(g, RNG.standard_normal((5, 3)), RNG.standard_normal((5, 2))).ok


def test_the_seed_of_the_outer_network_and_the_path_decide_initial_weights():
    one, other = nested(), nested()
    np.testing.assert_array_equal(one.parameters["1.1.0.W"], other.parameters["1.1.0.W"])
    twins = [pnn.Sequential(pnn.Affine(4, 4)) for _ in range(2)]
    net = pnn.Sequential(*twins, seed=0)
    assert not np.array_equal(net.parameters["0.0.W"], net.parameters["1.0.W"])
    assert np.array_equal(pnn.Sequential(copy.deepcopy(twins[0]), seed=0).parameters["0.0.W"], net.parameters["0.0.W"])


def test_weights_that_somebody_has_asked_for_stay():
    seeded = pnn.Sequential(pnn.Affine(4, 4), seed=7)
    assigned = pnn.Sequential(pnn.Affine(4, 4))
    assigned.parameters["0.W"] = np.ones((4, 4), "float32")
    before = seeded.parameters["0.W"]
    net = pnn.Sequential(seeded, assigned, seed=0)
    np.testing.assert_array_equal(net.parameters["0.0.W"], before)
    np.testing.assert_array_equal(net.parameters["1.0.W"], np.ones((4, 4)))


def test_a_network_takes_its_layers_along_to_its_place(xp):
    net = pnn.Sequential(pnn.Sequential(pnn.Affine(4, 4)), pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), xp=xp)
    for network in (net, pnn.Sequential(pnn.Sequential(pnn.Affine(4, 3)), loss=pnn.SoftmaxWithLoss()).to(xp)):
        assert network[0].place == network.place
        assert network[0].predict(X).shape[0] == 40


def test_a_block_in_two_places_is_shared():
    block = pnn.Sequential(pnn.Affine(4, 4), pnn.Tanh())
    net = pnn.Sequential(block, block, pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    assert list(net.parameters) == ["0.0.W", "0.0.b", "2.W", "2.b"]
    assert check_network(net, X[:4], T[:4]).ok


def test_parameters_are_shared_across_levels_also_as_a_transpose(tmp_path):
    first = pnn.Affine(4, 5, bias=False)
    block = pnn.Sequential(pnn.Tanh(), pnn.MatMul(5, 4, W=first.parameters["W"].T))
    net = pnn.Sequential(pnn.Sequential(first), block, pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    assert list(net.parameters) == ["0.0.W", "2.W", "2.b"]
    assert check_network(net, X[:4], T[:4]).ok
    net.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors")
    assert loaded.sharing.ties() == {"1.1.W": {"to": "0.0.W", "transposed": True}}
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))


def test_freezing_by_a_part_of_the_path():
    net = nested()
    net.freeze("1")
    assert [name for name in net.parameters if name not in net.trainable()] == ["1.1.0.W", "1.1.0.b"]
    net.unfreeze("1.1.0.b")
    assert [name for name in net.parameters if name not in net.trainable()] == ["1.1.0.W"]
    net.freeze("1.2")  # a Tanh, which has none
    with pytest.raises(KeyError, match=r"no parameter or layer '1.3'"):
        net.freeze("1.3")


@pytest.mark.parametrize("copied", ["saved", "pickled", "deep"])
def test_copies_are_whole(tmp_path, copied):
    net = nested()
    pnn.Trainer(net).fit(X, T, epochs=1, progress=False)
    net.save(tmp_path / "net.safetensors")
    copies = {
        "saved": lambda: pnn.load(tmp_path / "net.safetensors"),
        "pickled": lambda: pickle.loads(pickle.dumps(net)),
        "deep": lambda: copy.deepcopy(net),
    }
    other = copies[copied]()
    assert repr(other) == repr(net)
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    # As the trainer beside it goes on from the same weights: an optimizer of its own, the same masks.
    other.stream.position = net.stream.position
    losses = [pnn.Trainer(n).fit(X, T, epochs=2, progress=False)["loss"] for n in (net, other)]
    assert losses[0] == losses[1]


def test_a_network_in_a_network_has_no_loss():
    with pytest.raises(ValueError, match="has no loss of its own, got Sequential"):
        pnn.Sequential(pnn.Sequential(pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss()))


def test_a_replaced_option_deep_within_acts(xp):
    slope = pnn.Sequential(pnn.Sequential(pnn.LeakyReLU(0.1)), xp=xp)
    for _ in range(3):
        slope.predict(X)
    slope[0][0].slope = 0.5
    np.testing.assert_allclose(pnn.to_numpy(slope.predict(X)), np.where(X > 0, X, 0.5 * X), rtol=1e-6)


def test_residual_adds_and_refuses_to_broadcast():
    affine = pnn.Affine(4, 4, seed=0)
    net = pnn.Sequential(pnn.Residual(affine, pnn.ReLU()))
    W, b = net.parameters["0.0.W"], net.parameters["0.0.b"]
    np.testing.assert_allclose(net.predict(X), X + np.maximum(X @ W + b, 0), rtol=1e-6, atol=1e-6)
    with pytest.raises(pnn.ShapeError, match=r"needs layers that give the shape \(40, 4\), .* got \(40, 1\)"):
        pnn.Sequential(pnn.Residual(pnn.Affine(4, 1))).predict(X)
    projected = pnn.Residual(pnn.Affine(4, 1), shortcut=pnn.Affine(4, 1))
    assert projected.predict(X).shape == (40, 1)
    with pytest.raises(ValueError, match="Residual needs at least one layer"):
        pnn.Residual()


def test_residuals_are_saved(tmp_path):
    block = pnn.Residual(pnn.Affine(4, 4), pnn.ReLU(), shortcut=pnn.Affine(4, 4, bias=False))
    net = pnn.Sequential(block, pnn.Residual(pnn.Tanh()), pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    net.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors")
    assert isinstance(loaded[0], pnn.Residual)
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))


def test_operators_on_nodes():
    g = pnn.Graph(dtype="float64")
    a, b = g.input("a"), g.input("b")
    g.output(-a + b * a - a / b + 2 * a - (b + 1) ** 2 + 3 / b - (1 - a) + a - 5 + (a @ b))
    x, y = RNG.uniform(1, 2, (3, 3)), RNG.uniform(1, 2, (3, 3))
    expected = -x + y * x - x / y + 2 * x - (y + 1) ** 2 + 3 / y - (1 - x) + x - 5 + (x @ y)
    np.testing.assert_allclose(g.forward(x, b=y), expected, rtol=1e-12)
    g.backward(np.ones((3, 3)))
    assert set(g.gradients) >= {"a", "b"}
    with pytest.raises(TypeError):
        a + "b"


class Block(pnn.Graph):
    """A layer of one's own that is nothing but layers."""

    def __init__(self, size=4):
        super().__init__()
        x = self.input("x")
        self.output(x + 0.5 * pnn.Tanh()(pnn.Affine(size, size)(x, name="inside")))


class Louder(Block):
    """One that does something else with them."""

    options = ("size",)

    def __init__(self, size=4):
        super().__init__(size)
        self.size = size

    def forward_pass(self, run, params, x):
        y, saved = super().forward_pass(run, params, x)
        return 2 * y, saved

    def backward_pass(self, run, params, saved, dy):
        return super().backward_pass(run, params, saved, 2 * dy)


def test_networks_of_ones_own_are_layers(xp, tmp_path):
    net = pnn.Sequential(Block(), pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp)
    assert list(net.parameters)[:2] == ["0.inside.W", "0.inside.b"]
    assert opaque_parts(net) == []
    losses = pnn.Trainer(net, pnn.Adam(1e-2)).fit(X, T, epochs=5, progress=False)["loss"]
    assert losses[-1] < losses[0]
    net.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors", xp)
    np.testing.assert_array_equal(pnn.to_numpy(loaded.predict(X)), pnn.to_numpy(net.predict(X)))


@pytest.mark.filterwarnings("ignore:steps with Louder run uncompiled")
def test_networks_with_passes_of_ones_own_are_called_as_they_are(xp, tmp_path):
    net = pnn.Sequential(Louder(), pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp)
    assert opaque_parts(net) == ["Louder"]
    if xp.place.backend == "numpy" and not xp.backend.readonly:
        assert check_network(net, X[:4], T[:4]).ok
    losses = pnn.Trainer(net, pnn.Adam(1e-2)).fit(X, T, epochs=5, progress=False)["loss"]
    assert losses[-1] < losses[0]
    net.save(tmp_path / "net.safetensors")
    with pytest.raises(pnn.CheckpointError, match="Louder"):
        pnn.load(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors", xp, classes=[Louder])
    np.testing.assert_array_equal(pnn.to_numpy(loaded.predict(X)), pnn.to_numpy(net.predict(X)))


class Both(pnn.Layer):
    """A layer of one's own that runs a network within."""

    recordable = True

    def __init__(self):
        super().__init__()
        self.body = pnn.Sequential(pnn.Affine(4, 4), pnn.Tanh())

    def boxes(self):
        return self.body.boxes()

    def leaves(self, path):
        return self.body.leaves(path)

    def forward_pass(self, run, params, x):
        y, saved = self.body.forward_pass(run, params, x)
        return run.kernels.multiply(y, x), (x, y, saved)

    def backward_pass(self, run, params, saved, dy):
        x, y, saved = saved
        dx, grads = self.body.backward_pass(run, params, saved, run.kernels.multiply(dy, x))
        return run.kernels.add(dx, run.kernels.multiply(dy, y)), grads


def test_layers_of_ones_own_may_hold_networks(xp):
    net = pnn.Sequential(Both(), pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp)
    assert list(net.parameters) == ["0.0.W", "0.0.b", "1.W", "1.b"]
    check_network(net, X[:4], T[:4])
    losses = pnn.Trainer(net, pnn.Adam(1e-2)).fit(X, T, epochs=5, progress=False)["loss"]
    assert losses[-1] < losses[0]


def test_nested_networks_in_text_are_written_flat():
    g = pnn.Graph(seed=0)
    x = g.input("x")
    g.output(nested_block()(x, name="block") * x)
    again = pnn.Graph.from_postfix(g.to_postfix(), seed=0)
    assert "block.0" in again.order.values()
    for name in again.parameters:
        again.parameters[name] = g.parameters[name]
    np.testing.assert_array_equal(again.forward(x=X), g.forward(x=X))
    assert pnn.Graph.from_prefix(g.to_prefix()).order.values() == again.order.values()


def nested_block():
    return pnn.Sequential(pnn.Affine(4, 4), pnn.Residual(pnn.Tanh(), pnn.Affine(4, 4)))


def test_nested_networks_are_drawn_and_summed_up():
    g = pnn.Graph(seed=0)
    x = g.input("x")
    g.output(nested_block()(x, name="block") * x)
    g.forward(X)
    g.backward(np.ones_like(X))
    assert "block" in g.to_mermaid()
    assert "block" in g.explain()
    lines = nested().summary().splitlines()
    assert [line.split()[0] for line in lines[2:8]] == ["0", "1.0", "1.1.0", "1.1.1.0", "1.2", "2"]
    assert lines[-1] == "93 parameters"
