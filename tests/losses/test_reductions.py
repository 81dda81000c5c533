"""Losses that are not summed, and weights in the shape of the targets, against formulas in NumPy and torch."""

from functools import partial

import numpy as np
import pytest
from scipy.special import xlogy

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.testing.differences import central_differences

SHAPES = [(5,), (5, 3), (4, 3, 2)]


def poisson(y, t):
    return xlogy(t, t / np.exp(y)) - t + np.exp(y)


def pinball(y, t):
    return np.where(y < t, 0.3 * (t - y), 0.7 * (y - t))


def focal(y, t):
    p = 1.0 / (1.0 + np.exp(-y))
    return -0.25 * t * (1 - p) ** 1.5 * np.log(p) - 0.75 * (1 - t) * p**1.5 * np.log(1 - p)


def signs(rng, shape):
    return 2.0 * rng.integers(0, 2, shape) - 1.0


# The loss, its formula, and how targets are drawn.
LOSSES = {
    "sigmoid": (pnn.SigmoidWithLoss, lambda y, t: np.logaddexp(0, y) - t * y, lambda rng, s: rng.random(s)),
    "squared": (pnn.MeanSquaredError, lambda y, t: (y - t) ** 2, lambda rng, s: rng.standard_normal(s)),
    "absolute": (pnn.MeanAbsoluteError, lambda y, t: abs(y - t), lambda rng, s: rng.standard_normal(s)),
    "huber": (
        pnn.Huber,
        lambda y, t: np.where(abs(y - t) < 1, 0.5 * (y - t) ** 2, abs(y - t) - 0.5),
        lambda rng, s: rng.standard_normal(s),
    ),
    "sigmoid, yes weighted": (
        partial(pnn.SigmoidWithLoss, pos_weight=2.5),
        lambda y, t: 2.5 * t * np.logaddexp(0, -y) + (1 - t) * np.logaddexp(0, y),
        lambda rng, s: rng.random(s),
    ),
    "sigmoid focal": (partial(pnn.SigmoidFocalLoss, gamma=1.5), focal, lambda rng, s: rng.random(s)),
    "hinge": (pnn.Hinge, lambda y, t: np.maximum(0, 1 - t * y), signs),
    "squared hinge": (pnn.SquaredHinge, lambda y, t: np.maximum(0, 1 - t * y) ** 2, signs),
    "log cosh": (pnn.LogCosh, lambda y, t: np.log(np.cosh(y - t)), lambda rng, s: rng.standard_normal(s)),
    "quantile": (partial(pnn.QuantileLoss, quantiles=0.3), pinball, lambda rng, s: rng.standard_normal(s)),
    "poisson": (pnn.PoissonLoss, poisson, lambda rng, s: rng.poisson(1.5, s).astype(float)),
}


def drawn(name, shape):
    kind, formula, draw = LOSSES[name]
    rng = np.random.default_rng(0)
    return kind, formula, 2 * rng.standard_normal(shape), np.asarray(draw(rng, shape)), rng


