"""The error function against Python's own."""

import math

import numpy as np

from portable_nn import to_numpy
from portable_nn.kernels.portable.special import erf

# 0.46875, where the two approximations meet, with its neighbours; and a fine grid past the point where erf is 1.
JOINT = 0.46875 + np.arange(-4, 5) * 2.0**-53
GRID = np.concatenate([np.linspace(-7.0, 7.0, 20_001), JOINT, -JOINT])


def test_float64_to_the_last_bits(xp64):
    y = to_numpy(erf(xp64.asarray(GRID, copy=True)))
    np.testing.assert_allclose(y, [math.erf(x) for x in GRID], rtol=0, atol=1e-15)


def test_float32(xp):
    x = GRID.astype(np.float32)
    y = erf(xp.asarray(x, copy=True))
    assert y.dtype == xp.float32
    assert xp.place.holds(y)
    np.testing.assert_allclose(to_numpy(y), [math.erf(v) for v in x.astype(np.float64)], rtol=0, atol=3e-7)


def test_small_arguments_keep_their_relative_precision(xp64):
    x = np.geomspace(1e-300, 0.4, GRID.size)
    y = to_numpy(erf(xp64.asarray(x, copy=True)))
    np.testing.assert_allclose(y, [math.erf(v) for v in x], rtol=1e-15)


def test_it_is_odd_and_never_above_one(xp64):
    y = to_numpy(erf(xp64.asarray(GRID, copy=True)))
    np.testing.assert_array_equal(y, -to_numpy(erf(xp64.asarray(-GRID))))
    assert np.max(np.abs(y)) == 1.0


def test_limits(xp):
    x = xp.asarray([-math.inf, -1e30, 0.0, 1e30, math.inf, math.nan], dtype=xp.float32)
    np.testing.assert_array_equal(to_numpy(erf(x)), [-1.0, -1.0, 0.0, 1.0, 1.0, math.nan])
    assert erf(xp.zeros((0, 2), dtype=xp.float32)).shape == (0, 2)
