"""What layers and losses that stand alone are given, and what they refuse."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

X = np.random.default_rng(0).standard_normal((5, 3))


@pytest.mark.parametrize(
    ("layer", "inputs", "words"),
    [
        (pnn.Add(), (), "does not take 0 inputs"),
        (pnn.Add(), (X,), "does not take 1 input$"),
        (pnn.MatMul(), (), "does not take 0 inputs"),
        (pnn.ReLU(), (), "does not take 0 inputs"),
        (pnn.ReLU(), (X, X), "does not take 2 inputs"),
        (pnn.Concat(), (), "does not take 0 inputs"),
        (pnn.Affine(3, 2), (), "does not take 0 inputs"),
    ],
)
def test_the_number_of_inputs(layer, inputs, words):
    with pytest.raises(TypeError, match=words):
        layer.forward(*inputs)


ELEMENTWISE = [pnn.MeanSquaredError, pnn.MeanAbsoluteError, pnn.Huber, pnn.SigmoidWithLoss, pnn.PoissonLoss]


@pytest.mark.parametrize("loss", ELEMENTWISE)
def test_losses_need_a_batch_axis(loss):
    with pytest.raises(pnn.ShapeError, match=r"needs y of shape \(N, \.\.\.\), got \(\)"):
        loss().forward(np.asarray(1.0), np.asarray(1.0))


def test_flatten_needs_a_batch_axis():
    with pytest.raises(pnn.ShapeError, match=r"Flatten needs x of shape \(N, \.\.\.\)"):
        pnn.Flatten().forward(np.asarray(1.0))


@pytest.mark.parametrize("shape", [(2,), (5, 3), (1,)])
@pytest.mark.parametrize("loss", [*ELEMENTWISE, pnn.SoftmaxWithLoss])
def test_a_loss_takes_one_derivative(loss, shape):
    loss = loss()
    loss.forward(X, np.eye(3)[[0, 1, 2, 0, 1]])
    with pytest.raises(pnn.ShapeError, match="needs dout of shape"):
        loss.backward(np.ones(shape))


@pytest.mark.parametrize(("dtype", "native"), [(">f4", "float32"), (">f8", "float64"), ("float16", "float32")])
def test_a_layer_alone_casts_what_a_network_casts(dtype, native):
    x = X.astype(dtype)
    for layer in (pnn.Tanh(), pnn.Softmax()):
        y = layer.forward(x)
        assert y.dtype == native
        np.testing.assert_array_equal(y, layer.forward(x.astype(native)))
    loss = pnn.MeanSquaredError()
    assert float(loss.forward(x, X)) == float(loss.forward(x.astype(native), X))
    assert to_numpy(loss.backward()).dtype == native
