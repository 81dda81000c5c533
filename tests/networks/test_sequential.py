import copy
import pickle
import threading

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import backend_name, to_numpy

torch = pytest.importorskip("torch")

F32 = np.float32
RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((8, 6)).astype(F32), RNG.integers(0, 3, 8)


def net(**options):
    options = {"loss": pnn.SoftmaxWithLoss(), "seed": 0} | options
    return pnn.Sequential(pnn.Affine(6, 5), pnn.ReLU(), pnn.Dropout(0.3), pnn.Affine(5, 3), **options)


def test_three_layers_equal_torch(xp64):
    network = pnn.Sequential(
        pnn.Affine(6, 5),
        pnn.Tanh(),
        pnn.Affine(5, 4),
        pnn.ReLU(),
        pnn.Affine(4, 3),
        loss=pnn.SoftmaxWithLoss(),
        seed=1,
        dtype="float64",
    )
    params = {name: torch.tensor(value, requires_grad=True) for name, value in network.parameters.items()}
    h = torch.tanh(torch.tensor(X, dtype=torch.float64) @ params["0.W"] + params["0.b"])
    h = torch.relu(h @ params["2.W"] + params["2.b"])
    y = h @ params["4.W"] + params["4.b"]
    loss = torch.nn.functional.cross_entropy(y, torch.tensor(T))
    loss.backward()
    moved = network.to(xp64)
    x = X.astype(np.float64)
    np.testing.assert_allclose(to_numpy(moved.predict(x)), y.detach(), rtol=1e-12, atol=1e-14)
    assert float(moved.loss(x, T)) == pytest.approx(loss.item(), rel=1e-12)
    for name, gradient in moved.gradient(x, T).items():
        np.testing.assert_allclose(to_numpy(gradient), params[name].grad, rtol=1e-11, atol=1e-14)
    assert moved.accuracy(x, T) == pytest.approx((y.argmax(1).numpy() == T).mean())


def test_moving_keeps_values_seed_and_structure_and_leaves_the_original(xp):
    network = net()
    network.freeze("0.b")
    moved = network.to(xp)
    assert backend_name(moved.place.xp) == backend_name(xp)
    for name in network.parameters:
        np.testing.assert_array_equal(to_numpy(moved.parameters[name]), network.parameters[name])
    assert moved.trainable() == network.trainable()
    assert moved.next_key() == network.next_key()
    moved.parameters["0.b"] = np.ones(5, F32)
    assert not network.parameters["0.b"].any()
    assert moved.layers[0] is not network.layers[0]
    assert moved.predict(X).dtype == xp.float32


def test_initial_weights_are_the_same_bits_everywhere(xp):
    here = net(xp=xp)
    for name, value in net().parameters.items():
        assert to_numpy(here.parameters[name]).tobytes() == value.tobytes()


def test_the_initializer_suits_the_activation_that_follows():
    wide = pnn.Sequential(
        pnn.Affine(400, 300),
        pnn.ReLU(),
        pnn.Affine(300, 200),
        pnn.Dropout(),
        pnn.Sigmoid(),
        pnn.Affine(200, 100),
        seed=0,
    )
    he, glorot, last = (wide.parameters[name].std() for name in ("0.W", "2.W", "5.W"))
    assert he == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert glorot == pytest.approx((2 / 500) ** 0.5, rel=0.02)
    assert last == pytest.approx((2 / 300) ** 0.5, rel=0.02)
    assert not wide.parameters["0.b"].any()


def test_an_initializer_of_ones_own():
    network = pnn.Sequential(
        pnn.Affine(300, 200, W=pnn.initializers.normal(0.01), b=pnn.initializers.constant(2)), seed=0
    )
    assert network.parameters["0.W"].std() == pytest.approx(0.01, rel=0.02)
    np.testing.assert_array_equal(network.parameters["0.b"], 2.0)


def test_a_seed_is_drawn_and_kept_where_none_is_given():
    first, second = net(seed=None), net(seed=None)
    assert first.seed != second.seed
    np.testing.assert_array_equal(net(seed=first.seed).parameters["0.W"], first.parameters["0.W"])


def test_initialize_draws_again():
    network = net()
    start = network.parameters["0.W"]
    network.parameters["0.W"] = np.zeros((6, 5), F32)
    network.initialize()
    np.testing.assert_array_equal(network.parameters["0.W"], start)
    network.initialize(5)
    np.testing.assert_array_equal(network.parameters["0.W"], net(seed=5).parameters["0.W"])


def test_initialize_draws_shared_parameters_as_a_new_network_does():
    network = tied(transposed=False)
    start = network.parameters["0.W"]
    network.initialize()
    np.testing.assert_array_equal(network.parameters["0.W"], start)


def test_changing_the_data_type_alone_stays_on_the_device(xp64):
    network = net(xp=xp64)
    assert network.to(dtype="float64").place.device == xp64.place.device


