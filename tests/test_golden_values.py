"""The numbers that the source documents print, on every backend."""

import math

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

ONES = [[1.0, 1.0], [1.0, 1.0]]


def array(xp, values):
    return xp.asarray(values, dtype=xp.float32)


def test_affine_of_ones(xp):
    layer = pnn.Affine.from_arrays(array(xp, [[1, 1, 1], [1, 1, 1]]), array(xp, [0, 0, 0]))
    y = layer.forward(array(xp, [[1, 2], [3, 4]]))
    np.testing.assert_array_equal(to_numpy(y), [[3, 3, 3], [7, 7, 7]])


def test_affine_bias_forward_and_backward(xp):
    layer = pnn.Affine.from_arrays(array(xp, [[0, 0, 0], [10, 10, 10]]), array(xp, [1, 2, 3]))
    y = layer.forward(array(xp, [[1, 0], [0, 1]]))
    np.testing.assert_array_equal(to_numpy(y), [[1, 2, 3], [11, 12, 13]])
    layer.backward(array(xp, [[1, 2, 3], [4, 5, 6]]))
    np.testing.assert_array_equal(to_numpy(layer.grads["b"]), [5, 7, 9])


def test_affine_restores_the_shape_of_n_dimensional_input(xp):
    layer = pnn.Affine.from_arrays(array(xp, np.ones((12, 2))))
    x = array(xp, np.arange(24).reshape(2, 3, 2, 2))
    np.testing.assert_array_equal(to_numpy(layer.forward(x)), [[66, 66], [210, 210]])
    np.testing.assert_array_equal(to_numpy(layer.backward(array(xp, ONES))), np.full((2, 3, 2, 2), 2.0))


def test_sigmoid(xp):
    layer = pnn.Sigmoid()
    y = layer.forward(array(xp, [[1, 2], [3, 4]]))
    np.testing.assert_allclose(to_numpy(y), [[0.73105858, 0.88079708], [0.95257413, 0.98201379]], rtol=3e-7)
    dx = layer.backward(array(xp, ONES))
    np.testing.assert_allclose(to_numpy(dx), [[0.19661193, 0.10499359], [0.04517666, 0.01766271]], rtol=3e-6)


def test_relu(xp):
    layer = pnn.ReLU()
    np.testing.assert_array_equal(to_numpy(layer.forward(array(xp, [[1, -0.5], [-2, 3]]))), [[1, 0], [0, 3]])
    np.testing.assert_array_equal(to_numpy(layer.backward(array(xp, [[5, 6], [7, 8]]))), [[5, 0], [0, 8]])


# The notes print 0.4076058141229194, which is -log(p + 1e-7), one of the mistakes to avoid. Without it the loss is
# -log p, with p = 1 / (1 + exp(-1) + exp(-2)).
LOSS = math.log(1 + math.exp(-1) + math.exp(-2))


def test_the_notes_softmax_loss_is_ours_with_their_mistake():
    assert -math.log(math.exp(-LOSS) + 1e-7) == pytest.approx(0.4076058141229194, rel=1e-15)


@pytest.mark.parametrize("t", [np.array([2, 2]), np.array([[0, 0, 1], [0, 0, 1]])], ids=["labels", "one-hot"])
def test_softmax_with_loss(t, xp):
    loss = pnn.SoftmaxWithLoss().forward(array(xp, [[1, 2, 3], [4, 5, 6]]), t)
    assert float(loss) == pytest.approx(LOSS, rel=2e-7)


def test_softmax_with_loss_in_float64(xp64):
    loss = pnn.SoftmaxWithLoss().forward(xp64.asarray([[1, 2, 3], [4, 5, 6]], dtype=xp64.float64), np.array([2, 2]))
    assert float(loss) == pytest.approx(LOSS, rel=2e-15)


def test_softmax_jacobian(xp):
    x = [0.3, -1.2, 2.0]
    s = np.exp(x) / np.sum(np.exp(x))
    layer = pnn.Softmax()
    layer.forward(array(xp, [x, x, x]))
    jacobian = to_numpy(layer.backward(array(xp, np.eye(3))))
    np.testing.assert_allclose(jacobian, np.diag(s) - np.outer(s, s), rtol=1e-5, atol=1e-7)


def test_matmul(xp):
    layer = pnn.MatMul.from_arrays(array(xp, [[1, 2], [3, 4]]))
    np.testing.assert_array_equal(to_numpy(layer.forward(array(xp, [[1, 1]]))), [[4, 6]])
    np.testing.assert_array_equal(to_numpy(layer.backward(array(xp, [[1, 10]]))), [[21, 43]])
    np.testing.assert_array_equal(to_numpy(layer.grads["W"]), [[1, 10], [1, 10]])


def test_identity_with_squared_error(xp):
    net = pnn.Sequential(pnn.Identity(), loss=pnn.MeanSquaredError("sum"), xp=xp)
    x, t = array(xp, [[1.0, 2.0]]), array(xp, [[3.0, 5.0]])
    assert float(net.loss(x, t)) == 13.0
