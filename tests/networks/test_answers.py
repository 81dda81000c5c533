"""Probabilities and labels that networks predict."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

X = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")


def net(loss, outputs, xp="numpy", **options):
    return pnn.Sequential(pnn.Affine(4, outputs), *options.pop("then", ()), loss=loss, seed=0, xp=xp)


def softmax(y, axis=-1):
    e = np.exp(y - y.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def test_softmax(xp):
    network = net(pnn.SoftmaxWithLoss(), 3, xp)
    y = to_numpy(network.predict(X))
    probabilities, labels = network.predict_proba(X), network.predict_labels(X)
    np.testing.assert_allclose(to_numpy(probabilities), softmax(y), rtol=1e-5)
    np.testing.assert_array_equal(to_numpy(labels), y.argmax(axis=1))
    assert network.place.holds(probabilities)
    assert network.place.holds(labels)


def test_classes_may_be_at_another_axis():
    network = pnn.Sequential(pnn.Reshape((2, 2)), loss=pnn.SoftmaxWithLoss(axis=1))
    np.testing.assert_allclose(network.predict_proba(X), softmax(X.reshape(6, 2, 2), axis=1), rtol=1e-5)
    np.testing.assert_array_equal(network.predict_labels(X), X.reshape(6, 2, 2).argmax(axis=1))


@pytest.mark.parametrize("outputs", [1, 3])
def test_sigmoid(outputs, xp):
    network = net(pnn.SigmoidWithLoss(), outputs, xp)
    y = to_numpy(network.predict(X))
    np.testing.assert_allclose(to_numpy(network.predict_proba(X)), 1 / (1 + np.exp(-y)), rtol=1e-5)
    expected = (y > 0).astype(int)
    np.testing.assert_array_equal(to_numpy(network.predict_labels(X)), expected[:, 0] if outputs == 1 else expected)


def test_labels_have_the_names_that_the_network_knows():
    network = net(pnn.SoftmaxWithLoss(), 3)
    network.notes["classes"] = ["ant", "bee", "cicada"]
    indices = network.predict(X).argmax(axis=1)
    assert network.predict_labels(X).tolist() == [network.notes["classes"][i] for i in indices]


def test_nan_is_no_class():
    network = net(pnn.SoftmaxWithLoss(), 3)
    x = X.copy()
    x[2, 0] = np.nan
    labels = network.predict_labels(x).tolist()
    assert labels[2] == -1
    assert min(labels[:2] + labels[3:]) >= 0
    network.notes["classes"] = ["ant", "bee", "cicada"]
    with pytest.raises(ValueError, match="the outputs are NaN for 1 of 6 labels, which have no name"):
        network.predict_labels(x)


def test_numbers_have_neither():
    network = net(pnn.MeanSquaredError(), 1)
    with pytest.raises(TypeError, match="MeanSquaredError gives no probabilities: it compares numbers, not classes"):
        network.predict_proba(X)
    with pytest.raises(TypeError, match="MeanSquaredError gives no labels"):
        network.predict_labels(X)


def two_heads(**losses):
    graph = pnn.Graph(loss=losses, seed=0)
    x = graph.input("x")
    graph.output(**{name: pnn.Affine(4, 2 if name == "kind" else 1)(x) for name in losses})
    return graph


def test_several_outputs_come_by_name():
    network = two_heads(kind=pnn.SoftmaxWithLoss(), age=pnn.MeanSquaredError(), sick=pnn.SigmoidWithLoss())
    y = network.predict(X)
    probabilities = network.predict_proba(X)
    assert list(probabilities) == ["kind", "sick"]
    np.testing.assert_allclose(probabilities["kind"], softmax(y["kind"]), rtol=1e-5)
    network.notes["classes"] = {"kind": ["cat", "dog"]}
    labels = network.predict_labels(X)
    assert labels["kind"].tolist() == [["cat", "dog"][i] for i in y["kind"].argmax(axis=1)]
    np.testing.assert_array_equal(labels["sick"], y["sick"][:, 0] > 0)
    with pytest.raises(TypeError, match="no output has labels: MeanSquaredError, Huber compare numbers, not classes"):
        two_heads(age=pnn.MeanSquaredError(), size=pnn.Huber()).predict_labels(X)
