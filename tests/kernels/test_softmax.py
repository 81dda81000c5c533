"""Portable softmax: rows, overflow, and the Jacobian diag(s) - s s^T."""

import numpy as np

from portable_nn import to_numpy
from portable_nn.kernels import PORTABLE

X = np.random.default_rng(0).normal(size=(6, 4))


def naive(x):
    return np.stack([np.exp(row) / np.exp(row).sum() for row in x])


def test_each_row_by_itself(xp64):
    x = xp64.asarray(X, copy=True)
    np.testing.assert_allclose(to_numpy(PORTABLE.softmax(x)), naive(X), rtol=1e-14)
    np.testing.assert_allclose(to_numpy(PORTABLE.log_softmax(x)), np.log(naive(X)), rtol=1e-13)


def test_worked_values(xp):
    # exp(1), exp(2) and exp(3) over their sum, to eight digits
    x = xp.asarray([[1, 2, 3], [4, 5, 6]], dtype=xp.float32)
    y = PORTABLE.softmax(x)
    np.testing.assert_allclose(to_numpy(y), [[0.09003057, 0.24472847, 0.66524096]] * 2, rtol=1e-6)
    np.testing.assert_array_equal(to_numpy(x), [[1, 2, 3], [4, 5, 6]])
    assert y.dtype == xp.float32
    assert xp.place.holds(y)


def test_nothing_overflows_at_ten_thousand(xp):
    x = xp.asarray([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]], dtype=xp.float32)
    third = np.float32(1 / 3)
    np.testing.assert_allclose(to_numpy(PORTABLE.softmax(x)), [[1, 0, 0], [third] * 3], rtol=1e-7)
    log_third = -np.log(3.0)
    np.testing.assert_allclose(to_numpy(PORTABLE.log_softmax(x)), [[0, -1e4, -2e4], [log_third] * 3], rtol=1e-6)


def test_an_impossible_class_has_probability_zero(xp):
    x = xp.asarray([[-np.inf, 0.0, 0.0]], dtype=xp.float32)
    np.testing.assert_array_equal(to_numpy(PORTABLE.softmax(x)), [[0.0, 0.5, 0.5]])
    assert to_numpy(PORTABLE.log_softmax(x))[0, 0] == -np.inf


def test_one_nan_row_stays_alone(xp):
    y = to_numpy(PORTABLE.softmax(xp.asarray([[np.nan, 1.0], [0.0, 0.0]], dtype=xp.float32)))
    assert np.all(np.isnan(y[0]))
    np.testing.assert_array_equal(y[1], [0.5, 0.5])


def test_gradient_is_the_jacobian_of_each_row(xp64):
    y, dy = naive(X), np.random.default_rng(1).normal(size=X.shape)
    expected = [(np.diag(s) - np.outer(s, s)) @ d for s, d in zip(y, dy, strict=True)]
    arrays = (xp64.asarray(a, copy=True) for a in (dy, y))
    np.testing.assert_allclose(to_numpy(PORTABLE.softmax_gradient(*arrays)), expected, atol=1e-15)


def test_more_axes_are_rows_too(xp64):
    x = np.stack([X, X + 1000.0])
    y = to_numpy(PORTABLE.softmax(xp64.asarray(x, copy=True)))
    np.testing.assert_allclose(y, [naive(X)] * 2, rtol=1e-12)


def test_empty_batch_and_single_class(xp):
    for kernel in (PORTABLE.softmax, PORTABLE.log_softmax):
        assert kernel(xp.zeros((0, 3), dtype=xp.float32)).shape == (0, 3)
    np.testing.assert_array_equal(to_numpy(PORTABLE.softmax(xp.ones((2, 1), dtype=xp.float32))), 1.0)
    np.testing.assert_array_equal(to_numpy(PORTABLE.log_softmax(xp.ones((2, 1), dtype=xp.float32))), 0.0)
