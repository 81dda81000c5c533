"""What a training step asks of a GPU through CuPy, as the stand-in counts it: launches, never times."""

import itertools
import os

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.kernels import PORTABLE
from portable_nn.training.batches import Batches
from portable_nn.training.step import training_step

pytestmark = pytest.mark.skipif(
    os.environ.get("PORTABLE_NN_CUPY") != "stand-in", reason="only the stand-in for CuPy counts launches"
)

RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((1000, 784)).astype("float32"), np.arange(1000) % 10
NUMBERS, WEIGHTS = RNG.random((1000, 10)).astype("float32"), RNG.random(1000).astype("float32")
CLASSES = [1.0] * 9 + [2.0]


def network(*widths, loss, activation=pnn.ReLU):
    layers = [part for i, o in itertools.pairwise(widths) for part in (pnn.Affine(i, o), activation())]
    return pnn.Sequential(*layers[:-1], loss=loss, seed=0, xp="cupy")


def warm_step(net, optimizer, t, weight=None, *, on_device=True):
    """Return the counts of the fourth to sixth step: of the gathering, of the step, and of the weight of the batch."""
    import cupy

    x, t, weight = net.batch(X, t, weight)
    batches = Batches([x if on_device else X, t, weight], 100, shuffle=True, seed=0, place=net.place).epoch(1)
    step, run, counts = training_step(net, optimizer), net.run(), []
    for _ in range(6):
        with cupy._ledger.counting() as gathering:
            x, t, weight = next(batches)
        with cupy._ledger.counting() as training:
            step(net.inputs(x), t, weight)
        with cupy._ledger.counting() as weighing:
            net.criterion.total_weight(run, t, weight)
        counts.append((gathering, training, weighing))
    assert all(len({c.launches for c in each}) == 1 for each in zip(*counts[3:], strict=True))
    return counts[-1]


def launches(counts):
    return counts.launches + counts.products.total()


