"""One table for all layers and losses: gradients, data type, device, untouched input, empty batch, file."""

import importlib.util

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import layers as layer_module
from portable_nn import losses as loss_module
from portable_nn.arrays import backend_name, device_of, namespace, to_numpy
from portable_nn.kernels import PORTABLE_KERNELS, kernels_for
from portable_nn.kernels.recording import mapped
from portable_nn.layers.inputs import as_tuple, checked_input
from portable_nn.losses import Loss
from portable_nn.testing import check_layer, float64_enabled
from portable_nn.testing.cases import CASES

ORACLES = {"torch autograd": "torch", "jax.vjp": "jax"}
LAYERS = [name for name, case in CASES.items() if not isinstance(case.layer(), Loss)]
BATCHED = [name for name in LAYERS if CASES[name].batched]
LOSSES = [name for name, case in CASES.items() if isinstance(case.layer(), Loss)]


def inputs_at(xp, layer, arrays):
    """Return arrays at a backend, in float32 where the layer does not ask for whole numbers or booleans."""
    kinds = [layer.kind_of_input(i) for i in range(len(arrays))]
    dtypes = {"integral": xp.place.index_dtype, "bool": xp.bool}
    return [xp.asarray(x, dtype=dtypes.get(kind, xp.float32)) for x, kind in zip(arrays, kinds, strict=True)]


def derived(layer, inputs):
    """Return those of the inputs by which a layer has a derivative."""
    return [inputs[i] for i in layer.differentiated(len(inputs))]


def graph_of(layer, inputs):
    graph = pnn.Graph()
    nodes = [graph.input(f"input{i}") for i in range(len(inputs))]
    graph.output(*as_tuple(layer(*nodes)))
    return graph


def test_the_table_holds_every_layer_and_loss():
    shown = {type(case.layer()).__name__ for case in CASES.values()}
    assert shown == {*layer_module.__all__, *loss_module.__all__} - {
        *("Layer", "Run", "Parameter", "State", "Transposed", "Loss"),
        "LossByOutput",  # of whose several losses each is shown: training/test_mappings.py
    }


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_central_differences_torch_and_jax(name, xp64):
    layer, inputs = CASES[name].make()
    report = check_layer(layer, *inputs, xp=xp64.backend.library, device=xp64.backend.device)
    installed = {name for name, library in ORACLES.items() if importlib.util.find_spec(library)}
    assert {row.oracle for row in report.rows} == {"central differences", *installed}
    assert max(row.error for row in report.rows if row.oracle == "central differences") < 1e-7
    assert max((row.error for row in report.rows if row.oracle in installed), default=0.0) < 1e-12


GRADIENTS = sorted(name for name in PORTABLE_KERNELS if "gradient" in name)


