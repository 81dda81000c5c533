"""Whole numbers and booleans on their way through networks: as they are, to those that ask for them."""

from typing import ClassVar

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.layers import Affine, Branch, Concat, Flatten, Identity, Reshape, Split, Transpose

BIG = 2**24 + 1
"""What float32 cannot hold."""


class Seen(pnn.Layer):
    """y = the number of x modulo 7, as floats, of whole numbers: somebody's own layer, which notes what came."""

    input_kinds = ("integral",)
    seen: ClassVar[list] = []

    def forward_pass(self, run, params, x):
        self.seen.append((x.dtype, to_numpy(x).copy()))
        return run.kernels.as_floating(x % 7, run.place.dtype_name), None

    def backward_pass(self, run, params, saved, dy):
        return (), {}


class RecordedSeen(Seen):
    recordable = True

    def forward_pass(self, run, params, x):
        return run.kernels.as_floating(x, run.place.dtype_name), None


class Masked(pnn.Layer):
    """y = x where the mask is true, else 0: of floats and booleans."""

    input_kinds = ("real floating", "bool")
    dtypes: ClassVar[list] = []

    def output_shape(self, x, mask):
        return x

    def forward_pass(self, run, params, x, mask):
        self.dtypes.append(mask.dtype)
        return run.place.xp.where(mask, x, 0.0), mask

    def backward_pass(self, run, params, saved, dy):
        return run.place.xp.where(saved, dy, 0.0), {}


@pytest.fixture(autouse=True)
def nothing_seen():
    Seen.seen.clear()
    Masked.dtypes.clear()


