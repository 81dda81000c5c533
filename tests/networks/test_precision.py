"""Networks that compute in bfloat16 or float16: what is kept, what comes out, what is written to files."""

import copy
import pickle

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((32, 4)).astype("float32"), RNG.integers(0, 3, 32)


def net(**options):
    layers = pnn.Affine(4, 8), pnn.BatchNorm(8), pnn.Tanh(), pnn.Dropout(0.2), pnn.Affine(8, 3)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, **options)


@pytest.fixture(params=["torch", "jax", "cupy"])
def library(request):
    try:
        pnn.Place(request.param)
    except (pnn.MissingExtraError, pnn.BackendError) as error:
        pytest.skip(str(error))
    return request.param


@pytest.fixture(params=["bfloat16", "float16"])
def dtype(request, library):
    return "float16" if library == "cupy" else request.param


def test_what_is_kept_and_what_comes_out_is_float32(library, dtype):
    network = net(xp=library, dtype=dtype)
    assert network.place.precision == dtype
    assert str(network).endswith(dtype)
    y = network.predict(X)
    kept = [*network.parameters.values(), *network.states.values(), *network.gradient(X, T).values()]
    for array in (y, network.loss(X, T), *kept):
        assert str(array.dtype).endswith("float32")
    exact = network.to("numpy", dtype="float64")
    eps = {"bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    np.testing.assert_allclose(to_numpy(y), exact.predict(X), atol=8 * eps)
    assert np.abs(to_numpy(y) - exact.predict(X)).max() > 0
    for _ in range(2):  # by a plan, and by it again
        np.testing.assert_array_equal(to_numpy(network.predict(X)), to_numpy(y))
    assert network.accuracy(X, T) == pytest.approx(exact.accuracy(X, T), abs=0.1)


def test_a_network_moves_and_is_copied_with_its_precision(library, dtype, tmp_path):
    network = net().to(library, dtype=dtype)
    y = to_numpy(network.predict(X))
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), network.to(), network.to(library)):
        assert other.place == network.place
        np.testing.assert_array_equal(to_numpy(other.predict(X)), y)
    path = tmp_path / "net.safetensors"
    network.save(path)
    loaded = pnn.load(path, library)
    assert loaded.place == network.place
    np.testing.assert_array_equal(to_numpy(loaded.predict(X)), y)
    for exact in (pnn.load(path), network.to("numpy")):  # where nobody computes so, nothing is lost
        assert exact.place == pnn.Place("numpy")
        for name, array in network.parameters.items():
            np.testing.assert_array_equal(exact.parameters[name], to_numpy(array))
    with pytest.raises(pnn.DTypeError, match="take dtype float32 there"):
        pnn.load(path, dtype=dtype)


def test_inputs_of_low_precision_are_taken(library):
    full = net(xp=library)
    low = full.place.xp.astype(full.place.asarray(X), full.place.xp.float16)
    y = full.predict(low)
    np.testing.assert_array_equal(to_numpy(y), to_numpy(full.predict(to_numpy(low).astype("float32"))))


def test_bfloat16_of_numpy_is_named():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with pytest.raises(pnn.DTypeError, match=r'got bfloat16: use x.astype\("float32"\)'):
        net().predict(X.astype(ml_dtypes.bfloat16))


def test_whole_numbers_and_labels_are_not_cast(library):
    network = pnn.Sequential(pnn.Embedding(5000, 3), pnn.Affine(6, 5000), loss=pnn.SoftmaxWithLoss(), seed=0)
    low = network.to(library, dtype="float16")
    numbers, labels = np.array([[4097, 2049], [1, 4999]]), np.array([4097, 2049])
    gradient = low.gradient(numbers, labels)
    used = np.nonzero(np.any(to_numpy(gradient["0.W"]) != 0, axis=1))[0]
    assert used.tolist() == [1, 2049, 4097, 4999]
    assert {4097, 2049} == {*np.nonzero(to_numpy(gradient["1.b"]) < 0)[0]}
    graph = pnn.Graph(xp=library, dtype="float16")
    graph.output(graph.apply(pnn.SoftmaxWithLoss("none"), [graph.input("y"), graph.input("t")]))
    y = np.zeros((2, 5000), "float32")
    y[0, 4097] = y[1, 2049] = 8
    assert to_numpy(graph.predict({"y": y, "t": labels})) == pytest.approx([0.98, 0.98], abs=0.01)


def test_layers_that_have_arrays_may_go_into_a_network_of_another_precision(library):
    layer = pnn.Affine(4, 3, xp=library, seed=0)
    network = pnn.Sequential(layer, loss=pnn.SoftmaxWithLoss(), xp=library, dtype="float16")
    assert layer.place == network.place
    assert network.place.precision == "float16"


class Scale(pnn.Layer):
    """A layer of somebody's own with a state, that mixes data types where it can."""

    def __init__(self):
        super().__init__()
        self.states["largest"] = pnn.State((1,))
        self.parameters["factor"] = pnn.Parameter((1,), pnn.initializers.constant(2.0))

    def forward_pass(self, run, params, x):
        xp = pnn.namespace_of(x)
        assert x.dtype == params["factor"].dtype == run.place.dtype
        run.update("largest", xp.reshape(xp.max(xp.abs(x)), (1,)))
        wide = x * params["factor"] + 0.0 * run.states["largest"]
        return wide, x

    def backward_pass(self, run, params, x, dy):
        assert dy.dtype == run.place.dtype
        xp = pnn.namespace_of(x)
        return dy * params["factor"], {"factor": xp.reshape(xp.sum(dy * x), (1,))}


class RecordableScale(Scale):
    """The same by kernels alone."""

    recordable = True

    def forward_pass(self, run, params, x):
        assert x.dtype == run.place.dtype
        wide = run.kernels.add(run.kernels.multiply(x, params["factor"]), run.states["largest"])
        run.update("largest", run.kernels.sum_along(params["factor"], (0,), True))
        return wide, x

    def backward_pass(self, run, params, x, dy):
        kernels = run.kernels
        return kernels.multiply(dy, params["factor"]), {"factor": kernels.multiply_gradient(dy, x, (1,))}


@pytest.mark.parametrize("kind", [Scale, RecordableScale])
def test_layers_of_a_user_s_own_get_what_is_computed_in(library, kind):
    network = pnn.Sequential(pnn.Affine(4, 8), kind(), pnn.Affine(8, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    low = network.to(library, dtype="float16")
    exact, found = network.gradient(X, T), low.gradient(X, T)
    for name, gradient in exact.items():
        np.testing.assert_allclose(to_numpy(found[name]), gradient, atol=0.01 * np.abs(gradient).max())
    y = [to_numpy(low.predict(X)) for _ in range(3)]
    np.testing.assert_array_equal(y[0], y[2])
    before = float(to_numpy(low.states["1.largest"])[0])
    pnn.Trainer(low, pnn.SGD(0.1), compile=False).fit(X, T, epochs=2, progress=False)
    assert float(to_numpy(low.states["1.largest"])[0]) != before
    assert str(low.states["1.largest"].dtype).endswith("float32")