def test_an_assigned_parameter_is_a_copy():
    network, W = net(), np.ones((6, 5), F32)
    network.parameters["0.W"] = W
    W[...] = 0
    assert network.parameters["0.W"].all()


def test_a_layer_that_shares_a_parameter_works_alone(xp):
    first = pnn.Affine(2, 3, xp=xp, seed=0)
    second = pnn.Affine(3, 2, W=first.parameters["W"].T)
    x = xp.ones((1, 3), dtype=xp.float32)
    np.testing.assert_allclose(to_numpy(second.forward(x)), np.ones((1, 3)) @ to_numpy(first.params["W"]).T, rtol=1e-6)


def test_assigning_a_parameter_writes_through(xp):
    network = net(xp=xp)
    network.parameters["0.W"] = np.zeros((6, 5))
    network.parameters["3.W"] = np.zeros((5, 3))
    network.parameters["3.b"] = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(to_numpy(network.predict(X)), np.tile([1.0, 2.0, 3.0], (8, 1)))
    np.testing.assert_array_equal(to_numpy(network[3].params["b"]), [1.0, 2.0, 3.0])


def test_a_plain_loop_of_gradient_and_update_learns(xp):
    network, opt = net(xp=xp), pnn.Momentum(0.1)
    before = float(network.loss(X, T))
    for _ in range(40):
        opt.update(network.parameters, network.gradient(X, T))
    assert float(network.loss(X, T)) < 0.5 * before


def test_dropout_acts_in_training_only_and_differs_from_step_to_step():
    network = net()
    assert float(network.loss(X, T)) == float(network.loss(X, T))
    assert float(network.loss(X, T, training=True)) != float(network.loss(X, T, training=True))
    with pnn.random.replayed():
        first = float(network.loss(X, T, training=True))
    assert float(network.loss(X, T, training=True)) == first


def test_frozen_parameters_have_no_gradient_and_stay():
    network = net()
    network.freeze("0")
    assert list(network.gradient(X, T)) == ["3.W", "3.b"]
    before = network.parameters["0.W"].copy()
    pnn.Trainer(network).fit(X, T, epochs=2, progress=False)
    np.testing.assert_array_equal(network.parameters["0.W"], before)
    network.unfreeze()
    assert len(network.gradient(X, T)) == 4


def tied(transposed):
    first = pnn.Affine(6, 5 if transposed else 6, bias=False)
    shared = first.parameters["W"]
    second = pnn.Affine(first.outputs, 6, bias=False, W=shared.T if transposed else shared)
    return pnn.Sequential(first, pnn.Tanh(), second, loss=pnn.MeanSquaredError(), seed=0)


