"""The mistakes of the source documents, each put to the test that it would fail."""

import math

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.kernels import kernels_for
from portable_nn.testing import numerical_gradient
from portable_nn.training.batches import Batches

F32 = np.float32


def digits_net(**options):
    return pnn.Sequential(pnn.Affine(6, 5), pnn.ReLU(), pnn.Affine(5, 3), loss=pnn.SoftmaxWithLoss(), seed=0, **options)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.standard_normal((7, 6)).astype(F32), rng.integers(0, 3, 7)


def test_relu_backward_leaves_the_callers_gradient_alone(xp):
    layer = pnn.ReLU()
    layer.forward(xp.asarray([[-1.0, 1.0]], dtype=xp.float32))
    dy = xp.asarray([[5.0, 6.0]], dtype=xp.float32)
    layer.backward(dy)
    np.testing.assert_array_equal(to_numpy(dy), [[5.0, 6.0]])


def test_softmax_takes_out_the_maximum_and_normalises_each_row(xp):
    x = xp.asarray([[1000.0, 1001.0], [0.0, 0.0]], dtype=xp.float32)
    y = to_numpy(pnn.Softmax().forward(x))
    np.testing.assert_allclose(y, [[1 / (1 + math.e), math.e / (1 + math.e)], [0.5, 0.5]], rtol=1e-6)
    np.testing.assert_array_equal(to_numpy(x), [[1000.0, 1001.0], [0.0, 0.0]])


def test_softmax_with_loss_returns_the_loss_and_heeds_dout():
    loss = pnn.SoftmaxWithLoss()
    y = np.array([[1.0, 2.0, 3.0]])
    assert loss.forward(y, np.array([2])).shape == ()
    np.testing.assert_allclose(loss.backward(2.5), 2.5 * loss.backward(1.0))


def test_integer_labels_are_right_even_if_there_are_as_many_samples_as_classes():
    y, labels = np.random.default_rng(1).standard_normal((3, 3)), np.array([2, 0, 1])
    gradients = []
    for t in (labels, np.eye(3)[labels]):
        loss = pnn.SoftmaxWithLoss()
        loss.forward(y, t)
        gradients.append(loss.backward())
    np.testing.assert_allclose(*gradients, rtol=1e-14)
    expected = (np.exp(y) / np.exp(y).sum(1, keepdims=True) - np.eye(3)[labels]) / 3
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-12)


