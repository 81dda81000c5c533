"""Normalization of each sample, fast and portable, beside NumPy in float64 where float32 is hard put to it."""

import importlib.util

import numpy as np
import pytest

from portable_nn.arrays import namespace, to_numpy
from portable_nn.kernels import PORTABLE, kernels_for

EPSILON = 1e-30
FAR = [(0.0, 1.0), (1e4, 1.0), (-300.0, 1e-2), (0.0, 1e-8), (1e12, 1e8), (3e5, 2e2)]
"""Offsets and spreads of numbers."""


def both(xp):
    """Return the kernels of a backend, compiled ones where they are installed, and the portable ones."""
    fast = kernels_for(xp.place.xp)
    installed = fast.compiler is not None and importlib.util.find_spec(fast.compiler) is not None
    compiled = {"compiled": fast.compiled()} if installed else {}
    return ({"fast": fast, "portable": PORTABLE} | compiled).items()


def by_numpy(dy, rows, gamma, beta):
    """Return y and dx of rows (..., M) that are normalized each for itself; gamma and beta lie along them."""
    centered = rows - rows.mean(axis=-1, keepdims=True)
    inverse = 1.0 / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + EPSILON)
    normal, scaled = centered * inverse, dy * gamma
    share = (scaled * normal).mean(axis=-1, keepdims=True)
    dx = (scaled - scaled.mean(axis=-1, keepdims=True) - normal * share) * inverse
    return normal * gamma + beta, dx, normal


