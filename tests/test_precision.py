"""Layers and losses in bfloat16 and float16 beside the same in float64, on numbers that both can hold."""

import math

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.kernels import PORTABLE, kernels_at
from portable_nn.layers.inputs import as_tuple
from portable_nn.losses import Loss
from portable_nn.testing.cases import CASES

EPS = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
"""The relative error of one rounding."""
BACKENDS = [("torch", "bfloat16"), ("torch", "float16"), ("jax", "bfloat16"), ("cupy", "float16")]
LAYERS = [name for name, case in CASES.items() if not isinstance(case.layer(), Loss)]
LOSSES = [name for name, case in CASES.items() if isinstance(case.layer(), Loss)]


@pytest.fixture(params=BACKENDS, ids="-".join)
def low(request):
    """A place that computes in a low precision."""
    library, dtype = request.param
    try:
        return pnn.Place(library, None, dtype)
    except (pnn.MissingExtraError, pnn.BackendError) as error:
        pytest.skip(str(error))


def rounded(low, array):
    """Return an array as float64 of numbers that the low precision holds; whole numbers as they are."""
    array = np.asarray(array)
    if array.dtype.kind != "f":
        return array
    return to_numpy(at(low, array)).astype(np.float64)


def graph_of(layer, inputs):
    graph = pnn.Graph()
    nodes = [graph.input(f"input{i}") for i in range(len(inputs))]
    graph.output(*as_tuple(layer(*nodes)))
    return graph


def at(low, array):
    """Return an array at a place, floating ones in the low precision."""
    if array.dtype.kind != "f":
        return low.asarray(array, low.index_dtype)
    there = low.asarray(array.astype(np.float32))
    return low.xp.astype(there, low.computing.dtype)


def outputs(layer, inputs):
    shapes = layer.output_shape(*(x.shape for x in inputs))
    return shapes if layer.output_count > 1 else [shapes]


def passes(layer, inputs, dy):
    y = as_tuple(layer.forward(*inputs))
    dx = as_tuple(layer.backward(*dy))
    return [*y, *dx, *layer.grads.values()]


def near(got, wanted, eps, factor=6):
    """Tell that all is within a few roundings of the largest number, or of the number itself where that is small."""
    got, scale = to_numpy(got).astype(np.float64), np.abs(wanted).max(initial=0.0)
    np.testing.assert_allclose(got, wanted, rtol=factor * eps, atol=factor * eps * scale)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_agree_with_float64_to_rounding(name, low):
    case = CASES[name]
    layer, arrays = case.make()
    arrays = [rounded(low, x) for x in arrays]
    network = graph_of(layer, arrays)
    for names in (network.parameters, network.states):
        for key in names:
            names[key] = rounded(low, names[key])
    exact = network.to("numpy", dtype="float64").layers[0]
    tested = network.to(low.xp, device=low.device, dtype=low.precision).layers[0]
    dy = [rounded(low, np.random.default_rng(0).uniform(-1, 1, shape)) for shape in outputs(layer, arrays)]
    wanted = passes(exact, arrays, dy)
    got = passes(tested, [at(low, x) for x in arrays], [at(low, part) for part in dy])
    found = [str(array.dtype).rpartition(".")[2] for array in got]
    of_grads = len(tested.grads)
    assert found == [low.precision] * (len(got) - of_grads) + ["float32"] * of_grads
    for array, exactly in zip(got, wanted, strict=True):
        near(array, exactly, EPS[low.precision])


@pytest.mark.parametrize("name", LOSSES)
def test_losses_compute_in_float32(name, low):
    loss, (y, *others) = CASES[name].make()
    y = rounded(low, y)
    t, weight = others[0], others[1] if len(others) > 1 else None
    wanted = [loss.forward(y, t, sample_weight=weight), loss.backward()]
    got = [loss.forward(at(low, y), t, sample_weight=weight), loss.backward()]
    for array, exactly in zip(got, wanted, strict=True):
        assert str(array.dtype).endswith("float32")
        near(array, exactly, 2.0**-24)