@pytest.fixture(scope="module")
def cases_by_gradient():
    """For each backward kernel the names of the cases that call it."""
    kernels, called, found = kernels_for(namespace("numpy")), set(), {name: [] for name in GRADIENTS}

    def noting(name, kernel):
        def call(*arguments):
            called.add(name)
            return kernel(*arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in GRADIENTS:
            patch.setattr(kernels, name, noting(name, getattr(kernels, name)))
        for name, case in CASES.items():
            called.clear()
            layer, inputs = case.make()
            check_layer(layer, *inputs, raises=False)
            for gradient in called:
                found[gradient].append(name)
    return found


@pytest.mark.parametrize("kernel", GRADIENTS)
def test_one_percent_in_any_backward_kernel_is_found(kernel, cases_by_gradient, monkeypatch):
    kernels = kernels_for(namespace("numpy"))
    right = getattr(kernels, kernel)
    monkeypatch.setattr(kernels, kernel, lambda *arguments: mapped(lambda g: 1.01 * g, right(*arguments)))
    cases = (CASES[name].make() for name in cases_by_gradient[kernel])
    layer, inputs = next((layer, inputs) for layer, inputs in cases if not check_layer(layer, *inputs, raises=False).ok)
    with pytest.raises(AssertionError, match="over 1e-07"):
        check_layer(layer, *inputs)


@pytest.mark.parametrize("name", LAYERS)
def test_dtype_device_and_inputs_are_kept(name, xp):
    layer, arrays = CASES[name].make()
    layer = graph_of(layer, arrays).to(xp).layers[0]
    inputs = inputs_at(xp, layer, arrays)
    before = [np.array(to_numpy(x)) for x in inputs]
    y = as_tuple(layer.forward(*inputs))
    dy = [xp.asarray(np.ones(part.shape), dtype=xp.float32) for part in y]
    dx = as_tuple(layer.backward(*dy))
    for array in (*y, *dx, *layer.grads.values()):
        assert array.dtype == xp.float32
        assert backend_name(xp) == backend_name(pnn.namespace_of(array))
        assert device_of(array) == xp.place.device
    assert [part.shape for part in dx] == [x.shape for x in derived(layer, inputs)]
    assert {name: g.shape for name, g in layer.grads.items()} == {name: p.shape for name, p in layer.params.items()}
    for array, values in zip((*inputs, *dy), (*before, *(np.ones(part.shape) for part in y)), strict=True):
        np.testing.assert_array_equal(to_numpy(array), values)


@pytest.mark.parametrize("name", LAYERS)
def test_the_shapes_of_the_outputs_are_known_before(name):
    layer, inputs = CASES[name].make()
    y = as_tuple(layer.forward(*inputs))
    told = layer.output_shape(*(x.shape for x in inputs))
    assert len(y) == layer.output_count
    assert (told if len(y) > 1 else (told,)) == tuple(part.shape for part in y)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_keep_dtype_device_and_inputs(name, xp):
    loss, (y, *others) = CASES[name].make()
    y = xp.asarray(y, dtype=xp.float32)
    before = np.array(to_numpy(y))
    value = loss.forward(y, others[0], sample_weight=others[1] if len(others) > 1 else None)
    dy = loss.backward()
    assert value.shape == loss.output_shape(y.shape, others[0].shape)
    assert value.dtype == dy.dtype == xp.float32
    assert device_of(dy) == xp.place.device
    np.testing.assert_array_equal(to_numpy(y), before)


@pytest.mark.parametrize("name", BATCHED)
@pytest.mark.parametrize("samples", [0, 1])
def test_an_empty_batch_and_a_batch_of_one_work(name, samples, xp):
    layer, inputs = CASES[name].make()
    layer = graph_of(layer, inputs).to(xp).layers[0]
    y = as_tuple(layer.forward(*inputs_at(xp, layer, [x[:samples] for x in inputs])))
    dx = as_tuple(layer.backward(*(xp.zeros(part.shape, dtype=xp.float32) for part in y)))
    assert all(part.shape[0] == samples for part in y)
    assert [part.shape for part in dx] == [x[:samples].shape for x in derived(layer, inputs)]


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_an_empty_batch_is_zero(name, xp):
    loss, arrays = CASES[name].make()
    y, t, *weight = (array[:0] for array in arrays)
    value = loss.forward(xp.asarray(y, dtype=xp.float32), t, sample_weight=weight[0] if weight else None)
    assert value.shape == (loss.output_shape(y.shape, t.shape))
    assert float(to_numpy(value).sum()) == 0.0
    assert loss.backward().shape == y.shape


@pytest.mark.parametrize("name", LAYERS)
def test_inputs_that_are_not_contiguous_work(name):
    layer, inputs = CASES[name].make()
    strided = [np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x for x in inputs]
    with pnn.random.replayed():
        expected = as_tuple(layer.forward(*inputs))
    for others in strided, [x.copy(order="F") for x in inputs]:
        with pnn.random.replayed():
            y = as_tuple(layer.forward(*others))
        for part, wanted in zip(y, expected, strict=True):  # sums go through memory in its own order
            tolerance = 10 * np.finfo(part.dtype).eps
            np.testing.assert_allclose(part, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", LAYERS)
def test_saved_layers_come_back_the_same(name, tmp_path):
    layer, inputs = CASES[name].make()
    network = graph_of(layer, inputs)
    network.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors")
    assert repr(loaded) == repr(network)
    expected, y = (as_tuple(net.layers[0].forward(*inputs, training=False)) for net in (network, loaded))
    for part, wanted in zip(y, expected, strict=True):
        np.testing.assert_array_equal(part, wanted)


@pytest.mark.parametrize("name", LOSSES)
def test_saved_losses_come_back_the_same(name, tmp_path):
    loss, (y, t, *_) = CASES[name].make()
    network = pnn.Sequential(pnn.Identity(), loss=loss)
    network.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(loaded.loss(y, t), network.loss(y, t))


@pytest.mark.parametrize("name", CASES)
def test_passes_run_under_jit(name):
    jax = pytest.importorskip("jax")
    layer, inputs = CASES[name].make()
    with float64_enabled("jax"):
        place = pnn.Place("jax", dtype="float64")
        if isinstance(layer, Loss):
            x = place.asarray(inputs[0])
            t, weight = layer.targets(x.shape, inputs[1], place, inputs[2] if len(inputs) > 2 else None)

            def gradient(x, key):
                run = pnn.Run(place, training=True, key=key)
                loss, saved = layer.forward_pass(run, {}, x, t, weight)
                return loss, layer.gradient(run, saved)
        else:
            x = [checked_input(array, place, layer, layer.kind_of_input(i)) for i, array in enumerate(inputs)]
            params = {name: place.asarray(p) for name, p in layer.pass_arrays().items()}

            def gradient(x, key):
                run = pnn.Run(place, training=True, key=key)
                y, saved = run.forward(layer, params, *x)
                dx, _ = layer.backward_pass(run, params, saved, *as_tuple(y))
                return *as_tuple(y), *as_tuple(dx)

        eager, compiled = gradient(x, (1, 2)), jax.jit(gradient)(x, (1, 2))
        for a, b in zip(eager, compiled, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
