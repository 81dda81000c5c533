"""The messages of wrong calls, in one table; and that a call which fails changes nothing."""

import copy
import importlib.util
import re

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

F32 = np.float32
X, T = np.ones((4, 3), F32), np.array([0, 1, 1, 0])


def net():
    return pnn.Sequential(pnn.Affine(3, 4), pnn.ReLU(), pnn.Affine(4, 2), loss=pnn.SoftmaxWithLoss(), seed=0)


def regression(outputs=1):
    return pnn.Sequential(pnn.Affine(3, outputs), loss=pnn.MeanSquaredError(), seed=0)


def torch_array(*shape):
    return pytest.importorskip("torch").ones(*shape)


def fit(network, *data, **options):
    return pnn.Trainer(network).fit(*data, progress=False, **options)


CALLS = {
    "wrong width": (
        lambda n: n.predict(np.ones((32, 100), F32)),
        pnn.ShapeError,
        "layer 0: Affine needs x of shape (N, 3), got (32, 100)",
    ),
    "no batch axis": (lambda n: n.predict(np.ones(3, F32)), pnn.ShapeError, "Affine needs x of shape (N, 3), got (3,)"),
    "a number": (lambda n: n.predict(np.float32(1)), pnn.ShapeError, "needs x of shape (N, ...), got ()"),
    "a ragged list": (
        lambda n: n.predict([[1, 2, 3], [4]]),
        pnn.ShapeError,
        "x needs lists of equal lengths, got ragged",
    ),
    "a list of text": (
        lambda n: n.predict([["a", "b", "c"]]),
        pnn.DTypeError,
        "x needs lists of real numbers, got str 'a'",
    ),
    "ragged labels": (
        lambda n: fit(n, X, [0, 1, [1], 0]),
        pnn.ShapeError,
        "t needs lists of equal lengths, got ragged",
    ),
    "ragged weights": (
        lambda n: n.loss(X, T, sample_weight=[1.0, [2.0]]),
        pnn.ShapeError,
        "sample_weight needs lists of equal lengths",
    ),
    "a layer called on an array": (
        lambda n: n[0](X),
        TypeError,
        "is called on the nodes of a graph, got ndarray: use .forward(x) for an array, or a network",
    ),
    "a masked array": (
        lambda n: n.predict(np.ma.masked_less(X, 0)),
        TypeError,
        "x needs to be an array without a mask",
    ),
    "masked labels": (lambda n: fit(n, X, np.ma.array(T)), TypeError, "t needs to be an array without a mask"),
    "masked weights": (
        lambda n: fit(n, X, T, sample_weight=np.ma.array(T)),
        TypeError,
        "sample_weight needs to be an array without a mask",
    ),
    "predicting in no batches": (
        lambda n: pnn.Trainer(n).predict(X, batch_size=0),
        ValueError,
        "predict needs batch_size to be a whole number of at least 1, got 0",
    ),
    "evaluating in no batches": (
        lambda n: pnn.Trainer(n).evaluate(X, T, batch_size=0),
        ValueError,
        "evaluate needs batch_size to be a whole number of at least 1, got 0",
    ),
    "complex input": (lambda n: n.predict(X + 1j), pnn.DTypeError, "needs x of real numbers, got dtype complex64"),
    "text": (lambda n: n.predict(np.array([["a", "b", "c"]])), pnn.DTypeError, "needs x of real numbers"),
    "another library": (
        lambda n: n.predict(torch_array(4, 3)),
        pnn.NamespaceError,
        'x is an array of torch, the network is on numpy: move the network with .to("torch"), '
        "or the array with portable_nn.to_numpy(x)",
    ),
    "labels of another library": (
        lambda n: n.loss(X, torch_array(4)),
        pnn.DTypeError,
        "needs integer labels, got torch.float32",
    ),
    "label too large": (lambda n: n.loss(X, T + 1), pnn.LabelError, "needs labels from 0 to 1, got 2"),
    "negative label": (lambda n: n.gradient(X, T - 1), pnn.LabelError, "needs labels from 0 to 1, got -1"),
    "NaN labels": (lambda n: n.loss(X, T * np.nan), pnn.DTypeError, "needs integer labels, got float64"),
    "too few labels": (lambda n: n.loss(X, T[:3]), pnn.ShapeError, "needs t of shape (4,) or (4, 2), got (3,)"),
    "labels as a column": (
        lambda n: n.loss(X, T[:, None]),
        pnn.ShapeError,
        "needs t of shape (4,) or (4, 2), got (4, 1)",
    ),
    "no distribution": (
        lambda n: n.loss(X, np.ones((4, 2))),
        pnn.LabelError,
        "distributions of at least 0 that sum to 1, got 1.0",
    ),
    "NaN one-hot": (lambda n: n.loss(X, np.full((4, 2), np.nan)), pnn.LabelError, "sum to 1, got nan"),
    "sample weights of another length": (
        lambda n: n.loss(X, T, sample_weight=np.ones(3)),
        pnn.ShapeError,
        "sample_weight needs shape (4,), got (3,)",
    ),
    "negative sample weight": (
        lambda n: n.loss(X, T, sample_weight=np.array([1.0, 1, -1, 1])),
        pnn.LabelError,
        "sample weights of at least 0, got -1.0",
    ),
    "accuracy of a regression": (
        lambda n: regression().accuracy(X, np.ones((4, 1))),
        TypeError,
        "MeanSquaredError has no accuracy",
    ),
    "no loss": (lambda n: pnn.Sequential(pnn.ReLU()).loss(X, T), ValueError, "loss=pnn.SoftmaxWithLoss()"),
    "regression targets of another shape": (
        lambda n: regression(2).loss(X, np.ones(4)),
        pnn.ShapeError,
        "MeanSquaredError needs t of shape (4, 2), as y has, got (4,)",
    ),
    "infinite regression target": (
        lambda n: regression().loss(X, np.array([1, 2, np.inf, 4])),
        pnn.LabelError,
        "needs t to be finite, got inf",
    ),
    "unknown parameter": (lambda n: n.parameters.update({"7.W": X}), KeyError, "there is no parameter '7.W'"),
    "parameter of another shape": (
        lambda n: n.parameters.update({"0.W": X}),
        pnn.ShapeError,
        "parameter 0.W needs shape (3, 4), got (4, 3)",
    ),
    "freezing nothing": (lambda n: n.freeze("9"), KeyError, "there is no parameter or layer '9'"),
    "unknown library": (lambda n: n.to("tensorflow"), pnn.NamespaceError, "unknown array library 'tensorflow'"),
    "unknown dtype": (
        lambda n: n.to(dtype="int32"),
        pnn.DTypeError,
        "float32, float64, bfloat16, float16 is needed, got 'int32'",
    ),
    "unknown device": (lambda n: n.to("array_api_strict", device="gpu"), pnn.BackendError, "no device 'gpu'"),
    "no samples": (lambda n: fit(n, X[:0], T[:0]), pnn.ShapeError, "at least one sample"),
    "batch size of zero": (
        lambda n: fit(n, X, T, batch_size=0),
        ValueError,
        "batch_size to be a whole number of at least 1, got 0",
    ),
    "negative epochs": (
        lambda n: fit(n, X, T, epochs=-1),
        ValueError,
        "epochs to be a whole number of at least 0, got -1",
    ),
    "both kinds of validation": (
        lambda n: fit(n, X, T, validation_data=(X, T), validation_split=0.5),
        ValueError,
        "got both",
    ),
    "a split that leaves nothing": (lambda n: fit(n, X, T, validation_split=0.01), ValueError, "one of the two parts"),
    "bad label in fit": (lambda n: fit(n, X, T + 5), pnn.LabelError, "labels from 0 to 1, got 5"),
    "bad validation label": (lambda n: fit(n, X, T, validation_data=(X, T + 5)), pnn.LabelError, "got 5"),
    "a batch size that is not whole": (lambda n: fit(n, X, T, batch_size=2.5), ValueError, "at least 1, got 2.5"),
    "a short list to fit": (
        lambda n: fit(n, [[1, 2, 3]], T),
        pnn.ShapeError,
        "needs t of shape (1,) or (1, 2), got (4,)",
    ),
    "a set to fit": (lambda n: fit(n, {1}, T), pnn.NamespaceError, "got set: wrap it in numpy.asarray(...)"),
    "a number to fit": (lambda n: fit(n, np.asarray(1.0), T), pnn.ShapeError, "needs x of shape (N, 3), got ()"),
    "a short list to predict": (lambda n: pnn.Trainer(n).predict([[1, 2]]), pnn.ShapeError, "(N, 3), got (1, 2)"),
    "validation data of four parts": (
        lambda n: fit(n, X, T, validation_data=(X, T, None, T)),
        ValueError,
        "validation_data as the arrays (x, t) or (x, t, sample_weight), got 4 things",
    ),
    "early stopping on nothing": (
        lambda n: fit(n, X, T, callbacks=[pnn.EarlyStopping()]),
        ValueError,
        "EarlyStopping watches 'val_loss': give fit validation_data or validation_split",
    ),
    "early stopping the wrong way": (lambda n: pnn.EarlyStopping(mode="least"), ValueError, "got 'least'"),
    "negative seed": (lambda n: pnn.Sequential(pnn.ReLU(), seed=-1), ValueError, "integer of at least 0, got -1"),
    "seed of text": (lambda n: pnn.Affine(2, 2, seed="a"), ValueError, "integer of at least 0, got 'a'"),
    "sharing with a layer not drawn": (
        lambda n: pnn.Affine(2, 3, W=pnn.Affine(3, 2).parameters["W"].T).forward(np.ones((1, 2))),
        ValueError,
        "Affine(2, 3) shares W with a layer that is not initialized yet: put both in a network",
    ),
    "the class of a layer": (
        lambda n: pnn.Sequential(pnn.Affine(3, 2), pnn.ReLU),
        TypeError,
        "Sequential needs layer 1 to be a Layer, got the class ReLU: write ReLU(...)",
    ),
    "the name of a layer": (
        lambda n: pnn.Sequential("relu"),
        TypeError,
        "Sequential needs layer 0 to be a Layer, got 'relu': write pnn.ReLU(...)",
    ),
    "a list of layers": (lambda n: pnn.Sequential([pnn.ReLU()]), TypeError, "layer 0 to be a Layer, got list [ReLU()]"),
    "the name of a loss": (
        lambda n: pnn.Sequential(pnn.ReLU(), loss="softmax"),
        TypeError,
        "Sequential needs loss to be a Loss, got 'softmax': write pnn.SoftmaxWithLoss(...)",
    ),
    "the class of a loss": (
        lambda n: pnn.Sequential(pnn.ReLU(), loss=pnn.SoftmaxWithLoss),
        TypeError,
        "got the class SoftmaxWithLoss: write SoftmaxWithLoss(...)",
    ),
    "a graph's loss": (lambda n: pnn.Graph(loss=pnn.ReLU()), TypeError, "Graph needs loss to be a Loss, got ReLU"),
    "a graph's layer": (
        lambda n: (g := pnn.Graph()).apply(pnn.ReLU, [g.input("x")]),
        TypeError,
        "Graph.apply needs layer to be a Layer, got the class ReLU",
    ),
    "the class of an optimizer": (
        lambda n: pnn.Trainer(n, pnn.Adam),
        TypeError,
        "Trainer needs optimizer to be an Optimizer, got the class Adam: write Adam(...)",
    ),
    "the name of an optimizer": (
        lambda n: pnn.Trainer(n, "sgd"),
        TypeError,
        "Trainer needs optimizer to be an Optimizer, got 'sgd': write pnn.SGD(...)",
    ),
    "no network": (
        lambda n: pnn.Trainer("net"),
        TypeError,
        "Trainer needs network to be a Network, got 'net': write pnn.Sequential(pnn.Affine(64, 10), ...), say",
    ),
    "another compiler": (
        lambda n: pnn.Trainer(n, compile="yes"),
        ValueError,
        "compile needs to be \"auto\", True or False, got 'yes'",
    ),
    "the class of a callback": (
        lambda n: fit(n, X, T, callbacks=[pnn.EarlyStopping]),
        TypeError,
        "fit needs callbacks[0] to be a Callback, got the class EarlyStopping: write EarlyStopping(...)",
    ),
    "a callback that is none": (
        lambda n: fit(n, X, T, callbacks=[print]),
        TypeError,
        "fit needs callbacks[0] to be a Callback, got builtin_function_or_method",
    ),
    "one callback alone": (
        lambda n: fit(n, X, T, callbacks=pnn.Callback()),
        TypeError,
        "fit needs callbacks to be a list of Callbacks, got Callback",
    ),
    "no layers": (lambda n: pnn.Sequential(), ValueError, "at least one layer"),
    "size zero": (lambda n: pnn.Affine(0, 3), pnn.ShapeError, "Affine needs inputs to be a positive integer, got 0"),
    "size of a float": (
        lambda n: pnn.Affine(3, 2.5),
        pnn.ShapeError,
        "needs outputs to be a positive integer, got 2.5",
    ),
    "arrays that do not match": (
        lambda n: pnn.Affine.from_arrays(X, np.ones(4, F32)),
        pnn.ShapeError,
        "needs W of shape (I, O) and b of shape (O,), got (4, 3) and (4,)",
    ),
    "integer parameters": (
        lambda n: pnn.Affine.from_arrays(np.ones((2, 2), int)),
        pnn.DTypeError,
        "parameters of a floating dtype, got int64",
    ),
    "shared parameter of another shape": (
        lambda n: pnn.Affine(3, 4, W=n[0].parameters["W"].T),
        pnn.ShapeError,
        "needs W of shape (3, 4), got a shared parameter of shape (4, 3)",
    ),
    "transpose of a stranger": (
        lambda n: pnn.Sequential(pnn.Affine(4, 3, W=pnn.Affine(3, 4).parameters["W"].T), seed=0),
        ValueError,
        "the transpose of a parameter of no layer",
    ),
    "a part that shares with a stranger, alone": (
        lambda n: pnn.Sequential(pnn.Affine(4, 3, W=pnn.Affine(3, 4).parameters["W"].T)).predict(X),
        ValueError,
        "works within another network only: 0.W is the transpose of a parameter of no layer",
    ),
    "layers in two places": (
        lambda n: pnn.Sequential(pnn.Affine(3, 4, xp=np), pnn.Affine(4, 2, xp=np, dtype="float64")),
        pnn.NamespaceError,
        "layer 1 has parameters in numpy on cpu, float64",
    ),
    "backward before forward": (
        lambda n: pnn.ReLU().backward(X),
        RuntimeError,
        "ReLU() needs a forward pass in training before backward",
    ),
    "loss backward before forward": (lambda n: pnn.Huber().backward(), RuntimeError, "needs a forward pass"),
    "gradient of another shape": (
        lambda n: (layer := pnn.ReLU()).forward(X) is layer.backward(X.T),
        pnn.ShapeError,
        "needs dy of shape (4, 3), as y had, got (3, 4)",
    ),
    "dropout rate": (lambda n: pnn.Dropout(1.0), ValueError, "rate in [0, 1), got 1.0"),
    "smoothing": (lambda n: pnn.SoftmaxWithLoss(label_smoothing=1), ValueError, "label_smoothing in [0, 1), got 1"),
    "class weights": (
        lambda n: pnn.Sequential(pnn.Affine(3, 4), loss=pnn.SoftmaxWithLoss(class_weight=[1, 2])).loss(X, T),
        pnn.ShapeError,
        "2 class weights, but y has 4 classes",
    ),
    "reduction": (lambda n: pnn.Huber("median"), ValueError, '"mean", "sum" or "none", got \'median\''),
    "delta": (lambda n: pnn.Huber(delta=0), ValueError, "positive delta, got 0"),
    "a history without epochs": (lambda n: pnn.History()["loss"], KeyError, "no epochs"),
    "a picture without epochs": (lambda n: pnn.History().plot(), ValueError, "at least one epoch"),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_calls_say_what_was_needed_and_change_nothing(name):
    call, kind, message = CALLS[name]
    network = net()
    before = copy.deepcopy(network)
    with pytest.raises(kind, match=re.escape(message)) as raised:
        call(network)
    assert type(raised.value) is kind
    assert [p.tolist() for p in network.arrays()] == [p.tolist() for p in before.arrays()]
    assert network.trainable() == before.trainable()
    assert network.next_key() == before.next_key()


@pytest.mark.parametrize("backend", ["cupy", "torch", "jax", "array_api_strict"])
def test_a_missing_backend_names_its_extra(backend, monkeypatch):
    network = net()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(pnn.MissingExtraError, match=rf'{backend}: python -m pip install "portable-nn\[') as raised:
        network.to(backend)
    assert raised.value.name == backend


def test_a_missing_plotting_library_names_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    history = pnn.History()
    history.append({"loss": 1.0})
    with pytest.raises(pnn.MissingExtraError, match=r"portable-nn\[plot\]"):
        history.plot()


def test_labels_out_of_range_are_found_on_every_cpu_backend(xp):
    network = net().to(xp)
    if xp.backend.library == "cupy" or xp.backend.name.endswith("-cuda"):
        network.loss(xp.asarray(X), xp.asarray(T + 1))  # nobody waits to look at values on a device
        return
    with pytest.raises(pnn.LabelError, match="got 2"):
        network.loss(xp.asarray(X), xp.asarray(T + 1))


def test_two_devices_are_named(xp):
    if xp.backend.library == "array_api_strict":
        strict = pytest.importorskip("array_api_strict")
        x = strict.ones((4, 3), device=strict.Device("device2"), dtype=strict.float32)
    elif xp.backend.library == "cupy" and importlib.import_module("cupy").cuda.runtime.getDeviceCount() > 1:
        cupy = importlib.import_module("cupy")
        with cupy.cuda.Device(1):
            x = cupy.ones((4, 3), dtype="float32")
    else:
        pytest.skip("only array-api-strict has a second device everywhere")
    with pytest.raises(pnn.NamespaceError, match=r"x is on the device .*(device2|Device 1).*, the network on"):
        net().to(xp).predict(x)


@pytest.mark.parametrize("kind", vars(pnn.errors).values())
def test_every_error_is_a_builtin_too(kind):
    if isinstance(kind, type) and issubclass(kind, Exception):
        assert kind.__mro__[1].__module__ == "builtins"


def test_failed_updates_leave_parameters_and_optimizer_as_they_were():
    network, opt = net(), pnn.Adam()
    grads = network.gradient(X, T)
    grads["2.W"] = grads["2.W"][:1]
    with pytest.raises(pnn.ShapeError, match=r"the gradient of 2.W needs shape \(4, 2\), got \(1, 2\)"):
        opt.update(network.parameters, grads)
    assert opt.steps == 0
    assert opt.state == {}
    assert all((to_numpy(a) == to_numpy(b)).all() for a, b in zip(network.arrays(), net().arrays(), strict=True))