def drawn(xp, offset, spread, shape, size):
    """Return dy, x, gamma and beta as float32 of a backend, and all of these as float64 of NumPy."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(shape), offset + spread * rng.standard_normal(shape)
    given = [xp.asarray(a.astype("float32")) for a in (*values, *rng.uniform(0.5, 1.5, (2, size)))]
    return given, [to_numpy(a).astype("float64") for a in given]


def assert_near(found, expected, tolerance):
    np.testing.assert_allclose(to_numpy(found), expected, rtol=0, atol=tolerance * np.abs(expected).max())


def tolerance_of(which, offset, spread):
    """Return what may be wrong: some roundings; in fast kernels a few of x, too, if the mean outweighs the spread."""
    return 4e-6 + (4e-7 * abs(offset) / spread if which == "fast" else 0.0)


@pytest.mark.parametrize(("offset", "spread"), FAR)
def test_layer_norm_of_numbers_far_from_0(xp, offset, spread):
    (dy, x, gamma, beta), wide = drawn(xp, offset, spread, (6, 500), 500)
    y_expected, dx_expected, normal = by_numpy(*wide)
    for which, kernels in both(xp):
        tolerance = tolerance_of(which, offset, spread)
        y, center, inverse = kernels.layer_norm(x, gamma, beta, EPSILON)
        np.testing.assert_allclose(to_numpy(center)[:, 0], wide[1].mean(axis=1), rtol=1e-6, atol=1e-6 * spread)
        np.testing.assert_allclose(to_numpy(inverse)[:, 0], 1.0 / wide[1].std(axis=1), rtol=max(1e-5, tolerance / 10))
        dx, dgamma, dbeta = kernels.layer_norm_gradient(dy, x, center, inverse, gamma)
        assert_near(y, y_expected, tolerance)
        assert_near(dx, dx_expected, tolerance)
        assert_near(dgamma, (wide[0] * normal).sum(axis=0), tolerance)
        assert_near(dbeta, wide[0].sum(axis=0), 1e-6)


@pytest.mark.parametrize(("offset", "spread"), FAR)
def test_group_norm_of_numbers_far_from_0(xp, offset, spread):
    (dy, x, gamma, beta), wide = drawn(xp, offset, spread, (3, 4, 5, 20), 4)
    rows = [a.reshape(3, 2, 200) for a in wide[:2]] + [np.repeat(a, 100).reshape(2, 200) for a in wide[2:]]
    y_expected, dx_expected, normal = (array.reshape(x.shape) for array in by_numpy(*rows))
    for which, kernels in both(xp):
        tolerance = tolerance_of(which, offset, spread)
        y, center, inverse = kernels.group_norm(x, gamma, beta, 2, EPSILON)
        np.testing.assert_allclose(to_numpy(center), rows[1].mean(axis=2), rtol=1e-6, atol=1e-6 * spread)
        np.testing.assert_allclose(to_numpy(inverse), 1.0 / rows[1].std(axis=2), rtol=max(1e-5, tolerance / 10))
        dx, dgamma, dbeta = kernels.group_norm_gradient(dy, x, center, inverse, gamma)
        assert_near(y, y_expected, tolerance)
        assert_near(dx, dx_expected, tolerance)
        assert_near(dgamma, (wide[0] * normal).sum(axis=(0, 2, 3)), tolerance)
        assert_near(dbeta, wide[0].sum(axis=(0, 2, 3)), 1e-6)


@pytest.mark.parametrize("size", [1e-15, 1.0, 1e15])
def test_rms_norm_of_small_and_large_numbers(xp, size):
    (dy, x, gamma, _), (dy64, x64, gamma64, _) = drawn(xp, 0.0, size, (6, 500), 500)
    scale = 1.0 / np.sqrt((x64**2).mean(axis=1, keepdims=True) + 1e-36)
    share = (dy64 * gamma64 * x64).mean(axis=1, keepdims=True) * scale**2
    for _, kernels in both(xp):
        y, inverse = kernels.rms_norm(x, gamma, 1e-36)
        dx, dgamma = kernels.rms_norm_gradient(dy, x, inverse, gamma)
        assert_near(y, x64 * scale * gamma64, 2e-6)
        assert_near(dx, (dy64 * gamma64 - x64 * share) * scale, 4e-6)
        assert_near(dgamma, (dy64 * x64 * scale).sum(axis=0), 2e-6)


def test_a_constant_row_gives_beta(xp):
    x = xp.asarray(np.full((3, 4, 7), 1234.567, "float32"))
    gamma, beta = xp.asarray(np.ones(7, "float32")), xp.asarray(np.arange(7, dtype="float32"))
    for _, kernels in both(xp):
        np.testing.assert_allclose(to_numpy(kernels.layer_norm(x, gamma, beta, 1e-5)[0])[0, 0], np.arange(7), atol=0.05)


@pytest.mark.parametrize("kernel", ["layer_norm", "rms_norm", "group_norm"])
def test_nan_stays_in_its_row(xp, kernel):
    x = np.random.default_rng(0).standard_normal((3, 4))
    x[1, 2] = np.nan
    x, one = xp.asarray(x.astype("float32")), xp.asarray(np.ones(4, "float32"))
    more = {"layer_norm": (one, one), "rms_norm": (one,), "group_norm": (one, one, 1)}[kernel]
    for _, kernels in both(xp):
        y = to_numpy(getattr(kernels, kernel)(x, *more, 1e-5)[0])
        assert np.isnan(y[1]).all()
        assert np.isfinite(y[[0, 2]]).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_has_statistics_of_float32(dtype):
    pytest.importorskip("torch")
    xp = namespace("torch")
    rng = np.random.default_rng(0)
    x = xp.astype(xp.asarray(300.0 + rng.standard_normal((3, 4, 500))), getattr(xp, dtype))
    dy = xp.astype(xp.asarray(rng.standard_normal((3, 4, 500))), x.dtype)
    one, many = (xp.ones(size, dtype=x.dtype) for size in (4, 500))
    rows = to_numpy(xp.astype(x, xp.float64))
    wanted = (rows - rows.mean(axis=-1, keepdims=True)) / np.maximum(rows.std(axis=-1, keepdims=True), 1e-5)
    for _, kernels in {"fast": kernels_for(xp), "portable": PORTABLE}.items():
        for y, *saved, gradient, gamma in (
            (*kernels.layer_norm(x, many, many, 1e-5), kernels.layer_norm_gradient, many),
            (*kernels.group_norm(x, one, one, 4, 1e-5), kernels.group_norm_gradient, one),
        ):
            assert y.dtype == x.dtype
            assert [array.dtype for array in saved] == [xp.float32] * 2
            np.testing.assert_allclose(to_numpy(xp.astype(y, xp.float64)) - 1.0, wanted, atol=0.04)
            assert all(array.dtype == x.dtype for array in gradient(dy, x, *saved, gamma))
        y, inverse = kernels.rms_norm(x, many, 1e-6)
        dx, dgamma = kernels.rms_norm_gradient(dy, x, inverse, many)
        assert (y.dtype, inverse.dtype, dx.dtype, dgamma.dtype) == (x.dtype, xp.float32, x.dtype, x.dtype)
        np.testing.assert_allclose(to_numpy(xp.astype(y, xp.float64)), 1.0, atol=0.02)
        y, s = kernels.local_response_norm(x, 3, 1e-4, 0.75, 1.0)
        dx = kernels.local_response_norm_gradient(dy, x, s, 3, 1e-4, 0.75)
        assert (y.dtype, s.dtype, dx.dtype) == (x.dtype, xp.float32, x.dtype)
        assert bool(xp.all(xp.isfinite(y)))
