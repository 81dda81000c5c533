"""Plans: what is left out, fused and reused, and that they compute what the recorded run computed."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.kernels import PORTABLE, Kernels, Plan, Recorder, UnrecordedError, kernels_for
from portable_nn.layers import Run
from portable_nn.training.planned_step import PlannedStep
from portable_nn.training.step import training_step

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((40, 6)).astype("float32"), RNG.integers(0, 3, 40)


def plan_of(function, *arrays, kernels=None, **options):
    """Return the plan of a function of kernels and arrays."""
    recorder = Recorder(kernels or kernels_for(np))
    inputs = {name: recorder.input(array) for name, array in zip("xyz", arrays, strict=False)}
    return Plan(recorder, inputs, function(recorder, *inputs.values()), **options)


def network(*layers, **options):
    return pnn.Sequential(pnn.Affine(6, 8), *layers, pnn.Affine(8, 3), loss=pnn.SoftmaxWithLoss(), seed=0, **options)


def test_a_plan_computes_for_other_arrays_what_the_run_computed():
    plan = plan_of(lambda k, x, y: k.multiply(k.tanh(x), k.add(x, y)), *RNG.standard_normal((2, 4)))
    for a, b in RNG.standard_normal((3, 2, 5)):
        np.testing.assert_allclose(plan(a, b), np.tanh(a) * (a + b), rtol=1e-15)


def test_what_leads_to_nothing_is_left_out():
    plan = plan_of(lambda k, x: (k.exp(x), k.tanh(x))[1], np.ones(3))
    assert "tanh" in plan.source
    assert "exp" not in plan.source


def test_a_dead_argument_is_written_over_but_never_an_input():
    plan = plan_of(lambda k, x, W: k.sigmoid(k.relu(k.affine(x, W, None))), X, np.ones((6, 4), "float32"))
    assert plan.source.count("out=") == 2
    plan = plan_of(lambda k, x: k.sigmoid(x), X)
    assert "out=" not in plan.source


def test_an_argument_that_is_needed_again_is_kept():
    def both(k, x, y):
        total = k.add(x, y)
        return k.multiply(k.relu(total), total)

    a, b = RNG.standard_normal((2, 5))
    np.testing.assert_allclose(plan_of(both, a, b, reuses=True)(a, b), np.maximum(a + b, 0) * (a + b))


@pytest.mark.parametrize("reuses", [True, False])
def test_a_number_that_numpy_made_of_a_sum_is_not_written_over(reuses):
    plan = plan_of(lambda k, x: k.relu(k.multiply(k.sum_along(x, (0,), False), 2.0)), np.ones(3), reuses=reuses)
    assert [plan(np.full(3, value)) for value in (1.0, -1.0)] == [6.0, 0.0]


def test_a_view_keeps_what_it_shows_alive():
    def flipped(k, x, y):
        total = k.add(x, y)
        seen = k.transpose(total)
        return k.add(k.relu(total), k.transpose(seen))

    a, b = RNG.standard_normal((2, 3, 3))
    plan = plan_of(flipped, a, b, reuses=True)
    for _ in range(2):
        np.testing.assert_allclose(plan(a, b), np.maximum(a + b, 0) + (a + b))


def test_a_plan_with_memory_of_its_own_returns_new_arrays():
    plan = plan_of(lambda k, x: k.sigmoid(k.relu(k.add(x, x))), X, reuses=True)
    first = plan(X)
    before = first.copy()
    plan(-X)
    np.testing.assert_array_equal(first, before)


def test_the_same_array_given_twice_is_two_inputs():
    x = np.ones(3)
    assert plan_of(lambda k, x, y: k.subtract(x, y), x, x)(np.ones(3), np.zeros(3)).tolist() == [1, 1, 1]


def test_neighbours_are_fused_and_paired_as_the_tables_say():
    kernels = Kernels()
    kernels.fused = {("exp", "log"): lambda x: x}
    kernels.paired = {("tanh", "negative"): lambda x: (np.tanh(x), -np.tanh(x))}
    plan = plan_of(lambda k, x: k.log(k.exp(x)), X, kernels=kernels)
    assert "exp_log(x)" in plan.source
    np.testing.assert_array_equal(plan(X), X)

    def pair(k, x):
        y = k.tanh(x)
        return k.add(k.exp(y), k.negative(y))

    plan = plan_of(pair, X, kernels=kernels)
    assert "tanh_negative(x)" in plan.source
    np.testing.assert_allclose(plan(X), np.exp(np.tanh(X)) - np.tanh(X), rtol=1e-6)


def test_a_result_that_is_asked_for_is_not_fused_away():
    kernels = Kernels()
    kernels.fused = {("exp", "log"): lambda x: x}

    def both(k, x):
        y = k.exp(x)
        return y, k.log(y)

    for one, other in zip(plan_of(both, X, kernels=kernels)(X), (np.exp(X), X), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_work_that_no_kernel_does_cannot_be_planned():
    with pytest.raises(UnrecordedError):
        plan_of(lambda k, x: k.exp(x + 1.0), X)


class Keeping(pnn.Layer):
    """An opaque layer that looks whether what it got is still the same."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward_pass(self, run, params, x):
        return x * 1.0, None

    def backward_pass(self, run, params, saved, dy):
        self.seen.append((dy, dy.copy()))
        assert all(np.array_equal(saved, copy) for saved, copy in self.seen)
        return dy * 1.0, {}