@pytest.mark.parametrize("transposed", [False, True])
def test_shared_parameters_appear_once_and_their_gradients_add_as_in_torch(transposed, xp64):
    network = tied(transposed).to(xp64, dtype="float64")
    assert list(network.parameters) == ["0.W"]
    W = torch.tensor(np.array(to_numpy(network.parameters["0.W"])), requires_grad=True)
    x = torch.tensor(X, dtype=torch.float64)
    ((torch.tanh(x @ W) @ (W.T if transposed else W) - x) ** 2).mean().backward()
    gradient = network.gradient(X.astype(float), X.astype(float))["0.W"]
    np.testing.assert_allclose(to_numpy(gradient), W.grad, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("transposed", [False, True])
def test_ties_outlive_moving_copying_pickling_and_saving(transposed, tmp_path):
    network = tied(transposed)
    network.save(tmp_path / "tied.safetensors")
    for other in (
        network.to("torch"),
        copy.deepcopy(network),
        pickle.loads(pickle.dumps(network)),
        pnn.load(tmp_path / "tied.safetensors"),
    ):
        assert list(other.parameters) == ["0.W"]
        other.parameters["0.W"] = np.zeros(network.parameters["0.W"].shape, F32)
        assert not to_numpy(other.predict(X)).any()
    assert network.predict(X).any()


def test_one_layer_used_twice_shares_everything(tmp_path):
    layer = pnn.Affine(6, 6)
    network = pnn.Sequential(layer, pnn.Tanh(), layer, loss=pnn.MeanSquaredError(), seed=0)
    assert list(network.parameters) == ["0.W", "0.b"]
    network.save(tmp_path / "twice.safetensors")
    loaded = pnn.load(tmp_path / "twice.safetensors")
    assert loaded[0] is loaded[2]
    np.testing.assert_array_equal(loaded.predict(X), network.predict(X))
    pnn.testing.check_network(network, X[:2], X[:2])


def test_freezing_by_the_name_of_a_shared_parameters_second_layer():
    network = tied(transposed=True)
    network.freeze("2")
    assert not network.trainable()


def test_predicting_in_several_threads_at_once_gives_the_same_as_in_one():
    network = net()
    inputs = [RNG.standard_normal((50, 6)).astype(F32) for _ in range(8)]
    expected = [network.predict(x) for x in inputs]
    wrong = []

    def predict(i):
        for _ in range(50):
            if not np.array_equal(network.predict(inputs[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=predict, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_inputs_are_cast_and_other_kinds_of_numbers_are_taken(xp):
    network = net(xp=xp)
    y = to_numpy(network.predict(np.ones((2, 6))))
    for dtype in ("float32", "float64", "uint8", "int64", "bool", ">f4"):
        np.testing.assert_array_equal(to_numpy(network.predict(np.ones((2, 6)).astype(dtype))), y)


def test_summary_shows_layers_shapes_and_counts():
    network = net()
    network.freeze("0")
    assert network.summary().splitlines() == [
        "layer                output shape  parameters",
        "---------------------------------------------",
        "0 Affine(6, 5)       (N, 5)                35",
        "1 ReLU()             (N, 5)                 0",
        "2 Dropout(rate=0.3)  (N, 5)                 0",
        "3 Affine(5, 3)       (N, 3)                18",
        "---------------------------------------------",
        "53 parameters, 35 of them frozen",
    ]
    images = pnn.Sequential(pnn.Flatten(), pnn.Affine(6, 2))
    assert "(N, 6)" in images.summary((1, 2, 3))


def test_summary_tells_shared_parameters():
    assert "(shared)" in tied(transposed=True).summary()


def test_class_weights_and_sample_weights_equal_torch():
    y = RNG.standard_normal((8, 3))
    weights = [0.5, 2.0, 1.5]
    loss = pnn.SoftmaxWithLoss(class_weight=weights, label_smoothing=0.1)
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(y), torch.tensor(T), weight=torch.tensor(weights, dtype=torch.float64), label_smoothing=0.1
    )
    assert float(loss.forward(y, T)) == pytest.approx(expected.item(), rel=1e-12)
    sample_weight = RNG.uniform(0, 1, 8)
    each = torch.nn.functional.cross_entropy(torch.tensor(y), torch.tensor(T), reduction="none").numpy()
    weighted = pnn.SoftmaxWithLoss().forward(y, T, sample_weight=sample_weight)
    assert float(weighted) == pytest.approx(np.average(each, weights=sample_weight), rel=1e-12)


FUNCTIONAL = {
    "SigmoidWithLoss": (pnn.SigmoidWithLoss, torch.nn.functional.binary_cross_entropy_with_logits),
    "MeanSquaredError": (pnn.MeanSquaredError, torch.nn.functional.mse_loss),
    "MeanAbsoluteError": (pnn.MeanAbsoluteError, torch.nn.functional.l1_loss),
    "Huber": (
        lambda r: pnn.Huber(r, delta=0.7),
        lambda y, t, **o: torch.nn.functional.huber_loss(y, t, delta=0.7, **o),
    ),
    "PoissonLoss": (
        pnn.PoissonLoss,
        lambda y, t, **o: poisson_with_constant(y, t, **o),
    ),
}


def poisson_with_constant(y, t, reduction):
    """Return torch's loss with what does not depend on y, which it leaves out."""
    each = torch.nn.functional.poisson_nll_loss(y, t, reduction="none") + torch.special.xlogy(t, t) - t
    return {"none": lambda e: e, "mean": torch.mean, "sum": torch.sum}[reduction](each)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", FUNCTIONAL)
def test_losses_equal_torch(name, reduction):
    ours, theirs = FUNCTIONAL[name]
    y, t = RNG.standard_normal((8, 3)), RNG.uniform(0, 1, (8, 3))
    loss = ours(reduction)
    expected = theirs(torch.tensor(y), torch.tensor(t), reduction=reduction)
    assert float(loss.forward(y, t)) == pytest.approx(expected.item(), rel=1e-12)
    weight = RNG.uniform(0, 1, 8)
    each = theirs(torch.tensor(y), torch.tensor(t), reduction="none").numpy()
    by_hand = (each * weight[:, None]).sum() / (1 if reduction == "sum" else 3 * weight.sum())
    assert float(loss.forward(y, t, sample_weight=weight)) == pytest.approx(by_hand, rel=1e-12)


def test_weights_that_are_all_zero_give_zero_and_not_nan():
    loss = pnn.SoftmaxWithLoss()
    assert float(loss.forward(X, np.zeros(8, int), sample_weight=np.zeros(8))) == 0.0
    assert not loss.backward().any()


def test_multi_label_accuracy_counts_every_answer():
    network = pnn.Sequential(pnn.Identity(), loss=pnn.SigmoidWithLoss())
    assert network.accuracy(np.array([[1.0, -1.0], [2.0, 3.0]]), np.array([[1, 0], [0, 1]])) == 0.75


def test_one_regression_output_takes_targets_without_an_axis():
    network = pnn.Sequential(pnn.Identity(), loss=pnn.MeanSquaredError())
    assert float(network.loss(np.array([[1.0], [2.0]]), np.array([0.0, 0.0]))) == 2.5
