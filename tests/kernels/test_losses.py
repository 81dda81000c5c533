"""Portable losses against their naive formulas in NumPy float64, and their gradients against central differences."""

import math
from functools import partial

import numpy as np
import pytest
from scipy.special import xlogy

from portable_nn import to_numpy
from portable_nn.kernels import PORTABLE

N, C = 4, 3
RNG = np.random.default_rng(0)
Y = RNG.normal(size=(N, C)) * 2.0
LABELS = np.array([2, 0, 0, 1])
ONE_HOT = np.eye(C)[LABELS]
SOFT = RNG.dirichlet(np.ones(C), size=N)
TARGETS = RNG.normal(size=(N, C))
QUESTIONS = RNG.integers(0, 2, size=(N, C)).astype(float)
COUNTS = np.random.default_rng(1).poisson(1.5, size=(N, C)).astype(float)
CLASS_WEIGHT = np.array([0.5, 2.0, 3.0])
SAMPLE_SCALE = np.array([0.1, 0.0, 2.0, 0.7])
DELTA = 0.8


def cross_entropy(y, q, weight=1.0, smoothing=0.0):
    q = ((1.0 - smoothing) * q + smoothing / C) * weight
    return -q * np.log(np.exp(y) / np.exp(y).sum(axis=-1, keepdims=True))


def binary_cross_entropy(y, t):
    p = 1.0 / (1.0 + np.exp(-y))
    return -t * np.log(p) - (1.0 - t) * np.log(1.0 - p)


def huber(y, t):
    d = np.abs(y - t)
    return np.where(d <= DELTA, 0.5 * d * d, DELTA * (d - 0.5 * DELTA))


def half_poisson_deviance(y, t):
    return xlogy(t, t / np.exp(y)) - t + np.exp(y)


# name: (kernel and its options, targets, formula of the elements of the loss)
LOSSES = {
    "sigmoid": ("sigmoid_loss", "sigmoid_loss_gradient", (), QUESTIONS, binary_cross_entropy),
    "squared": ("squared_error", "squared_error_gradient", (), TARGETS, lambda y, t: (y - t) ** 2),
    "absolute": ("absolute_error", "absolute_error_gradient", (), TARGETS, lambda y, t: np.abs(y - t)),
    "poisson": ("poisson_error", "poisson_error_gradient", (), COUNTS, half_poisson_deviance),
    "huber": ("huber_error", "huber_error_gradient", (DELTA,), TARGETS, huber),
}
SOFTMAX = {
    "labels": (LABELS, None, 0.0, partial(cross_entropy, q=ONE_HOT)),
    "one-hot": (ONE_HOT, None, 0.0, partial(cross_entropy, q=ONE_HOT)),
    "soft": (SOFT, None, 0.0, partial(cross_entropy, q=SOFT)),
    "smoothed": (LABELS, None, 0.3, partial(cross_entropy, q=ONE_HOT, smoothing=0.3)),
    "weighted": (LABELS, CLASS_WEIGHT, 0.0, partial(cross_entropy, q=ONE_HOT, weight=CLASS_WEIGHT)),
    "both": (LABELS, CLASS_WEIGHT, 0.3, partial(cross_entropy, q=ONE_HOT, weight=CLASS_WEIGHT, smoothing=0.3)),
}


def central_differences(f, x, step=1e-6):
    slopes = np.empty_like(x)
    for i in np.ndindex(x.shape):
        nudge = np.zeros_like(x)
        nudge[i] = step
        slopes[i] = (f(x + nudge) - f(x - nudge)) / (2.0 * step)
    return slopes


def scaled_sum(elements, scale):
    return np.sum(scale * elements.sum(axis=-1))


def placed(xp, values):
    return xp.asarray(values, copy=True) if isinstance(values, np.ndarray) else values