@pytest.mark.parametrize("weights", [None, "samples", "elements"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients(xp64, name, shape, reduction, weights):
    kind, formula, y, t, rng = drawn(name, shape)
    weight = None if weights is None else rng.random(shape[:1] if weights == "samples" else shape)
    each = (
        1.0 if weight is None else np.broadcast_to(weight.reshape(*weight.shape, *(1,) * (y.ndim - weight.ndim)), shape)
    )
    dout = rng.standard_normal(shape) if reduction == "none" else 0.7

    def reduced(y):
        losses = each * formula(y, t)
        if reduction == "mean":
            return losses.sum() / (y.size if weight is None else each.sum())
        return losses if reduction == "none" else losses.sum()

    loss = kind(reduction)
    given = None if weight is None else xp64.asarray(weight, copy=True)
    value = loss.forward(xp64.asarray(y, copy=True), xp64.asarray(t, copy=True), sample_weight=given)
    assert value.shape == (shape if reduction == "none" else ())
    np.testing.assert_allclose(to_numpy(value), reduced(y), rtol=1e-12)
    dy = loss.backward(xp64.asarray(dout, copy=True) if reduction == "none" else dout)
    slopes = central_differences(lambda: (dout * reduced(y)).sum(), y)
    np.testing.assert_allclose(to_numpy(dy), slopes, rtol=1e-6, atol=1e-8)
    if reduction == "none":
        slopes = central_differences(lambda: reduced(y).sum(), y)
        np.testing.assert_allclose(to_numpy(loss.backward()), slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_softmax_with_a_derivative_for_each_label(xp64, reduction):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    y, t, dout = rng.standard_normal((3, 5, 4)), rng.integers(0, 4, (3, 5)), rng.standard_normal((3, 5))
    dout = dout if reduction == "none" else np.asarray(0.7)
    theirs = torch.asarray(y).requires_grad_()
    losses = torch.nn.functional.cross_entropy(theirs.movedim(-1, 1), torch.asarray(t), reduction=reduction)
    losses.backward(torch.asarray(dout))
    loss = pnn.SoftmaxWithLoss(reduction)
    loss.forward(xp64.asarray(y, copy=True), t)
    dy = loss.backward(xp64.asarray(dout, copy=True))
    np.testing.assert_allclose(to_numpy(dy), theirs.grad.numpy(), rtol=1e-12, atol=1e-14)
    with pytest.raises(pnn.ShapeError, match="needs dout of shape"):
        loss.backward(xp64.asarray(np.ones(2), copy=True))


def test_an_output_for_each_sample_takes_targets_without_its_axis():
    y, t = np.asarray([[1.0], [2.0]]), np.asarray([0.0, 4.0])
    losses = pnn.MeanSquaredError("none").forward(y, t, sample_weight=[1.0, 0.5])
    np.testing.assert_array_equal(losses, [[1.0], [2.0]])


@pytest.mark.parametrize("kind", [pnn.SoftmaxWithLoss, pnn.MeanSquaredError])
def test_nothing_is_trained_or_scored_by_losses_that_are_not_summed(kind):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 3)).astype("float32")
    t = rng.integers(0, 2, 6) if kind is pnn.SoftmaxWithLoss else rng.standard_normal((6, 2))
    network = pnn.Sequential(pnn.Affine(3, 2), loss=kind("none"), seed=0)
    trainer = pnn.Trainer(network)
    for call in (
        lambda: trainer.fit(x, t, epochs=1, progress=False),
        lambda: trainer.evaluate(x, t),
        lambda: network.gradient(x, t),
        lambda: pnn.testing.check_network(network, x, t),
    ):
        with pytest.raises(ValueError, match=r'needs a loss with reduction "mean" or "sum", got .*\(reduction='):
            call()
    assert network.loss(x, t).shape == t.shape
    summed = pnn.Sequential(*network.layers, loss=kind("sum"), seed=0)
    assert float(network.loss(x, t).sum()) == pytest.approx(float(summed.loss(x, t)), rel=1e-6)


def test_losses_that_are_not_summed_are_nodes_of_a_graph(xp64):
    rng = np.random.default_rng(0)
    y, t, w = rng.standard_normal((3, 5, 4)), rng.integers(0, 4, (3, 5)), rng.random((3, 5))
    graph = pnn.Graph(xp=xp64.place.xp, device=xp64.place.device, dtype="float64")
    losses = pnn.SoftmaxWithLoss("none")(graph.input("y"), graph.input("t"))
    graph.output(pnn.layers.Sum()(losses * graph.input("w")))
    value = graph.forward(y=y, t=t, w=w)
    graph.backward()
    loss = pnn.SoftmaxWithLoss("sum")
    np.testing.assert_allclose(float(value), loss.forward(y, t, sample_weight=w), rtol=1e-12)
    np.testing.assert_allclose(to_numpy(graph.gradients["y"]), loss.backward(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(to_numpy(graph.gradients["w"]), pnn.SoftmaxWithLoss("none").forward(y, t), rtol=1e-12)
