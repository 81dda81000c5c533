"""Batch normalization: beside torch's, beside differences, and what it refuses."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

RNG = np.random.default_rng(0)
SHAPES = [(6, 3), (5, 3, 4), (4, 3, 2, 3)]


def pair(x, momentum=0.1, epsilon=1e-5):
    """Return our layer and torch's, alike, in float64."""
    torch = pytest.importorskip("torch")
    channels = x.shape[1]
    ours = pnn.BatchNorm(channels, momentum=momentum, epsilon=epsilon)
    place = pnn.Place("numpy", dtype="float64")
    theirs = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}[x.ndim](
        channels, momentum=momentum, eps=epsilon, dtype=torch.float64
    )
    for name, there in (("gamma", theirs.weight), ("beta", theirs.bias)):
        values = RNG.uniform(0.5, 1.5, channels)
        ours.parameters[name].set(values, place, name)
        with torch.no_grad():
            there[...] = torch.tensor(values)
    return ours, theirs, torch


@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_three_batches_and_a_prediction_are_torchs(shape, momentum):
    x = RNG.normal(2.0, 3.0, shape)
    ours, theirs, torch = pair(x, momentum)
    for k in range(3):
        batch, dy = x * (k + 1.0), RNG.standard_normal(shape)
        there = torch.tensor(batch, requires_grad=True)
        theirs.zero_grad()
        expected = theirs(there)
        expected.backward(torch.tensor(dy))
        np.testing.assert_allclose(ours.forward(batch), expected.detach(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours.backward(dy), there.grad, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours.grads["gamma"], theirs.weight.grad, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours.grads["beta"], theirs.bias.grad, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours.states["mean"].value, theirs.running_mean, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(ours.states["variance"].value, theirs.running_var, rtol=1e-12, atol=1e-14)
    before = {name: state.value.copy() for name, state in ours.states.items()}
    theirs.eval()
    with torch.no_grad():
        expected = theirs(torch.tensor(x))
    np.testing.assert_allclose(ours.forward(x, training=False), expected, rtol=1e-12, atol=1e-12)
    for name, values in before.items():
        np.testing.assert_array_equal(ours.states[name].value, values)


def test_frozen_statistics_are_torchs_in_evaluation_and_differentiated_so():
    x, dy = RNG.standard_normal((5, 3, 4)), RNG.standard_normal((5, 3, 4))
    ours, theirs, torch = pair(x)
    ours.forward(x + 1.0)
    theirs(torch.tensor(x + 1.0))
    ours.frozen_statistics = True
    theirs.eval()
    there = torch.tensor(x, requires_grad=True)
    expected = theirs(there)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(ours.forward(x), expected.detach(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.backward(dy), there.grad, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.grads["gamma"], theirs.weight.grad, rtol=1e-12)
    np.testing.assert_allclose(ours.states["mean"].value, theirs.running_mean, rtol=1e-12)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_agree_with_differences_of_fourth_order(shape, frozen):
    layer, x, dy = pnn.BatchNorm(3, frozen_statistics=frozen), RNG.standard_normal(shape), RNG.standard_normal(shape)
    place = pnn.Place("numpy", dtype="float64")
    layer.parameters["gamma"].set(RNG.uniform(0.5, 1.5, 3), place, "gamma")
    layer.parameters["beta"].set(RNG.uniform(0.5, 1.5, 3), place, "beta")
    arrays = {"x": x, "gamma": layer.params["gamma"], "beta": layer.params["beta"]}

    def value():
        run = pnn.Run(place, training=True)
        params = {name: arrays[name] for name in ("gamma", "beta")}
        return float((run.forward(layer, params, arrays["x"])[0] * dy).sum())

    layer.forward(x, training=True)
    found = {"x": layer.backward(dy), **layer.grads}
    for name, array in arrays.items():
        for index in np.ndindex(array.shape):
            center, h = array[index], 1e-3
            values = []
            for step in (-2, -1, 1, 2):
                array[index] = center + step * h
                values.append(value())
            array[index] = center
            expected = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
            assert abs(found[name][index] - expected) < 1e-9


def test_one_value_a_channel_has_no_variance(xp):
    layer = pnn.BatchNorm(3)
    layer.initialize(xp.place, 0)
    x = xp.asarray(np.ones((1, 3), "float32"))
    with pytest.raises(pnn.ShapeError, match=r"more than one value a channel in training, got x of shape \(1, 3\)"):
        layer.forward(x)
    assert layer.forward(x, training=False).shape == (1, 3)
    assert layer.forward(xp.asarray(np.ones((1, 3, 2), "float32"))).shape == (1, 3, 2)


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2), (4, 3, 0)])
def test_nothing_leaves_the_states_as_they_are(xp, shape):
    layer = pnn.BatchNorm(3)
    layer.initialize(xp.place, 0)
    layer.forward(xp.asarray(RNG.standard_normal((4, 3)).astype("float32")))
    before = {name: to_numpy(state.value).copy() for name, state in layer.states.items()}
    x = xp.asarray(np.zeros(shape, "float32"))
    assert layer.forward(x).shape == shape
    assert layer.backward(x).shape == shape
    for name, values in before.items():
        np.testing.assert_array_equal(to_numpy(layer.states[name].value), values)
    np.testing.assert_array_equal(to_numpy(layer.grads["gamma"]), np.zeros(3))


@pytest.mark.parametrize("shape", [(3,), (4, 2), (4, 2, 3)])
def test_other_channels_are_refused(shape):
    with pytest.raises(pnn.ShapeError, match=r"BatchNorm needs x of shape \(N, 3\) or \(N, 3, ...\), got"):
        pnn.BatchNorm(3).forward(np.ones(shape))
    with pytest.raises(pnn.ShapeError, match="layer 1: BatchNorm needs x"):
        pnn.Sequential(pnn.Affine(2, 4), pnn.BatchNorm(3), loss=pnn.SoftmaxWithLoss()).predict(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": 0}, "channels to be a positive integer"),
        ({"channels": 3, "momentum": 1.5}, r"momentum in \[0, 1\]"),
        ({"channels": 3, "momentum": float("nan")}, r"momentum in \[0, 1\]"),
        ({"channels": 3, "epsilon": 0.0}, "needs epsilon of more than 0"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        pnn.BatchNorm(**options)


def test_gamma_and_beta_are_not_decayed_with_the_weights():
    net = pnn.Sequential(pnn.Affine(3, 4), pnn.BatchNorm(4), loss=pnn.MeanSquaredError(), seed=0)
    optimizer = pnn.SGD(0.1, weight_decay=0.5, decay="weights")
    parts = optimizer.parts(list(net.trainable()), net.arrays()[:4], list(net.parameters))
    names = list(net.trainable())
    spared = {names[i] for part in parts if part.weight_decay == 0.0 for i in part.positions}
    assert spared == {"0.b", "1.gamma", "1.beta"}
