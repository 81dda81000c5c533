"""Counting right answers."""

import math

import numpy as np

from portable_nn.kernels import PORTABLE, kernels_for


def test_count_correct_takes_labels_and_one_hot(xp):
    y = xp.asarray([[0.1, 0.9], [3.0, -3.0], [0.0, 1.0]], dtype=xp.float32)
    for t in (xp.asarray([1, 0, 0]), xp.asarray([[0, 1], [1, 0], [1, 0]], dtype=xp.float32)):
        count = PORTABLE.count_correct(y, t)
        assert int(count) == 2
        assert count.shape == ()
        assert xp.isdtype(count.dtype, "integral")
        assert xp.place.holds(count)


def test_count_correct_signs(xp):
    y = xp.asarray([[2.0, -2.0, 0.0], [-1.0, 1.0, 0.5]], dtype=xp.float32)
    t = xp.asarray([[1, 1, 0], [0, 1, 1]], dtype=xp.float32)
    assert int(PORTABLE.count_correct_signs(y, t)) == 5


def test_nothing_to_count(xp):
    y = xp.zeros((0, 2), dtype=xp.float32)
    assert int(PORTABLE.count_correct(y, xp.asarray(np.zeros(0, np.int32)))) == 0
    assert int(PORTABLE.count_correct_signs(y, y)) == 0


def test_samples_count_by_their_weights(xp):
    rng = np.random.default_rng(0)
    y, t = rng.standard_normal((7, 2, 3)).astype("float32"), rng.integers(0, 2, (7, 2, 3))
    weight = rng.uniform(0.0, 3.0, 7).astype("float32")
    flat, w = xp.asarray(y.reshape(7, 6)), xp.asarray(weight)
    right = y.reshape(7, 6).argmax(axis=1) == t[:, 0, 0]
    found = PORTABLE.count_correct(flat, xp.asarray(t[:, 0, 0]), w)
    np.testing.assert_allclose(float(found), weight[right].sum(), rtol=1e-6)
    right = (y > 0) == (t == 1)
    found = PORTABLE.count_correct_signs(xp.asarray(y), xp.asarray(t.astype("float32")), w)
    np.testing.assert_allclose(float(found), (right.sum(axis=(1, 2)) * weight).sum(), rtol=1e-6)
    assert found.shape == ()
    assert xp.place.holds(found)


def test_numbers_whose_squares_overflow_are_finite(xp):
    x = xp.full((5,), 3e38, dtype=xp.float32)
    for kernels in (PORTABLE, kernels_for(xp)):
        assert bool(kernels.all_finite(x))
        assert not bool(kernels.all_finite(x * math.inf))