class Shift(pnn.Layer):
    """x + p of one shape: the gradient of p is what the layer before gets."""

    recordable = True

    def __init__(self):
        super().__init__()
        self.parameters["p"] = pnn.Parameter((8,), pnn.initializers.zeros())

    def forward_pass(self, run, params, x):
        return run.kernels.add(x, params["p"]), None

    def backward_pass(self, run, params, saved, dy):
        return dy, {"p": dy}


def test_what_an_opaque_layer_got_in_the_recorded_run_alone_is_not_written_over():
    g, layer = pnn.Graph(loss=pnn.MeanSquaredError(), seed=0), Keeping()
    x = g.input("x")  # which needs no gradient: later runs leave the backward pass of the layer out
    g.output(pnn.layers.Add()(layer(x), pnn.Affine(6, 6)(x)))
    step = training_step(g, pnn.SGD(0.1))
    for i in range(3):
        step(X + i, X)
    ((kept, copy),) = layer.seen
    np.testing.assert_array_equal(kept, copy)


def test_a_gradient_that_an_opaque_layer_gets_too_is_not_written_over():
    g, layer = pnn.Graph(loss=pnn.MeanSquaredError(), seed=0), Keeping()
    h = pnn.Affine(6, 8)(g.input("x"))
    g.output(pnn.layers.Add()(h, pnn.Tanh()(Shift()(layer(pnn.layers.Mean(0)(h))))))
    step = training_step(g, pnn.SGD(0.1))
    for i in range(3):
        step(X, RNG.standard_normal((40, 8)).astype("float32") + i)
    assert len(layer.seen) == 3


@pytest.mark.parametrize("layers", [[pnn.ReLU()], [pnn.Sigmoid(), pnn.Dropout(0.3)], [pnn.GELU(), pnn.Identity()]])
def test_planned_steps_do_what_the_portable_walk_does(layers):
    net, reference = network(*layers, dtype="float64"), network(*layers, dtype="float64")
    step, optimizer = training_step(net, pnn.Adam()), pnn.Adam()
    assert isinstance(step, PlannedStep)
    for size in (20, 20, 7, 20):
        loss = step(X[:size].astype("float64"), T[:size])
        run = Run(reference.place, PORTABLE, training=True, key=reference.next_key() if reference.is_random else None)
        batch = reference.batch(X[:size], T[:size])
        expected, grads = reference.loss_and_gradients(run, reference.arrays(), *batch)
        optimizer.update(reference.parameters, dict(zip(reference.parameters, grads, strict=True)))
        assert float(loss) == pytest.approx(float(expected), rel=1e-12)
    for name, array in reference.parameters.items():
        np.testing.assert_allclose(net.parameters[name], array, rtol=1e-10, atol=1e-12)


def test_the_plan_of_a_step_skips_the_gradient_of_the_input_and_of_frozen_parameters():
    net = network(pnn.ReLU())
    net.freeze("2")
    step = training_step(net, pnn.SGD())
    step(X, T)
    (plan,) = step._plans.values()
    assert plan.source.count("affine_gradient_x_relu_gradient(") == 1
    assert "affine_gradient_x(" not in plan.source
    assert plan.source.count("affine_gradient_W(") == 1


def test_a_parameter_assigned_between_steps_is_used():
    net = network(pnn.ReLU())
    step = training_step(net, pnn.SGD(1e-30))
    step(X, T)
    net.parameters["2.W"] = np.zeros((8, 3), "float32")
    assert float(step(X, T)) == pytest.approx(float(net.loss(X, T)), rel=1e-6)
    assert abs(net.parameters["2.W"]).max() < 1e-20


def test_a_layer_changed_between_calls_makes_a_new_plan():
    net = network(pnn.LeakyReLU(0.5))
    for slope in (0.5, 0.5, 0.5, 0.1, 0.1, 0.1):
        net[1].slope = slope
        h = X @ net.parameters["0.W"]
        expected = np.where(h > 0, h, slope * h) @ net.parameters["2.W"]
        np.testing.assert_allclose(net.predict(X), expected, rtol=1e-4, atol=1e-5)


def test_one_gradient_may_be_that_of_two_parameters():
    recorder = Recorder(kernels_for(np))
    x = recorder.input(np.ones(3))
    values = recorder.values([recorder.add(x, x)] * 2)
    recorder.forget(values)
    first, second = np.zeros(3), np.zeros(3)
    plan = Plan(recorder, {"x": x}, None, into=list(zip(values, (first, second), strict=True)), reuses=True)
    plan(np.arange(3.0))
    assert first.tolist() == second.tolist() == [0.0, 2.0, 4.0]