@pytest.mark.parametrize("scale", [1.0, 0.25, SAMPLE_SCALE], ids=["sum", "mean", "per-sample"])
@pytest.mark.parametrize("name", LOSSES)
def test_elementwise_loss_and_gradient(xp64, name, scale):
    loss_kernel, gradient_kernel, options, t, formula = LOSSES[name]
    y_, t_, scale_ = (placed(xp64, a) for a in (Y, t, scale))
    loss = getattr(PORTABLE, loss_kernel)(y_, t_, scale_, *options)
    assert loss.shape == ()
    np.testing.assert_allclose(float(loss), scaled_sum(formula(Y, t), scale), rtol=1e-13)
    dy = getattr(PORTABLE, gradient_kernel)(2.0, y_, t_, scale_, *options)
    slopes = central_differences(lambda y: 2.0 * scaled_sum(formula(y, t), scale), Y)
    np.testing.assert_allclose(to_numpy(dy), slopes, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("scale", [0.25, SAMPLE_SCALE], ids=["mean", "per-sample"])
@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_loss_and_gradient(xp64, name, scale):
    t, weight, smoothing, formula = SOFTMAX[name]
    y_, t_, weight_, scale_ = (placed(xp64, a) for a in (Y, t, weight, scale))
    loss, saved = PORTABLE.softmax_loss(y_, t_, scale_, weight_, smoothing)
    assert loss.shape == ()
    np.testing.assert_allclose(float(loss), scaled_sum(formula(Y), scale), rtol=1e-13)
    dy = PORTABLE.softmax_loss_gradient(2.0, saved)
    slopes = central_differences(lambda y: 2.0 * scaled_sum(formula(y), scale), Y)
    np.testing.assert_allclose(to_numpy(dy), slopes, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("t", [[2, 2], [[0, 0, 1], [0, 0, 1]]], ids=["labels", "one-hot"])
def test_value_of_the_notes(xp, t):
    y = xp.asarray([[1, 2, 3], [4, 5, 6]], dtype=xp.float32)
    loss, _ = PORTABLE.softmax_loss(y, xp.asarray(t), 0.5, None, 0.0)
    assert float(loss) == pytest.approx(0.4076058141229194, rel=1e-6)
    assert loss.dtype == xp.float32
    assert xp.place.holds(loss)


def test_value_of_the_notes_to_the_last_digit(xp64):
    y = xp64.asarray([[1, 2, 3], [4, 5, 6]], dtype=xp64.float64)
    loss = float(PORTABLE.softmax_loss(y, xp64.asarray([2, 2]), 0.5, None, 0.0)[0])
    assert loss == pytest.approx(math.log(1.0 + math.exp(-1.0) + math.exp(-2.0)), rel=1e-15)
    # The notes take log(p + 1e-7), which is what their number differs by.
    assert -math.log(math.exp(-loss) + 1e-7) == pytest.approx(0.4076058141229194, rel=1e-14)


def test_as_many_samples_as_classes_stay_labels(xp64):
    # (N,) labels with N = C broadcast against (N, C) without an error, and to a wrong gradient.
    y, t = Y[:C], LABELS[:C]
    _, saved = PORTABLE.softmax_loss(xp64.asarray(y, copy=True), xp64.asarray(t, copy=True), 1.0, None, 0.0)
    dy = to_numpy(PORTABLE.softmax_loss_gradient(1.0, saved))
    p = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(dy, p - np.eye(C)[t], rtol=1e-12)


def test_nothing_overflows_and_nothing_is_capped_at_ten_thousand(xp):
    y = xp.asarray([[1e4, -1e4]], dtype=xp.float32)
    loss, saved = PORTABLE.softmax_loss(y, xp.asarray([1]), 1.0, None, 0.0)
    assert float(loss) == 2e4
    np.testing.assert_array_equal(to_numpy(PORTABLE.softmax_loss_gradient(1.0, saved)), [[1.0, -1.0]])
    t = xp.asarray([[0.0, 1.0]], dtype=xp.float32)
    assert float(PORTABLE.sigmoid_loss(y, t, 1.0)) == 2e4
    np.testing.assert_array_equal(to_numpy(PORTABLE.sigmoid_loss_gradient(1.0, y, t, 1.0)), [[1.0, -1.0]])
    assert float(PORTABLE.huber_error(y, t, 1.0, 1.0)) == pytest.approx(2e4)


def test_a_perfect_answer_costs_nothing(xp):
    y = xp.asarray([[-math.inf, 0.0]], dtype=xp.float32)
    loss, _ = PORTABLE.softmax_loss(xp.asarray([[-1e4, 1e4]], dtype=xp.float32), xp.asarray([1]), 1.0, None, 0.0)
    assert float(loss) == 0.0
    assert to_numpy(PORTABLE.log_softmax(y))[0, 1] == 0.0


def test_ties_of_the_absolute_error_have_slope_zero(xp):
    y = xp.asarray([[1.0, 2.0]], dtype=xp.float32)
    dy = PORTABLE.absolute_error_gradient(1.0, y, xp.asarray([[1.0, 1.0]], dtype=xp.float32), 1.0)
    np.testing.assert_array_equal(to_numpy(dy), [[0.0, 1.0]])


@pytest.mark.parametrize("scale", [1.0, np.zeros(0, dtype=np.float32)], ids=["sum", "per-sample"])
def test_an_empty_batch_costs_nothing(xp, scale):
    y, scale = xp.zeros((0, C), dtype=xp.float32), placed(xp, scale)
    loss, saved = PORTABLE.softmax_loss(y, xp.asarray([], dtype=xp.int32), scale, None, 0.0)
    assert float(loss) == 0.0
    assert PORTABLE.softmax_loss_gradient(1.0, saved).shape == (0, C)
    for loss_kernel, gradient_kernel, options, _, _ in LOSSES.values():
        assert float(getattr(PORTABLE, loss_kernel)(y, y, scale, *options)) == 0.0
        assert getattr(PORTABLE, gradient_kernel)(1.0, y, y, scale, *options).shape == (0, C)


def test_scale_of_a_weighted_mean(xp):
    weight = xp.asarray([1.0, 0.0, 3.0], dtype=xp.float32)
    np.testing.assert_array_equal(to_numpy(PORTABLE.mean_scale(weight, weight)), [0.25, 0.0, 0.75])
    nothing = xp.zeros(3, dtype=xp.float32)
    np.testing.assert_array_equal(to_numpy(PORTABLE.mean_scale(nothing, nothing)), 0.0)
    np.testing.assert_array_equal(to_numpy(PORTABLE.mean_scale(weight, weight, 0.5)), [0.125, 0.0, 0.375])
    np.testing.assert_array_equal(to_numpy(PORTABLE.mean_scale(None, weight)), 0.25)


def test_class_share(xp):
    weight = xp.asarray([0.5, 2.0, 4.0], dtype=xp.float32)
    np.testing.assert_array_equal(to_numpy(PORTABLE.class_share(xp.asarray([1, 0]), weight)), [2.0, 0.5])
    soft = xp.asarray([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], dtype=xp.float32)
    np.testing.assert_array_equal(to_numpy(PORTABLE.class_share(soft, weight)), [1.25, 4.0])
    counts = xp.asarray([2.0, 0.5], dtype=xp.float32)
    np.testing.assert_array_equal(to_numpy(PORTABLE.class_share(soft, weight, counts)), [2.5, 2.0])
    assert float(PORTABLE.class_total(soft, weight)) == 5.25
    assert float(PORTABLE.class_total(soft, weight, counts)) == 4.5


def test_a_number_per_weight(xp):
    weight = xp.asarray(np.asarray([1.0, 3.0], "float32"), device=xp.place.device)
    assert float(PORTABLE.per_weight(2.0, weight)) == 0.5
    assert float(PORTABLE.per_weight(2.0, 0.0 * weight)) == 0.0
