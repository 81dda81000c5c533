"""Activations as layers: their options, what they refuse, their slopes at ties and corners, their first weights."""

import math
import pickle

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

BAD = {
    "CELU needs an alpha of more than 0, got 0": lambda: pnn.CELU(0),
    'GELU needs approximate="none" or "tanh", got \'sigmoid\'': lambda: pnn.GELU("sigmoid"),
    "HardTanh needs a min_val below max_val, got 1.0 and 1.0": lambda: pnn.HardTanh(1.0, 1.0),
    "PReLU needs num_parameters to be a positive integer, got 0": lambda: pnn.PReLU(0),
    "Maxout needs pieces to be a positive integer, got 1.5": lambda: pnn.Maxout(1.5),
    "GLU needs axis of whole numbers, got None": lambda: pnn.GLU(None),
    "LogSoftmax needs axis of whole numbers, got 0.5": lambda: pnn.LogSoftmax(0.5),
}


@pytest.mark.parametrize("message", BAD)
def test_wrong_options_are_refused(message):
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the whole message is compared)
        BAD[message]()
    assert str(error.value) == message


SHAPES = {
    "GLU() needs x with an even size along its axis -1, got (2, 3)": (pnn.GLU(), (2, 3)),
    "SwiGLU(axis=1) needs x with an axis 1, got shape (4,)": (pnn.SwiGLU(1), (4,)),
    "Maxout(2) needs x of which 2 divides the size along the axis, got (2, 3)": (pnn.Maxout(2), (2, 3)),
    "PReLU(num_parameters=3) needs x of shape (N, 3, ...), got (2, 4)": (pnn.PReLU(3), (2, 4)),
    "Softmax(axis=2) needs x with an axis 2, got shape (2, 3)": (pnn.Softmax(2), (2, 3)),
}


@pytest.mark.parametrize("message", SHAPES)
def test_wrong_shapes_are_refused(message):
    layer, shape = SHAPES[message]
    with pytest.raises(pnn.ShapeError) as error:
        layer.forward(np.zeros(shape))
    assert str(error.value) == message


@pytest.mark.parametrize(
    "layer",
    [
        pnn.CELU(0.5), pnn.GELU("tanh"), pnn.HardTanh(-2.0, 3.0), pnn.PReLU(4, init=0.1), pnn.Maxout(2, axis=1),
        pnn.GLU(1), pnn.SwiGLU(), pnn.Softmax(1), pnn.LogSoftmax(), pnn.ReLU6(), pnn.SELU(),
    ],
)  # fmt: skip
def test_options_go_through_texts_and_copies(layer):
    g = pnn.Graph()
    g.output(layer(g.input("x")))
    for write, read in ((g.to_postfix, pnn.Graph.from_postfix), (g.to_prefix, pnn.Graph.from_prefix)):
        again = read(write())
        assert repr(again.layers[0]) == repr(layer)
    assert repr(pickle.loads(pickle.dumps(layer))) == repr(layer)


def test_which_half_is_the_gate(xp64):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((4, 6, 2))
    for axis in (0, 1, 2):
        expected = torch.nn.functional.glu(torch.asarray(x), axis).numpy()
        layer = pnn.GLU(axis)
        np.testing.assert_allclose(to_numpy(layer.forward(xp64.asarray(x))), expected, rtol=1e-13)
    a, b = np.split(x, 2, axis=1)
    np.testing.assert_allclose(to_numpy(pnn.SwiGLU(1).forward(xp64.asarray(x))), a * b / (1 + np.exp(-b)), rtol=1e-12)


def test_the_first_of_several_that_are_largest_gets_the_derivative(xp):
    layer = pnn.Maxout(3)
    layer.forward(xp.asarray([[2.0, 2.0, 1.0, 0.0, 5.0, 5.0]], dtype=xp.float32))
    dx = layer.backward(xp.asarray([[1.0, -1.0]], dtype=xp.float32))
    np.testing.assert_array_equal(to_numpy(dx), [[1.0, 0.0, 0.0, 0.0, -1.0, 0.0]])


def test_maxout_of_nan_is_nan(xp):
    y = pnn.Maxout(2).forward(xp.asarray([[1.0, math.nan, 2.0, 3.0]], dtype=xp.float32))
    np.testing.assert_array_equal(to_numpy(y), [[math.nan, 3.0]])


def test_slopes_at_corners(xp):
    corners = {pnn.ReLU6: [0.0, 6.0], pnn.HardTanh: [-1.0, 1.0], pnn.HardSigmoid: [-3.0, 3.0]}
    for kind, points in corners.items():
        layer = kind()
        layer.forward(xp.asarray(points, dtype=xp.float32))
        np.testing.assert_array_equal(to_numpy(layer.backward(xp.ones(2, dtype=xp.float32))), 0.0)


def test_prelu_learns_its_slopes(xp):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3)).astype("float32")
    t = np.where(x > 0, x, np.asarray([0.7, -0.3, 0.0], "float32") * x)
    net = pnn.Sequential(pnn.PReLU(3), loss=pnn.MeanSquaredError(), seed=0, xp=xp.place.xp, device=xp.place.device)
    pnn.Trainer(net, pnn.SGD(1.0)).fit(x, t, epochs=40, batch_size=100, progress=False)
    np.testing.assert_allclose(to_numpy(net.parameters["0.slope"]), [0.7, -0.3, 0.0], atol=1e-3)


def test_decay_of_weights_leaves_slopes_alone():
    net = pnn.Sequential(pnn.Affine(2, 2), pnn.PReLU(), loss=pnn.MeanSquaredError(), seed=0)
    pnn.SGD(0.1, weight_decay=1.0, decay="weights").update(
        net.parameters, {name: np.zeros_like(p) for name, p in net.parameters.items()}
    )
    assert float(net.parameters["1.slope"][0]) == 0.25


def test_selu_keeps_mean_and_variance_from_layer_to_layer():
    x = np.random.default_rng(0).standard_normal((500, 100))
    layers = [layer for _ in range(20) for layer in (pnn.Affine(100, 100), pnn.SELU())]
    y = pnn.Sequential(*layers, seed=0, dtype="float64").predict(x)
    assert abs(y.mean()) < 0.15
    assert 0.6 < y.var() < 1.4


def test_softmax_over_an_axis_is_that_over_the_last(xp64):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    for axis in (0, 1, -2):
        for kind in (pnn.Softmax, pnn.LogSoftmax):
            expected = np.moveaxis(kind().forward(np.moveaxis(x, axis, -1)), -1, axis)
            np.testing.assert_allclose(to_numpy(kind(axis).forward(xp64.asarray(x))), expected, rtol=1e-12)