def test_one_hot_is_recognised_by_its_axes_not_by_its_size():
    y = np.array([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(pnn.ShapeError):
        pnn.SoftmaxWithLoss().forward(y, np.array([0, 1, 0, 1]))  # as many elements as y


@pytest.mark.parametrize("layer", [pnn.Sigmoid(), pnn.Softplus(), pnn.SiLU(), pnn.GELU(), pnn.Tanh(), pnn.ELU()])
def test_activations_do_not_overflow(layer, xp):
    x = xp.asarray([[-1e4, -100.0, 0.0, 100.0, 1e4]], dtype=xp.float32)
    assert np.isfinite(to_numpy(layer.forward(x))).all()
    assert np.isfinite(to_numpy(layer.backward(xp.ones(x.shape, dtype=xp.float32)))).all()


def test_the_loss_of_a_hopeless_answer_is_not_capped(xp):
    y = xp.asarray([[0.0, 500.0]], dtype=xp.float32)
    assert float(pnn.SoftmaxWithLoss().forward(y, np.array([0]))) == 500.0
    assert float(pnn.SigmoidWithLoss("sum").forward(y, np.array([[0, 0]]))) == pytest.approx(500.0 + math.log(2))


def test_training_updates_the_bias(batch):
    net = digits_net()
    before = net.parameters["0.b"]
    pnn.Trainer(net, pnn.SGD(0.1)).fit(*batch, epochs=1, progress=False)
    assert (net.parameters["0.b"] != before).any()


def test_equal_values_are_not_a_tie():
    net = pnn.Sequential(pnn.MatMul.from_arrays(np.zeros((2, 2))), pnn.MatMul.from_arrays(np.zeros((2, 2))))
    assert list(net.parameters) == ["0.W", "1.W"]
    net.parameters["0.W"] = np.ones((2, 2))
    np.testing.assert_array_equal(net.parameters["1.W"], np.zeros((2, 2)))


def test_tied_gradients_are_not_summed_into_a_layers_own_buffer():
    first = pnn.MatMul(2, 2, seed=0)
    net = pnn.Sequential(first, pnn.MatMul(2, 2, W=first.parameters["W"]), loss=pnn.MeanSquaredError())
    x, t = np.ones((1, 2), F32), np.zeros((1, 2), F32)
    np.testing.assert_array_equal(net.gradient(x, t)["0.W"], net.gradient(x, t)["0.W"])


def test_optimizers_reach_the_callers_list_on_immutable_backends(xp):
    params = [xp.asarray([1.0, 2.0], dtype=xp.float32)]
    pnn.SGD(0.5).update(params, [xp.asarray([1.0, 1.0], dtype=xp.float32)])
    np.testing.assert_array_equal(to_numpy(params[0]), [0.5, 1.5])


OPTIMIZERS = [kind for kind in vars(pnn).values() if isinstance(kind, type) and issubclass(kind, pnn.Optimizer)]


@pytest.mark.parametrize("kind", [kind for kind in OPTIMIZERS if kind is not pnn.Optimizer])
def test_numpy_scalars_do_not_promote_float32_weights(kind, batch):
    net = digits_net()
    rate = np.float64(0.01)
    opt = kind(rate, weight_decay=rate, clip_norm=rate, clip_value=rate)
    opt.update(net.parameters, net.gradient(*batch))
    assert {a.dtype for a in net.parameters.values()} == {np.dtype(F32)}
    assert {a.dtype for slots in opt.state.values() for a in slots} <= {np.dtype(F32)}


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_the_numerical_gradient_is_right_for_float32_and_integer_input(dtype):
    x = np.array([[1, 2], [3, 4]], dtype=dtype)
    np.testing.assert_allclose(numerical_gradient(lambda x: (x**3).sum(), x), 3.0 * x.astype(float) ** 2, rtol=1e-8)
    np.testing.assert_array_equal(x, [[1, 2], [3, 4]])


def test_the_numerical_gradient_refuses_a_function_that_computes_in_float32(batch):
    x, t = batch
    net = digits_net()
    with pytest.raises(pnn.DTypeError, match="float64"):
        numerical_gradient(lambda x: net.loss(x, t), x)


def test_the_numerical_gradient_repeats_dropout_masks():
    dropout = pnn.Dropout(0.5, seed=3)
    x = np.ones((4, 5))
    found = numerical_gradient(lambda x: dropout.forward(x).sum(), x)
    dropout.forward(x)
    np.testing.assert_allclose(found, dropout.backward(np.ones((4, 5))), atol=1e-9)
    assert set(np.unique(found.round(6))) == {0.0, 2.0}


def test_evaluation_leaves_the_caches_of_a_training_step_alone(batch):
    layer = pnn.Affine(6, 5, seed=0)
    x, _ = batch
    layer.forward(x)
    expected = layer.backward(np.ones((7, 5), F32)), layer.grads["W"]
    layer.forward(x)
    layer.forward(np.zeros((3, 6), F32), training=False)
    net = pnn.Sequential(layer, loss=pnn.SoftmaxWithLoss())
    net.predict(2 * x)
    net.accuracy(2 * x, np.zeros(7, int))
    np.testing.assert_array_equal(layer.backward(np.ones((7, 5), F32)), expected[0])
    np.testing.assert_array_equal(layer.grads["W"], expected[1])


def test_an_epoch_is_every_sample_once_the_last_partial_batch_included():
    samples = np.arange(103)
    batches = Batches([samples], 20, shuffle=True, seed=0)
    first, second = (np.concatenate([x for (x,) in batches.epoch(i)]) for i in (1, 2))
    assert sorted(first) == sorted(second) == list(samples)
    assert (first != second).any()
    assert [len(x) for (x,) in batches.epoch(1)] == [20] * 5 + [3]
    assert len(batches) == 6


def test_every_epoch_is_evaluated_even_if_batches_do_not_divide_the_samples(batch):
    history = pnn.Trainer(digits_net()).fit(*batch, batch_size=3, epochs=5, validation_data=batch, progress=False)
    assert len(history["val_accuracy"]) == len(history["loss"]) == 5


def test_accuracy_is_measured_on_all_samples(batch):
    x, t = np.concatenate([batch[0]] * 400), np.concatenate([batch[1]] * 400)
    net = digits_net()
    expected = float(np.mean(np.argmax(net.predict(x), axis=1) == t))
    assert pnn.Trainer(net).evaluate(x, t, batch_size=999)["accuracy"] == pytest.approx(expected, abs=1e-12)
    assert net.accuracy(x, t) == pytest.approx(expected, abs=1e-12)


def test_layers_made_before_the_seed_is_given_are_drawn_from_it():
    layers = [pnn.Affine(6, 5), pnn.Affine(5, 3)]
    np.testing.assert_array_equal(
        pnn.Sequential(*layers, seed=7).parameters["1.W"],
        pnn.Sequential(pnn.Affine(6, 5), pnn.Affine(5, 3), seed=7).parameters["1.W"],
    )


def test_nothing_borrowed_is_written_in_a_whole_training_step(batch):
    x, t = batch
    for array in (x, t):
        array.setflags(write=False)
    net = digits_net()
    for value in net.parameters.values():
        value.setflags(write=False)
    pnn.Trainer(net, pnn.Adam(clip_norm=1.0, weight_decay=0.1)).fit(x, t, epochs=2, progress=False)


def test_relu_gradient_is_exact_where_a_product_with_a_mask_is_not():
    relu_gradient = kernels_for(np).relu_gradient
    dy = np.array([np.inf, np.nan, 1.0], F32)
    np.testing.assert_array_equal(relu_gradient(dy, np.array([0.0, 0.0, 2.0], F32)), [0.0, 0.0, 1.0])


def test_the_gradient_of_a_loss_is_the_callers_to_change(xp):
    loss, y = pnn.SoftmaxWithLoss(), xp.asarray([[0.0, 1.0]], dtype=xp.float32)
    loss.forward(y, np.array([0]))
    first, second = loss.backward(), loss.backward()
    assert not np.shares_memory(to_numpy(first), to_numpy(second)) or xp.place.backend == "jax"  # which has no writing


def test_weights_whose_sum_overflows_are_refused():
    net = pnn.Sequential(pnn.Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    x, t = np.ones((20, 3), dtype="float32"), np.zeros(20, dtype="int64")
    with pytest.raises(pnn.LabelError, match="whose sum float32 can hold"):
        pnn.Trainer(net).fit(x, t, sample_weight=np.full(20, 1e38), progress=False)
