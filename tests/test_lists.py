"""Plain nested lists of numbers are taken wherever arrays are; arrays that cannot be used are refused by name."""

import re

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.testing import check_layer, check_network, numerical_gradient

X = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
T = np.arange(12) % 2
W = np.arange(1.0, 13.0)


def net(xp="numpy"):
    return pnn.Sequential(pnn.Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp)


@pytest.mark.parametrize("lists", [("x",), ("t",), ("x", "t", "w")])
def test_lists_are_as_good_as_arrays(lists, xp):
    x, t, w = (a.tolist() if name in lists else a for name, a in zip("xtw", (X, T, W), strict=True))
    network = net(xp)
    assert float(network.loss(x, t, sample_weight=w)) == float(network.loss(X, T, sample_weight=W))
    assert network.accuracy(x, t) == network.accuracy(X, T)
    np.testing.assert_array_equal(to_numpy(network.predict(x)), to_numpy(network.predict(X)))
    given, expected = network.gradient(x, t), network.gradient(X, T)
    assert all((to_numpy(given[name]) == to_numpy(expected[name])).all() for name in expected)
    trainer = pnn.Trainer(network)
    assert trainer.evaluate(x, t, batch_size=5) == trainer.evaluate(X, T, batch_size=5)
    np.testing.assert_array_equal(to_numpy(trainer.predict(x)), to_numpy(trainer.predict(X)))
    options = {"epochs": 2, "batch_size": 5, "progress": False}
    ours = pnn.Trainer(net(xp)).fit(x, t, sample_weight=w, validation_data=(x, t), **options)
    other = pnn.Trainer(net(xp)).fit(X, T, sample_weight=W, validation_data=(X, T), **options)
    assert ours["loss"] == other["loss"]
    assert ours["val_loss"] == other["val_loss"]


def test_a_list_without_t_is_one_of_batches():
    batches = [(X[:6].tolist(), T[:6].tolist()), (X[6:], T[6:])]
    options = {"epochs": 2, "progress": False}
    history = pnn.Trainer(net()).fit(batches, validation_data=batches, **options)
    other = pnn.Trainer(net()).fit(X, T, batch_size=6, shuffle=False, **options)
    assert history["loss"] == pytest.approx(other["loss"])


def test_a_layer_and_a_loss_alone_take_lists():
    np.testing.assert_array_equal(pnn.ReLU().forward([[-1.0, 2.0]]), [[0.0, 2.0]])
    assert float(pnn.SoftmaxWithLoss().forward([[0.0, 0.0]], [1])) == pytest.approx(np.log(2))


def test_arrays_with_negative_strides_are_copied_to_other_libraries(xp):
    network = net(xp)
    reverse, labels, weights = X[::-1, ::-1], T[::-1], W[::-1]
    expected = network.loss(reverse.copy(), labels.copy(), sample_weight=weights.copy())
    assert float(network.loss(reverse, labels, sample_weight=weights)) == float(expected)
    options = {"epochs": 1, "batch_size": 5, "progress": False}
    ours = pnn.Trainer(net(xp)).fit(reverse, labels, sample_weight=weights, **options)
    other = pnn.Trainer(net(xp)).fit(reverse.copy(), labels.copy(), sample_weight=weights.copy(), **options)
    assert ours["loss"] == other["loss"]
    stream = pnn.Trainer(net(xp)).fit([(reverse, labels)], **options)
    assert len(stream["loss"]) == 1
    network.parameters["0.W"] = np.ones((3, 2), np.float32)[::-1, ::-1]
    assert pnn.Affine.from_arrays(np.ones((3, 2), np.float32)[::-1]).forward(reverse).shape == (12, 2)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda torch, x: x.to_sparse(), TypeError, "got one of torch.sparse_coo: use x.to_dense()"),
        (lambda torch, x: x.to("meta"), TypeError, 'got a tensor on the device "meta", which has none'),
        (lambda torch, x: list(x), pnn.NamespaceError, "x needs to be one array, got a list of Tensor: stack them"),
    ],
)
def test_tensors_of_no_use_are_named(make, kind, message):
    torch = pytest.importorskip("torch")
    network = net("torch")
    x = make(torch, torch.asarray(X))
    for call in (network.predict, pnn.Trainer(network).predict, lambda x: pnn.Trainer(network).fit(x, T)):
        with pytest.raises(kind, match=re.escape(message)):
            call(x)


def test_every_door_takes_lists():
    dense = pnn.Affine(3, 2, seed=0)
    y = dense.forward(X.tolist())
    np.testing.assert_array_equal(dense.backward(y.tolist()), dense.backward(y))
    dense.params["b"] = [1.0, 2.0]
    np.testing.assert_array_equal(dense.params["b"], np.asarray([1.0, 2.0], "float32"))
    network = net()
    network.parameters["0.b"] = [1.0, 2.0]
    np.testing.assert_array_equal(network.parameters["0.b"], [1.0, 2.0])
    W, b = [[1.0, 2.0], [3.0, 4.0]], [0.5, 0.0]
    np.testing.assert_array_equal(pnn.Affine.from_arrays(W, b).forward([[1.0, 1.0]]), [[4.5, 6.0]])
    np.testing.assert_array_equal(pnn.MatMul.from_arrays(W).forward([[1.0, 1.0]]), [[4.0, 6.0]])
    loss = pnn.MeanSquaredError("none")
    loss.forward(W, W)
    np.testing.assert_array_equal(loss.backward(W), np.zeros((2, 2)))


def test_graphs_take_lists(xp):
    graph = pnn.Graph(xp=xp.place.xp, device=xp.place.device)
    out = pnn.Affine(3, 2)(graph.input("x"))
    graph.output(out, pnn.SoftmaxWithLoss()(out, graph.input("t"), graph.input("w")))
    y, loss = (to_numpy(part) for part in graph.forward(x=X.tolist(), t=T.tolist(), w=W.tolist()))
    graph.backward(y.tolist(), 1.0)
    gradient = to_numpy(graph.gradients["x"])
    same_y, same = (to_numpy(part) for part in graph.forward(x=X, t=T, w=W))
    graph.backward(y, 1.0)
    assert (same_y == y).all()
    assert same == loss
    np.testing.assert_array_equal(to_numpy(graph.gradients["x"]), gradient)


def test_optimizers_and_checks_take_lists():
    one = {"a": np.asarray([1.0, 2.0], "float32")}
    pnn.SGD(0.5).update(one, {"a": [1.0, 1.0]})
    np.testing.assert_array_equal(one["a"], np.asarray([0.5, 1.5], "float32"))
    rows = [[1.0, 2.0], [3.0, 4.0]]
    pnn.SGD(0.5).update(rows, [[1.0, 1.0], [2.0, 2.0]])
    np.testing.assert_array_equal(rows, [[0.5, 1.5], [2.0, 3.0]])
    np.testing.assert_allclose(numerical_gradient(lambda x: float((x * x).sum()), [1.0, 2.0]), [2.0, 4.0], rtol=1e-6)
    assert check_layer(pnn.Affine(3, 2, seed=0), X.tolist()).ok
    assert check_layer(pnn.SoftmaxWithLoss(), X.tolist(), T.tolist(), W.tolist()).ok
    assert check_network(net(), X.tolist(), T.tolist()).ok