NETWORKS = {
    "784-50-10, SGD": (9, (784, 50, 10), pnn.SGD, {}),
    "784-50-10, SGD, all of the options": (10, (784, 50, 10), pnn.SGD, {"clip_norm": 1.0, "clip_value": 0.1}),
    "784-512-512-10, Adam": (14, (784, 512, 512, 10), pnn.Adam, {}),
    "784-512-512-10, Adam, clip_norm": (15, (784, 512, 512, 10), pnn.Adam, {"weight_decay": 1e-3, "clip_norm": 1.0}),
    "784-512-512-10, AdamW, all": (15, (784, 512, 512, 10), pnn.AdamW, {"clip_norm": 1.0, "clip_value": 0.1}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_launches_of_a_step(name):
    most, widths, kind, options = NETWORKS[name]
    gathering, training, _ = warm_step(network(*widths, loss=pnn.SoftmaxWithLoss()), kind(**options), LABELS)
    assert launches(training) == most
    assert not training.functions  # none of CuPy's own kernels
    assert training.reads == training.waits == training.copies_in == training.allocations == 0
    assert launches(gathering) == 1
    assert gathering.reads == gathering.waits == gathering.copies_in == gathering.allocations == 0


LOSSES = {
    "softmax": (pnn.SoftmaxWithLoss(), LABELS, None, 9),
    "softmax of distributions": (pnn.SoftmaxWithLoss(), np.eye(10, dtype="float32")[LABELS], None, 9),
    "smooth": (pnn.SoftmaxWithLoss(label_smoothing=0.1), LABELS, None, 9),
    "softmax of weighted samples": (pnn.SoftmaxWithLoss(), LABELS, WEIGHTS, 10),
    "softmax of weighted classes": (pnn.SoftmaxWithLoss(class_weight=CLASSES), LABELS, None, 11),
    "softmax of weights of both kinds": (pnn.SoftmaxWithLoss(class_weight=CLASSES), LABELS, WEIGHTS, 11),
    "summed": (pnn.MeanSquaredError("sum"), NUMBERS, WEIGHTS, 9),
    "weighted": (pnn.MeanSquaredError(), NUMBERS, WEIGHTS, 10),
    "squared": (pnn.MeanSquaredError(), NUMBERS, None, 9),
    "absolute": (pnn.MeanAbsoluteError(), NUMBERS, None, 9),
    "huber": (pnn.Huber(), NUMBERS, None, 9),
    "poisson": (pnn.PoissonLoss(), NUMBERS, None, 9),
    "sigmoid": (pnn.SigmoidWithLoss(), NUMBERS, None, 9),
    "sigmoid, a yes weighted": (pnn.SigmoidWithLoss(pos_weight=2.0), NUMBERS, None, 9),
    "sigmoid, each yes weighted": (pnn.SigmoidWithLoss(pos_weight=CLASSES), NUMBERS, None, 9),
    "sigmoid focal": (pnn.SigmoidFocalLoss(), NUMBERS, None, 9),
    "hinge": (pnn.Hinge(), 2.0 * (NUMBERS > 0.5) - 1.0, None, 9),
    "squared hinge": (pnn.SquaredHinge(), 2.0 * (NUMBERS > 0.5) - 1.0, None, 9),
    "log cosh": (pnn.LogCosh(), NUMBERS, None, 9),
    "quantile": (pnn.QuantileLoss(quantiles=0.3), NUMBERS, None, 9),
    "quantiles": (pnn.QuantileLoss(quantiles=[k / 11 for k in range(1, 11)]), NUMBERS, None, 9),
}
SHARES = np.eye(10, dtype="float32")[LABELS]
WITHOUT_KERNELS = {
    "cosine": (pnn.CosineSimilarityLoss(), NUMBERS),
    "gaussian": (pnn.GaussianLoss(), NUMBERS[:, :5]),
    "divergence": (pnn.KLDivergence(), SHARES),
    "likelihood": (pnn.NegativeLogLikelihood(), LABELS),
    "softmax focal": (pnn.SoftmaxFocalLoss(), LABELS),
}
"""Losses that are made of CuPy's own functions there."""


@pytest.mark.parametrize("name", LOSSES)
def test_launches_with_every_loss(name):
    loss, t, weight, most = LOSSES[name]
    gathering, training, weighing = warm_step(network(784, 50, 10, loss=loss), pnn.SGD(), t, weight)
    assert launches(training) == most
    assert launches(training) + launches(weighing) <= 12
    assert launches(weighing) <= 1
    assert launches(gathering) == 1
    for counts in gathering, training, weighing:
        assert not counts.functions  # none of CuPy's own kernels
        assert counts.reads == counts.waits == counts.allocations == 0
    assert gathering.copies_in == training.copies_in == 0


@pytest.mark.parametrize("name", WITHOUT_KERNELS)
def test_losses_without_kernels_wait_for_nothing(name):
    loss, t = WITHOUT_KERNELS[name]
    _, training, _ = warm_step(network(784, 50, 10, loss=loss), pnn.SGD(), t)
    assert training.reads == training.waits == training.copies_in == 0


@pytest.mark.parametrize("name", LOSSES)
def test_two_hundred_steps_ask_the_pool_for_nothing_after_the_third(name):
    import cupy

    loss, t, weight, _ = LOSSES[name]
    net = network(7, 5, 10, loss=loss)
    batch = net.batch(X[:20, :7], t[:20], None if weight is None else weight[:20])
    step, run, read = training_step(net, pnn.SGD()), net.run(), []
    seen = []  # as training does, which reads losses and weights now and then
    for number in range(203):
        if number == 3:
            begin = cupy._ledger.counts()
        seen += [step(*batch), net.criterion.total_weight(run, *batch[1:])]
        if len(seen) == 100:
            read += map(float, seen)
            seen.clear()
    assert cupy._ledger.counts().since(begin).allocations == 0
    assert len({*read[1::2]}) == 1  # the weight of the batch, whatever memory it came in


def test_a_loss_that_somebody_keeps_is_not_written_over():
    import cupy

    net, few = network(7, 5, 10, loss=pnn.SoftmaxWithLoss()), X[:, :7]
    step, (x, t, _) = training_step(net, pnn.SGD(1e-30)), net.batch(few, LABELS)
    parts = [slice(k, k + 5) for k in range(0, 1000, 5)]
    kept = [step(x[part], t[part])[None] for part in parts[:3]]  # views
    kept += [step(x[part], t[part]) for part in parts[3:6]]
    with cupy._ledger.counting() as counts:
        for part in 3 * parts:
            step(x[part], t[part])
    assert counts.allocations == 0
    due = [float(net.loss(few[part], LABELS[part])) for part in parts[:6]]
    assert [float(loss.sum()) for loss in kept] == due


STEPS = LABELS[:, None] % np.arange(1, 6) % 2
SHAPED = {
    "sequences": (pnn.SoftmaxWithLoss(), (5, 2), STEPS, None),
    "sequences, some ignored": (pnn.SoftmaxWithLoss(ignore_label=1), (5, 2), STEPS, None),
    "sequences, weighted": (
        pnn.SoftmaxWithLoss(), (5, 2), STEPS, WEIGHTS[:, None] * np.ones(5, "float32")
    ),
    "images": (pnn.SoftmaxWithLoss(), (2, 5, 1), STEPS[..., None], None),
    "labels, some ignored": (pnn.SoftmaxWithLoss(ignore_label=1), (10,), LABELS, None),
    "each weighted": (pnn.MeanSquaredError(), (10,), NUMBERS, NUMBERS),
    "numbers of sequences": (pnn.Huber(), (5, 2), NUMBERS.reshape(1000, 5, 2), NUMBERS.reshape(1000, 5, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPED)
def test_launches_with_labels_of_more_axes(name):
    loss, shape, t, weight = SHAPED[name]
    layers = pnn.Affine(784, 50), pnn.ReLU(), pnn.Affine(50, 10), *([] if len(shape) == 1 else [pnn.Reshape(shape)])
    _, training, _ = warm_step(pnn.Sequential(*layers, loss=loss, seed=0, xp="cupy"), pnn.SGD(), t, weight)
    assert launches(training) <= 14
    assert training.reads == training.waits == training.copies_in == 0


def test_there_is_a_row_for_every_loss():
    kinds = {type(loss) for loss, *_ in (*LOSSES.values(), *WITHOUT_KERNELS.values())}
    assert kinds == {kind for kind in vars(pnn).values() if isinstance(kind, type) and issubclass(kind, pnn.Loss)} - {
        *(pnn.Loss, pnn.LossByOutput),  # the one is no loss, the other others
    }


ACTIVATIONS = [pnn.ReLU, pnn.LeakyReLU, pnn.Sigmoid, pnn.Tanh, pnn.Softplus, pnn.ELU, pnn.SiLU, pnn.GELU]
ACTIVATIONS += [pnn.SELU, pnn.CELU, pnn.Mish, pnn.Softsign, pnn.HardSigmoid, pnn.HardSwish, pnn.HardTanh, pnn.ReLU6]
ACTIVATIONS += [lambda: pnn.GELU("tanh")]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_bias_of_every_activation_is_added_beside_it_and_summed_beside_its_gradient(activation):
    net = network(784, 50, 10, loss=pnn.SoftmaxWithLoss(), activation=activation)
    _, training, _ = warm_step(net, pnn.SGD(), LABELS)
    assert not {"kernel_affine", "kernel_column_sums"} & training.kernels.keys()
    assert launches(training) == 9


def test_dropout_costs_one_launch_with_the_activation_before_it_or_without():
    for activation in (pnn.ReLU, pnn.GELU):
        layers = pnn.Affine(784, 50), activation(), pnn.Dropout(0.2), pnn.Affine(50, 10)
        net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp="cupy")
        _, training, _ = warm_step(net, pnn.SGD(), LABELS)
        assert launches(training) == 9
        assert training.kernels["kernel_chain"] == 1
        assert training.allocations == training.reads == 0


def test_alpha_dropout_costs_as_much():
    layers = pnn.Affine(784, 50), pnn.SELU(), pnn.AlphaDropout(0.1), pnn.Affine(50, 10)
    _, training, _ = warm_step(
        pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp="cupy"), pnn.SGD(), LABELS
    )
    assert launches(training) == 9
    assert training.allocations == training.reads == 0


def test_a_residual_sum_is_made_beside_the_activations_around_it():
    graph = pnn.Graph(loss=pnn.SoftmaxWithLoss(), seed=0, xp="cupy")
    x = graph.input("x")
    first = pnn.Tanh()(pnn.Affine(784, 50)(x))
    graph.output(pnn.Affine(50, 10)(pnn.ReLU()(pnn.Add()(first, pnn.GELU()(pnn.Affine(50, 50)(first))))))
    _, training, _ = warm_step(graph, pnn.SGD(), LABELS)
    assert training.kernels["kernel_chain"] == 1
    assert training.kernels["kernel_chain_and_sums"] == 2  # one behind the sum of two derivatives
    assert not {"kernel_affine", "kernel_gelu", "kernel_relu"} & training.kernels.keys()
    assert not training.functions
    assert training.allocations == training.reads == 0


@pytest.mark.parametrize("activation", [pnn.ReLU, pnn.GELU])
def test_residual_blocks_launch_nothing_for_their_sums_alone(activation):
    def blocks(*parts):
        layers = pnn.Affine(784, 50), *parts, pnn.Affine(50, 10)
        net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp="cupy")
        _, training, _ = warm_step(net, pnn.SGD(), LABELS)
        assert training.products.total() == 3 * 6 - 1
        assert not training.functions
        assert training.allocations == training.reads == 0
        return training

    before = [pnn.Residual(activation(), pnn.Affine(50, 50), activation(), pnn.Affine(50, 50)) for _ in range(2)]
    assert launches(blocks(*before)) == 29
    after = [pnn.Residual(pnn.Affine(50, 50), activation(), pnn.Affine(50, 50)) for _ in range(2)]
    training = blocks(activation(), after[0], activation(), after[1], activation())
    assert launches(training) == 29
    assert not {"kernel_affine", "kernel_column_sums"} & training.kernels.keys()


def test_portable_kernels_wait_for_nothing():
    import cupy

    y, t = cupy.asarray(NUMBERS), cupy.asarray(NUMBERS[::-1].copy())
    calls = {
        "absolute_error_gradient": (1.0, y, t, 0.5),
        "huber_error_gradient": (1.0, y, t, 0.5, 0.1),
        "clip_by_value": ([y], 0.5),
        "gelu": (y,),
        "gelu_gradient": (y, t),
    }
    for name, arguments in calls.items():
        with cupy._ledger.counting() as counts:
            getattr(PORTABLE, name)(*arguments)
        assert counts.reads == counts.waits == 0, name


def test_a_batch_from_the_host_is_copied_once_and_waits_for_nothing_that_computes():
    net = network(784, 50, 10, loss=pnn.SoftmaxWithLoss())
    gathering, training, _ = warm_step(net, pnn.SGD(), LABELS, on_device=False)
    assert launches(gathering) == gathering.copies_in == 1  # the labels, the samples
    assert gathering.reads == gathering.allocations == 0
    assert launches(training) == 9


def test_losses_stay_what_they_were():
    net = network(784, 50, 10, loss=pnn.SoftmaxWithLoss())
    step, (x, t, _) = training_step(net, pnn.SGD(1e-30)), net.batch(X, LABELS)
    losses = [step(x[k : k + 5], t[k : k + 5]) for k in range(0, 500, 5)]
    expected = [net.loss(X[k : k + 5], LABELS[k : k + 5]) for k in range(0, 500, 5)]
    np.testing.assert_array_equal([float(loss) for loss in losses], [float(loss) for loss in expected])


def test_several_inputs_and_targets_are_gathered_in_one_launch():
    g = pnn.Graph(loss={"kind": pnn.SoftmaxWithLoss(), "age": pnn.MeanSquaredError()}, seed=0, xp="cupy")
    h = pnn.ReLU()(pnn.Affine(784, 50)(g.input("image")) + pnn.Affine(10, 50)(g.input("table")))
    g.output(kind=pnn.Affine(50, 10)(h), age=pnn.Affine(50, 1)(h))
    x, t, weight = g.batch({"image": X, "table": NUMBERS}, {"kind": LABELS, "age": WEIGHTS})
    batches = Batches([x, t, weight], 100, shuffle=True, seed=0, place=g.place).epoch(1)
    step = training_step(g, pnn.SGD())
    import cupy

    for _ in range(6):
        with cupy._ledger.counting() as gathering:
            x, t, weight = next(batches)
        with cupy._ledger.counting() as training:
            step(g.inputs(x), t, weight)
    assert launches(gathering) == 1
    assert training.reads == training.waits == 0
    assert not training.functions  # the two derivatives by h are added in a chain


def test_states_stay_on_the_device_and_need_no_new_memory():
    layers = pnn.Affine(784, 50), pnn.BatchNorm(50), pnn.ReLU(), pnn.Affine(50, 10)
    net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp="cupy")
    _, training, _ = warm_step(net, pnn.SGD(), LABELS)
    assert training.reads == training.waits == training.copies_in == training.blocks == 0