@pytest.mark.parametrize("name", [name for name in LOSSES if CASES[name].layer().reduction != "none"])
def test_gradients_through_losses_agree_with_float64_to_rounding(name, low):
    loss, (y, *others) = CASES[name].make()
    t, weight = others[0], others[1] if len(others) > 1 else None
    y = rounded(low, y)
    network = pnn.Sequential(_Weighted(y.shape[1:]), loss=loss).to("numpy", dtype="float64")
    wanted = network.gradient(y, t, sample_weight=weight)["0.w"]
    tested = network.to(low.xp, device=low.device, dtype=low.precision)
    got = tested.gradient(y, t, sample_weight=weight)["0.w"]
    assert str(got.dtype).endswith("float32")
    near(got, wanted, EPS[low.precision])
    near(tested.loss(y, t, sample_weight=weight), network.loss(y, t, sample_weight=weight), 2.0**-22)


class _Weighted(pnn.Layer):
    """y = w x, w of ones: a layer of a user's own, with the operators of arrays."""

    options = ("shape",)

    def __init__(self, shape):
        super().__init__()
        self.shape = tuple(shape)
        self.parameters["w"] = pnn.Parameter(self.shape, pnn.initializers.constant(1.0))

    def forward_pass(self, run, params, x):
        assert x.dtype == params["w"].dtype == run.place.dtype
        return x * params["w"], x

    def backward_pass(self, run, params, x, dy):
        assert dy.dtype == x.dtype == run.place.dtype
        return dy * params["w"], {"w": run.kernels.unbroadcast(dy * x, self.shape)}


@pytest.mark.parametrize("which", ["portable", "fast"])
def test_sums_of_many_do_not_stall(which, low):
    # 256 + 1 is 256 in bfloat16, and 2048 + 1 is 2048 in float16.
    kernels, xp, n = PORTABLE if which == "portable" else kernels_at(low), low.xp, 3000
    ones = low.computing.asarray(np.ones((n, 2)))
    rows = low.asarray(np.zeros(n, np.int64), low.index_dtype)
    found = {
        "a bias": kernels.affine_gradient_b(ones),
        "an embedding": kernels.embedding_gradient(ones, rows, 3, None)[0, :],
        "a sum": kernels.sum_along(ones, (0,), False),
        "a broadcast": kernels.unbroadcast(ones, (2,)),
        "a mean": kernels.mean_along(ones * 0.5, (0,), False) * n * 2,
    }
    for what, array in found.items():
        assert array.dtype == low.computing.dtype, what
        near(array, np.full(2, float(n)), EPS[low.precision], factor=2)
    softmax = to_numpy(kernels.softmax(xp.reshape(ones[:, 0], (1, n)))).astype(np.float64)
    assert softmax.sum() == pytest.approx(1.0, rel=2 * EPS[low.precision])


@pytest.mark.parametrize("which", ["portable", "fast"])
def test_gelu_is_right_where_it_is_small(which, low):
    x = np.linspace(-3.0, 6.0, 37)
    kernels, there = PORTABLE if which == "portable" else kernels_at(low), low.computing.asarray(x)
    distribution = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x])
    np.testing.assert_allclose(to_numpy(kernels.gelu(there)), x * distribution, rtol=4 * EPS[low.precision])


class _Seen(pnn.MeanSquaredError):
    """A loss of a user's own that looks at what it gets."""

    def forward_pass(self, run, params, y, t, weight=None):
        kinds = {str(array.dtype).rpartition(".")[2] for array in (y, t, run.constant([1.0]))}
        assert kinds == {"float32"}
        return super().forward_pass(run, params, y, t, weight)

    def gradient(self, run, saved, dout=1.0):
        dy = super().gradient(run, saved, dout)
        assert str(dy.dtype).endswith("float32")
        return dy


def test_a_loss_of_a_user_s_own_gets_float32_and_so_does_one_that_is_a_node(low):
    x, t = np.ones((2, 3), np.float32), np.zeros((2, 4), np.float32)
    network = pnn.Sequential(pnn.Affine(3, 4), loss=_Seen(), seed=0, xp=low.xp, dtype=low.precision)
    assert set(network.gradient(x, t)) == {"0.W", "0.b"}
    graph = pnn.Graph(seed=0, xp=low.xp, dtype=low.precision)
    graph.output(_Seen()(pnn.Affine(3, 4)(graph.input("x")), graph.input("t")))
    assert graph.predict({"x": x, "t": t}).shape == ()
    graph.forward(x=x, t=t)
    graph.backward()
