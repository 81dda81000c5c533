"""Networks as estimators: what they refuse, and the parameters of their optimizer and their network."""

import functools

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.9")

from sklearn import datasets
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import portable_nn as pnn
from portable_nn.adapters.sklearn import MLPClassifier, NetworkClassifier, NetworkRegressor

X, Y = datasets.load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
KINDS = [NetworkClassifier, NetworkRegressor]


def small(inputs, outputs, hidden=8, *, bias=True):
    return pnn.Sequential(pnn.Affine(inputs, hidden), pnn.ReLU(), pnn.Affine(hidden, outputs))


def linear(outputs, loss=None):
    return pnn.Sequential(pnn.Affine(4, outputs), loss=loss)


@pytest.mark.parametrize(
    ("network", "classes", "message"),
    [
        (linear(3), 2, "3 outputs, but y has 2 classes"),
        (linear(2), 3, "2 outputs, but y has 3 classes"),
        (linear(4, pnn.SoftmaxWithLoss()), 3, "4 outputs, but y has 3 classes"),
        (lambda i, o: linear(o + 1), 3, "4 outputs, but y has 3 classes"),
        (linear(1, pnn.SigmoidWithLoss()), 3, "1 output, but y has 3 classes"),
        (linear(2, pnn.SigmoidWithLoss()), 2, "2 outputs, but y has 2 classes"),
    ],
)
def test_a_network_of_other_outputs_than_classes_is_refused(network, classes, message):
    few = classes > Y
    estimator = NetworkClassifier(network, epochs=1)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X[few], Y[few])
    assert not hasattr(estimator, "network_")


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_several_inputs_or_named_outputs_are_refused(kind):
    several, named = pnn.Graph(), pnn.Graph()
    several.output(pnn.Affine(4, 3)(several.input("a")) + pnn.Affine(4, 3)(several.input("b")))
    named.output(kind=pnn.Affine(4, 3)(named.input("a")))
    for network in (several, named):
        with pytest.raises(ValueError, match="a network of one input, and one output without a name, got one of a"):
            kind(network, epochs=1, progress=False).fit(X, Y)


def test_networks_of_as_many_outputs_as_needed_are_taken():
    two = Y < 2
    assert NetworkClassifier(linear(1, pnn.SigmoidWithLoss()), epochs=1).fit(X[two], Y[two]).predict(X).shape == (150,)
    labels = np.stack([Y == 0, Y == 1], axis=1).astype(int)
    assert NetworkClassifier(linear(2), epochs=1).fit(X, labels).predict(X).shape == (150, 2)
    with pytest.raises(ValueError, match="3 outputs, but y has 2 labels"):
        NetworkClassifier(linear(3), epochs=1).fit(X, labels)
    with pytest.raises(ValueError, match="2 outputs, but y has 1 column"):
        NetworkRegressor(linear(2), epochs=1).fit(X, X[:, 0])


@pytest.mark.parametrize("kind", [*KINDS, MLPClassifier])
def test_parameters_of_the_optimizer_are_read_and_set_on_a_copy(kind):
    mine = pnn.Adam(0.1, weight_decay=0.2)
    estimator = kind(optimizer=mine) if kind is MLPClassifier else kind(small, optimizer=mine)
    params = estimator.get_params()
    assert (params["optimizer__lr"], params["optimizer__weight_decay"], params["optimizer__beta1"]) == (0.1, 0.2, 0.9)
    assert "optimizer__lr" not in estimator.get_params(deep=False)
    assert estimator.set_params(optimizer__lr=0.5, optimizer__clip_norm=1.0) is estimator
    assert (mine.lr, mine.clip_norm) == (0.1, None)
    assert type(estimator.optimizer) is pnn.Adam
    assert (estimator.optimizer.lr, estimator.optimizer.clip_norm, estimator.optimizer.weight_decay) == (0.5, 1.0, 0.2)
    schedule = pnn.Cosine(0.1, steps=9)
    assert estimator.set_params(optimizer__lr=schedule).get_params()["optimizer__lr"] is schedule
    copied = clone(estimator)
    assert copied.optimizer is not estimator.optimizer
    assert copied.get_params()["optimizer__weight_decay"] == 0.2
    estimator.set_params(optimizer=pnn.SGD(0.3), optimizer__lr=0.4)
    assert (type(estimator.optimizer), estimator.optimizer.lr) == (pnn.SGD, 0.4)
    with pytest.raises(ValueError, match="Invalid parameter 'beta1' for optimizer SGD"):
        estimator.set_params(optimizer__beta1=0.4)
    with pytest.raises(ValueError, match="weight_decay needs to be"):
        estimator.set_params(optimizer__weight_decay=-1)
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        estimator.set_params(nonsense=1)


def test_an_optimizer_left_out_is_adam_with_these_parameters():
    estimator = NetworkClassifier(small).set_params(optimizer__lr=0.25)
    assert (type(estimator.optimizer), estimator.optimizer.lr) == (pnn.Adam, 0.25)
    with pytest.raises(ValueError, match="optimizer__lr needs an Optimizer as optimizer, got 'rmsprop'"):
        MLPClassifier(optimizer="rmsprop").set_params(optimizer__lr=0.25)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_of_a_function_that_makes_the_network(kind):
    estimator = kind(small, epochs=1)
    params = estimator.get_params()
    assert (params["network__hidden"], params["network__bias"]) == (8, True)
    estimator.set_params(network__hidden=5).set_params(network__bias=False)
    assert clone(estimator).get_params()["network__hidden"] == 5
    assert clone(estimator).get_params()["network__bias"] is False
    assert estimator.fit(X, Y).network_.arrays()[0].shape == (4, 5)
    given = kind(functools.partial(small, hidden=3), epochs=1)
    assert given.get_params()["network__hidden"] == 3
    with pytest.raises(ValueError, match="Invalid parameter 'depth' for network small"):
        estimator.set_params(network__depth=5)
    with pytest.raises(ValueError, match="network__hidden needs a function or class as network"):
        kind(linear(3)).set_params(network__hidden=5)


def test_a_grid_search_over_both():
    mine = pnn.Adam()
    grid = {"optimizer__lr": [1e-9, 0.02], "network__hidden": [4, 16]}
    search = GridSearchCV(NetworkClassifier(small, optimizer=mine, epochs=10, random_state=0), grid, cv=2).fit(X, Y)
    assert search.best_params_["optimizer__lr"] == 0.02
    assert search.best_score_ > 0.8
    assert search.best_estimator_.network_.arrays()[0].shape[1] == search.best_params_["network__hidden"]
    assert mine.lr == 1e-3


@pytest.mark.parametrize("factory", [False, True])
def test_whole_numbers_reach_an_embedding_as_they_are(factory):
    def network(inputs, outputs):
        return pnn.Sequential(pnn.Embedding(2**24 + 2, 1), pnn.Flatten(), pnn.Affine(inputs, outputs))

    x = np.array([[2**24, 0], [2**24 + 1, 1]] * 20)
    y = np.array([0, 1] * 20)
    estimator = NetworkClassifier(
        network if factory else network(2, 2), optimizer=pnn.SGD(1.0), epochs=40, random_state=0, dtype="float32"
    )
    assert estimator.fit(x, y).score(x, y) == 1.0
    assert estimator.network_.place.dtype_name == "float32"
    with pytest.raises(TypeError, match="whole numbers"):
        estimator.predict(x * 1.0)
    assert NetworkClassifier(linear(2), epochs=1).fit(
        np.arange(40).reshape(10, 4), y[:10]
    ).network_.place.dtype_name == ("float64")
