"""Predictions on JAX: compiled once for a shape, from JAX's arrays or NumPy's, and right whatever changes after."""

import numpy as np
import pytest

import portable_nn as pnn

jax = pytest.importorskip("jax")
RNG = np.random.default_rng(0)


def network(*layers, **options):
    layers = layers or (pnn.Affine(6, 5), pnn.ReLU(), pnn.Affine(5, 3))
    return pnn.Sequential(*layers, seed=0, xp="jax", **options)


def expected(net, x):
    return net.to("numpy").predict(np.asarray(x))


@pytest.mark.parametrize("rows", [1, 4, 4000])  # the last more than is copied in one way
@pytest.mark.parametrize("layout", ["C", "F", "reversed", "every second", "read-only"])
def test_arrays_of_numpy_and_of_jax_give_the_same(rows, layout):
    net, x = network(), RNG.standard_normal((rows, 6)).astype("float32")
    given = {
        "C": x, "F": np.asfortranarray(x), "reversed": x[::-1].copy()[::-1], "every second": np.repeat(x, 2, 1)[:, ::2],
        "read-only": x.copy(),
    }[layout]  # fmt: skip
    given.flags.writeable = layout != "read-only"
    for _ in range(4):
        y = net.predict(given)
        assert isinstance(y, jax.Array)
        assert y.devices() == {net.place.device}
        np.testing.assert_allclose(y, expected(net, x), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(y, net.predict(jax.numpy.asarray(x)))


def test_what_becomes_of_x_afterwards_does_not_matter():
    size = 500
    net = network(*(layer for _ in range(6) for layer in (pnn.Affine(size, size), pnn.Tanh())))
    memory = np.zeros(4000 * size * 4 + 64, np.uint8)
    begin = -memory.ctypes.data % 64  # so that JAX might take it as it is
    x = memory[begin : begin + 4000 * size * 4].view(np.float32).reshape(4000, size)
    x[...] = 0.1
    due = np.asarray(net.predict(jax.numpy.asarray(x.copy())))
    for _ in range(4):
        x[...] = 0.1
        y = net.predict(x)
        x[...] = 5.0
        np.testing.assert_allclose(y, due, rtol=1e-5, atol=1e-6)


def test_a_network_that_only_reshapes_gives_no_memory_of_x():
    net, x = network(pnn.Flatten()), np.zeros((2, 3, 2), "float32")
    for _ in range(4):
        y = net.predict(x)
        x += 1.0
        np.testing.assert_array_equal(y, x.reshape(2, 6) - 1.0)


def test_what_is_wrong_is_still_refused_once_the_shape_is_known():
    net = network(pnn.Embedding(9, 2), pnn.Flatten(), pnn.Affine(6, 2))
    for _ in range(4):
        net.predict(np.zeros((5, 3), int))
    for x in (np.zeros((5, 3), "float32"), jax.numpy.zeros((5, 3))):
        with pytest.raises(pnn.DTypeError):
            net.predict(x)
    with pytest.raises(ValueError, match="Embedding"):
        net.predict(np.full((5, 3), 9))
    net = network()
    for _ in range(4):
        net.predict(np.zeros((5, 6), "float32"))
    with pytest.raises(pnn.ShapeError):
        net.predict(np.zeros((5, 7), "float32"))
    with pytest.raises(pnn.DTypeError):
        net.predict(np.zeros((5, 6), complex))


@pytest.mark.parametrize("as_jax", [False, True])
def test_other_data_types_options_parameters_and_states(as_jax):
    norm = pnn.BatchNorm(5)
    net = network(pnn.Affine(6, 5), norm, pnn.LeakyReLU(0.1), pnn.Affine(5, 3))
    x = RNG.standard_normal((4, 6)).astype("float32")
    given = jax.numpy.asarray(x) if as_jax else x

    def check():
        np.testing.assert_allclose(net.predict(given), expected(net, x), rtol=1e-5, atol=1e-6)

    for _ in range(4):
        check()
    net.layers[2].slope = 0.7
    check()
    net.parameters["0.W"] = np.ones((6, 5))
    check()
    net.states["1.mean"] = np.full(5, 3.0)
    check()
    for other in (x.astype(float), (10 * x).astype(int), x.tolist()):
        np.testing.assert_allclose(net.predict(other), expected(net, np.asarray(other)), rtol=1e-5, atol=1e-6)


def test_code_of_ones_own_is_called_each_time():
    class Counting(pnn.Layer):
        calls = 0

        def forward_pass(self, run, params, x):
            Counting.calls += 1
            return x * Counting.calls, None

    net, x = network(pnn.Affine(6, 2), Counting()), np.ones((3, 6), "float32")
    first = np.asarray(net.predict(x)) / Counting.calls
    for _ in range(5):
        y = net.predict(x)
        np.testing.assert_allclose(y, first * Counting.calls, rtol=1e-6)
    assert Counting.calls >= 6


def test_whether_an_array_is_ready_depends_on_its_device_and_data_type():
    place, x = pnn.Place("jax"), jax.numpy.zeros((2, 2))
    for _ in range(2):
        assert place.is_ready(x)
        assert place.is_ready(x[:1] + 1)
        assert not place.is_ready(jax.numpy.zeros((2, 2), dtype=int))
        assert not place.is_ready(jax.numpy.zeros((2, 2), dtype="float16"))
        assert not place.is_ready(np.zeros((2, 2), "float32"))
    assert place.is_ready(jax.numpy.zeros(2, dtype=int), place.index_dtype)


def test_a_graph_without_an_output_says_so():
    graph = pnn.Graph()
    graph.input("x")
    with pytest.raises(ValueError, match="the graph has no output yet"):
        graph.predict(np.zeros((2, 2)))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = graph.nonsense