@pytest.mark.filterwarnings("ignore:steps with .* run uncompiled")
@pytest.mark.parametrize("compile", [False, "auto"])
def test_large_numbers_arrive_exactly(xp, compile):
    net = pnn.Sequential(Flatten(), Seen(), Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    net = net.to(xp, device=xp.place.device)
    x, t = np.full((6, 3), BIG), np.arange(6) % 2
    trainer = pnn.Trainer(net, compile=compile)
    for given in (x, xp.asarray(x, dtype=xp.place.index_dtype), x.astype("uint32")):
        trainer.fit(given, t, epochs=2, batch_size=3, progress=False)
        trainer.fit([(given, t)], epochs=1, validation_data=(given, t), progress=False)
        trainer.evaluate(given, t)
        trainer.predict(given)
        net.predict(given)
        net.gradient(given, t)
        net.loss(given, t)
    assert len(Seen.seen) > 20
    for dtype, values in Seen.seen:
        assert dtype == xp.place.index_dtype
        assert (values == BIG).all()


def test_numbers_that_jax_cannot_hold_are_refused():
    pytest.importorskip("jax")
    net = pnn.Sequential(pnn.Embedding(5, 2), Flatten(), Affine(2, 2), loss=pnn.SoftmaxWithLoss(), xp="jax")
    with pytest.raises(ValueError, match="from -2147483648 to 2147483647, got 4294967296"):
        net.predict(np.array([[2**32]]))


def two_ways():
    """Return a graph whose input is looked up and multiplied."""
    g = pnn.Graph(loss=pnn.MeanSquaredError(), seed=0, dtype="float64")
    x = Reshape((3,))(g.input("x"))
    g.output(Affine(6, 2)(pnn.Embedding(9, 2)(x)) + Affine(3, 2)(x))
    return g


def test_an_input_that_is_used_both_ways(xp64):
    with pnn.testing.float64_enabled(xp64.backend.library):
        g = two_ways().to(xp64.backend.library, device=xp64.backend.device)
        rng = np.random.default_rng(0)
        x, t = rng.integers(0, 9, (5, 3)), rng.standard_normal((5, 2))
        E, A, a, B, b = (to_numpy(array) for array in g.arrays())
        wanted = E[x].reshape(5, 6) @ A + a + x @ B + b
        np.testing.assert_allclose(to_numpy(g.predict(x)), wanted, rtol=1e-12)
        np.testing.assert_allclose(to_numpy(g.predict(x)), wanted, rtol=1e-12)  # by a plan
        dy = (wanted - t) / 5
        grads = g.gradient(x, t)
        np.testing.assert_allclose(to_numpy(grads["affine2.W"]), x.T @ dy, rtol=1e-10)
        losses = pnn.Trainer(g, pnn.SGD(0.001)).fit(x, t, epochs=5, progress=False)["loss"]
        assert losses == sorted(losses, reverse=True)


def test_central_differences_of_a_graph_with_both():
    rng = np.random.default_rng(0)
    report = pnn.testing.check_network(two_ways(), rng.integers(0, 9, (5, 3)), rng.standard_normal((5, 2)))
    assert max(row.error for row in report.rows) < 1e-9


MOVED = {
    "alone": lambda: pnn.Sequential(pnn.Embedding(9, 2)),
    "reshaped": lambda: pnn.Sequential(Reshape((2, 2)), Identity(), Transpose(), Flatten(), pnn.Embedding(9, 2)),
    "nested": lambda: pnn.Sequential(pnn.Sequential(Flatten()), pnn.Sequential(Identity(), pnn.Embedding(9, 2))),
}


@pytest.mark.parametrize("name", MOVED)
def test_what_only_moves_elements_passes_kinds_on(name):
    body = MOVED[name]()
    assert body.input_kinds == ("integral",)
    net = pnn.Sequential(body, Flatten(), Affine(8, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    x = np.arange(20).reshape(5, 4) % 9
    gradient = net.gradient(x, np.arange(5) % 2)
    assert any(name.endswith("W") and array.shape == (9, 2) and array.any() for name, array in gradient.items())
    pnn.Trainer(net).fit(x, np.arange(5) % 2, epochs=2, progress=False)
    with pytest.raises(ValueError, match="from 0 to 8, got 10"):
        net.predict(x + 2)
    with pytest.raises(pnn.errors.DTypeError, match="whole numbers"):
        net.predict(x * 1.0)


def test_columns_for_several_tables():
    g = pnn.Graph(loss=pnn.SoftmaxWithLoss(), seed=0)
    first, second, number = Split(3)(g.input("x"))
    joined = Concat()(Flatten()(pnn.Embedding(3, 2)(first)), Flatten()(pnn.Embedding(50, 4)(second)), number)
    g.output(Affine(7, 2)(joined))
    assert g.input_kinds == ("integral",)
    x = np.array([[0, 49, 1000], [2, 3, -1000]])
    assert g.predict(x).shape == (2, 2)
    with pytest.raises(ValueError, match=r"Embedding\(3, 2\) needs x of whole numbers from 0 to 2, got 3"):
        g.predict(x + 1)
    pnn.Trainer(g).fit(x, np.array([0, 1]), epochs=2, progress=False)


def test_a_branch_and_an_output_of_whole_numbers():
    g = pnn.Graph(seed=0)
    one, other = Branch()(g.input("x"))
    g.output(pnn.Embedding(3, 2)(one), other)
    rows, numbers = g.forward(np.array([0, 2]))
    assert rows.dtype == numbers.dtype == np.float32
    assert numbers.tolist() == [0.0, 2.0]
    g.backward(np.ones((2, 2)), np.ones(2))
    assert g.gradients["embedding1.W"].tolist() == [[1, 1], [0, 0], [1, 1]]
    assert "node" in g.explain()


def test_the_input_can_be_the_label_too():
    g = pnn.Graph(seed=0)
    x = g.input("x")
    g.output(pnn.SoftmaxWithLoss()(pnn.Embedding(3, 3)(x), x))
    loss = float(g.forward(np.array([0, 1, 2])))
    y = g.arrays()[0]
    wanted = np.log(np.exp(y).sum(axis=1)) - np.diagonal(y)
    assert loss == pytest.approx(wanted.mean(), rel=1e-6)
    g.backward()
    assert g.gradients["embedding1.W"].shape == (3, 3)


def test_masks_reach_a_layer_of_ones_own(xp):
    g = pnn.Graph(seed=0, xp=xp, device=xp.place.device)
    g.output(Masked()(g.input("x"), Flatten()(g.input("mask"))))
    assert g.input_kinds == ("real floating", "bool")
    x, mask = np.ones((2, 3)), np.array([[True, False, True], [False, True, True]])
    y = g.forward(xp.asarray(x, dtype=xp.float32), xp.asarray(mask))
    np.testing.assert_array_equal(to_numpy(y), mask)
    g.backward(xp.asarray(x, dtype=xp.float32))
    np.testing.assert_array_equal(to_numpy(g.gradients["x"]), mask)
    assert Masked.dtypes == [xp.bool]
    with pytest.raises(pnn.errors.DTypeError, match="needs x of booleans, got dtype"):
        g.forward(xp.asarray(x, dtype=xp.float32), xp.asarray(x, dtype=xp.float32))


def test_layers_of_ones_own_pass_the_checks():
    x = np.random.default_rng(0).integers(0, 9, (4, 3))
    pnn.testing.check_layer(Masked(), x * 0.7, x > 4)
    pnn.testing.check_layer(RecordedSeen(), x)
    net = pnn.Sequential(RecordedSeen(), Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    opaque = pnn.Sequential(Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    opaque.set_arrays(net.arrays())
    np.testing.assert_array_equal(net.predict(x), opaque.predict(x))


def test_one_input_cannot_be_both():
    g = pnn.Graph()
    x = g.input("x")
    with pytest.raises(ValueError, match="the node x is asked for as whole numbers and as booleans"):
        g.output(Concat()(pnn.Embedding(2, 2)(x), Masked()(pnn.Embedding(2, 2)(x), x)))


def test_networks_of_floats_are_as_they_were():
    net = pnn.Sequential(Flatten(), Identity(), loss=pnn.MeanSquaredError())
    assert net.predict(np.array([[1, 2]])).dtype == np.float32
    assert pnn.Residual(Affine(3, 3)).input_kinds == ("real floating",)


def test_plans_hold_the_cast_and_the_rows():
    from portable_nn.kernels import Plan, Recorder, kernels_for

    g, x = two_ways(), np.arange(15).reshape(5, 3) % 9
    recorder = Recorder(kernels_for(g.place.xp))
    inputs = {"params": recorder.input(g.arrays()), "x": recorder.input(x)}
    plan = Plan(recorder, inputs, g.forward_walk(pnn.Run(g.place, recorder), *inputs.values())[0])
    assert "as_floating(" in plan.source
    assert "embedding(" in plan.source
    other = (x + 4) % 9
    np.testing.assert_array_equal(plan(g.arrays(), other), g.predict(other))
