"""SoftmaxWithLoss of single labels, sequences and images against torch's cross_entropy, in float64."""

import re

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.testing.differences import central_differences

C = 4
SHAPES = {"single": (7, C), "sequences": (3, 5, C), "images": (2, C, 3, 5), "volumes": (2, C, 2, 3, 2)}
CLASS_WEIGHT = [0.5, 2.0, 3.0, 0.0]


def data(shape, ignored=None):
    """Return outputs y, labels, a tenth to a half of them ignored, and the axis of the classes."""
    rng = np.random.default_rng(0)
    axis = 1 if len(shape) > 3 else len(shape) - 1
    labels = rng.integers(0, C, shape[:axis] + shape[axis + 1 :])
    if ignored is not None:
        labels = np.where(rng.random(labels.shape) < 0.3, ignored, labels)
    return 2 * rng.standard_normal(shape), labels, axis


def cross_entropy(y, t, axis, **options):
    """Return torch's loss and its gradient by y."""
    torch = pytest.importorskip("torch")
    y = torch.asarray(y, dtype=torch.float64).requires_grad_()
    weight = options.pop("weight", None)
    weight = None if weight is None else torch.asarray(weight, dtype=torch.float64)
    t = torch.movedim(torch.asarray(t), axis, 1) if t.ndim == y.ndim else torch.asarray(t)
    loss = torch.nn.functional.cross_entropy(torch.movedim(y, axis, 1), t, weight=weight, **options)
    loss.sum().backward()
    return loss.detach().numpy(), y.grad.numpy()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("ignored", [None, -100, -1, 2, 255])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_as_torch(xp64, shape, smoothing, ignored, weight, reduction):
    y, t, axis = data(shape, ignored)
    options = {"label_smoothing": smoothing} | ({} if ignored is None else {"ignore_index": ignored})
    expected, dy = cross_entropy(y, t, axis, weight=weight, reduction=reduction, **options)
    loss = pnn.SoftmaxWithLoss(reduction, label_smoothing=smoothing, class_weight=weight, ignore_label=ignored)
    value = loss.forward(xp64.asarray(y, copy=True), xp64.asarray(t, copy=True))
    assert value.shape == expected.shape
    np.testing.assert_allclose(to_numpy(value), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(to_numpy(loss.backward()), dy, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_distributions_as_torch(xp64, shape, reduction):
    y, _, axis = data(shape)
    t = np.moveaxis(np.random.default_rng(1).dirichlet(np.ones(C), shape[:axis] + shape[axis + 1 :]), -1, axis)
    expected, dy = cross_entropy(y, t, axis, reduction=reduction)
    loss = pnn.SoftmaxWithLoss(reduction)
    np.testing.assert_allclose(
        to_numpy(loss.forward(xp64.asarray(y, copy=True), xp64.asarray(t, copy=True))), expected, rtol=1e-12
    )
    np.testing.assert_allclose(to_numpy(loss.backward()), dy, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("shape", "axis"), [((3, C, 5), 1), ((2, 3, 5, C), -1), ((2, 3, C, 5), 2), ((7, C), -1)])
def test_the_axis_of_the_classes_can_be_said(xp64, shape, axis):
    rng, front = np.random.default_rng(0), axis % len(shape)
    y, t = rng.standard_normal(shape), rng.integers(0, C, shape[:front] + shape[front + 1 :])
    expected, dy = cross_entropy(y, t, front)
    loss = pnn.SoftmaxWithLoss(axis=axis)
    np.testing.assert_allclose(float(loss.forward(xp64.asarray(y, copy=True), t)), expected, rtol=1e-12)
    np.testing.assert_allclose(to_numpy(loss.backward()), dy, rtol=1e-12, atol=1e-14)


def log_softmax(y, axis):
    shifted = y - y.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def weighted_mean(y, t, axis, weight, class_weight, ignored):
    """Return the mean over the labels that count, as NumPy computes it."""
    labels = np.where(t == ignored, 0, t)
    share = np.where(t == ignored, 0.0, weight * np.asarray(class_weight)[labels])
    picked = np.take_along_axis(log_softmax(y, axis), np.expand_dims(labels, axis), axis).squeeze(axis)
    return (share * -picked).sum() / share.sum()


@pytest.mark.parametrize("by", ["label", "sample"])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_sample_weights(xp64, shape, class_weight, by):
    y, t, axis = data(shape, -100)
    weight = np.random.default_rng(2).random(t.shape if by == "label" else t.shape[:1])
    each = np.broadcast_to(weight.reshape(*weight.shape, *(1,) * (t.ndim - weight.ndim)), t.shape)
    loss = pnn.SoftmaxWithLoss(class_weight=class_weight, ignore_label=-100)

    def mean(y):
        return weighted_mean(y, t, axis, each, class_weight or [1.0] * C, -100)

    value = loss.forward(xp64.asarray(y, copy=True), t, sample_weight=xp64.asarray(weight, copy=True))
    np.testing.assert_allclose(float(value), mean(y), rtol=1e-12)
    slopes = central_differences(lambda: mean(y), y)
    np.testing.assert_allclose(to_numpy(loss.backward()), slopes, rtol=1e-7, atol=1e-9)
    by_label = pnn.SoftmaxWithLoss("none", class_weight=class_weight, ignore_label=-100)
    losses = to_numpy(by_label.forward(xp64.asarray(y, copy=True), t, sample_weight=xp64.asarray(weight, copy=True)))
    assert losses.shape == t.shape
    assert (losses[t == -100] == 0).all()
    share = np.where(t == -100, 0, each * np.asarray(class_weight or [1.0] * C)[np.where(t == -100, 0, t)])
    np.testing.assert_allclose(losses.sum() / share.sum(), mean(y), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_batch_without_a_label_that_counts_has_loss_and_gradient_zero(
    xp, shape, smoothing, class_weight, dtype, reduction
):
    if dtype == "float64" and not hasattr(xp, "float64"):
        pytest.skip("no float64")
    y, t, _ = data(shape)
    loss = pnn.SoftmaxWithLoss(reduction, label_smoothing=smoothing, class_weight=class_weight, ignore_label=9)
    value = loss.forward(xp.asarray(y, dtype=xp.float32), np.full_like(t, 9))
    np.testing.assert_array_equal(to_numpy(value), np.zeros(t.shape if reduction == "none" else ()))
    np.testing.assert_array_equal(to_numpy(loss.backward()), np.zeros(shape))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_infinite_outputs_of_ignored_labels_do_not_matter(xp, smoothing):
    y = np.asarray([[0.0, 1.0, 2.0], [-np.inf, 0.5, -np.inf], [3e4, -3e4, 1.0], [1.0, 2.0, 0.0]], "float32")
    t = np.asarray([1, -1, -1, 0])
    if smoothing:
        y[1] = -3e38
    with np.errstate(invalid="ignore"):
        value = pnn.SoftmaxWithLoss(ignore_label=-1, label_smoothing=smoothing).forward(xp.asarray(y), t)
    loss = pnn.SoftmaxWithLoss(label_smoothing=smoothing)
    assert float(value) == pytest.approx(float(loss.forward(y[[0, 3]], t[[0, 3]])), rel=1e-6)


def test_a_label_to_ignore_may_be_of_any_integer_type(xp):
    y, t, _ = data((3, 5, C), 255)
    one = pnn.SoftmaxWithLoss(ignore_label=255).forward(xp.asarray(y, dtype=xp.float32), t.astype("uint8"))
    other = pnn.SoftmaxWithLoss(ignore_label=255).forward(xp.asarray(y, dtype=xp.float32), t)
    assert float(one) == float(other)


@pytest.mark.parametrize(
    ("options", "y", "t", "weight", "kind", "message"),
    [
        ({}, (3, 5, 4), (3, 4), None, pnn.ShapeError, "t of shape (3, 5), labels, or (3, 5, 4), distributions, for y "
         "of shape (3, 5, 4) with the classes last, got (3, 4): say axis=1 if the classes are there"),
        ({}, (2, 4, 3, 5), (2, 4, 3), None, pnn.ShapeError, "t of shape (2, 3, 5), labels, or (2, 4, 3, 5), "
         "distributions, for y of shape (2, 4, 3, 5) with the classes at axis 1, got (2, 4, 3): say axis=3 if"),
        ({}, (3, 4), (3, 1), None, pnn.ShapeError, "needs t of shape (3,) or (3, 4), got (3, 1)"),
        ({}, (3,), (3,), None, pnn.ShapeError, "needs y of shape (N, C), (N, T, C) or (N, C, H, W), got (3,)"),
        ({"axis": 3}, (3, 4), (3,), None, pnn.ShapeError, "with the classes at axis 3, got (3, 4)"),
        ({}, (3, 5, 4), (3, 5), (5,), pnn.ShapeError, "sample_weight needs shape (3,) or (3, 5), got (5,)"),
        ({"axis": 0}, (3, 4), (3,), None, ValueError, "needs the axis of the classes, got 0, that of the batch"),
        ({"axis": 1.5}, (3, 4), (3,), None, TypeError, "needs axis to be a whole number, got 1.5"),
        ({"ignore_label": "no"}, (3, 4), (3,), None, TypeError, "needs ignore_label to be a whole number, got 'no'"),
        ({"reduction": "all"}, (3, 4), (3,), None, ValueError, 'reduction "mean", "sum" or "none", got \'all\''),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(options, y, t, weight, kind, message):
    y, t = np.zeros(y), np.zeros(t, int)
    with pytest.raises(kind, match=re.escape(message)):
        pnn.SoftmaxWithLoss(**options).forward(y, t, sample_weight=None if weight is None else np.ones(weight))


def test_a_label_that_is_neither_is_named():
    with pytest.raises(pnn.LabelError, match="labels from 0 to 3, or -100 to be ignored, got -1"):
        pnn.SoftmaxWithLoss(ignore_label=-100).forward(np.zeros((3, 4)), np.asarray([0, -100, -1]))
    with pytest.raises(pnn.LabelError, match="distributions of at least 0 that sum to 1"):
        pnn.SoftmaxWithLoss().forward(np.zeros((2, 4, 3, 5)), np.full((2, 4, 3, 5), 0.3))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_accuracy_counts_labels(xp, shape):
    y, t, axis = data(shape, -100)
    network = pnn.Sequential(pnn.Identity(), loss=pnn.SoftmaxWithLoss(ignore_label=-100), xp=xp.place.xp)
    counted = t != -100
    expected = (y.argmax(axis=axis) == t)[counted].mean()
    assert network.accuracy(y.astype("float32"), t) == pytest.approx(expected, rel=1e-12)
    if xp.place.backend == "numpy":
        assert pnn.Trainer(network).evaluate(y, t, batch_size=1)["accuracy"] == pytest.approx(expected, rel=1e-12)
    assert network.accuracy(y.astype("float32"), np.full_like(t, -100)) == 0.0


def test_one_output_for_classes_is_named():
    loss = pnn.SoftmaxWithLoss()
    with pytest.raises(
        pnn.LabelError, match=r"where there is one output \(for yes or no take two, or SigmoidWithLoss\), got 1"
    ):
        loss.forward([[0.5], [0.1]], [0, 1])
