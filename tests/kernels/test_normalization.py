"""Normalization beside NumPy in float64, where float32 is hard put to it and where there is little to normalize."""

import importlib.util

import numpy as np
import pytest

from portable_nn.arrays import to_numpy
from portable_nn.kernels import PORTABLE, kernels_for

SHAPES = [(2, 3), (64, 5), (4, 3, 7), (3, 4, 5, 2)]


def arguments(xp, x, rng, dtype="float32"):
    channels = x.shape[1]
    numbers = [rng.uniform(0.5, 1.5, channels) for _ in range(4)]
    return [xp.asarray(array.astype(dtype)) for array in (x, *numbers)]


def both(xp):
    """Return the kernels of a backend, compiled ones where they are installed, and the portable ones."""
    fast = kernels_for(xp.place.xp)
    installed = fast.compiler is not None and importlib.util.find_spec(fast.compiler) is not None
    compiled = {"compiled": fast.compiled()} if installed else {}
    return ({"fast": fast, "portable": PORTABLE} | compiled).items()


def by_numpy(x, gamma, beta, mean, variance, momentum, epsilon):
    axes, shape = (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
    m, v = x.mean(axis=axes), x.var(axis=axes)
    inverse = 1.0 / np.sqrt(v + epsilon)
    y = (x - m.reshape(shape)) * (gamma * inverse).reshape(shape) + beta.reshape(shape)
    unbiased = x.var(axis=axes, ddof=1)
    return y, m, inverse, (1 - momentum) * mean + momentum * m, (1 - momentum) * variance + momentum * unbiased


@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_is_normalized_as_numpy_does_it(xp, shape):
    rng = np.random.default_rng(0)
    given = arguments(xp, 3.0 * rng.standard_normal(shape) + 1.0, rng)
    found = kernels_for(xp.place.xp).batch_norm(*given, 0.3, 1e-3)
    expected = by_numpy(*(to_numpy(array).astype("float64") for array in given), 0.3, 1e-3)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(to_numpy(one), other, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("shape", [(4096, 2), (64, 2, 8, 8)])
@pytest.mark.parametrize(("offset", "spread"), [(1e4, 1.0), (-300.0, 1e-2), (0.0, 1e-8), (1e12, 1e8), (3e5, 2e2)])
def test_numbers_far_from_0(xp, offset, spread, shape):
    rng = np.random.default_rng(0)
    given = arguments(xp, offset + spread * rng.standard_normal(shape), rng)
    dy = xp.asarray(rng.standard_normal(shape).astype("float32"))
    x, gamma, d = (to_numpy(array).astype("float64") for array in (*given[:2], dy))  # as float32 has rounded it
    axes, along = (0, *range(2, x.ndim)), (1, 2) + (1,) * (x.ndim - 2)
    normal = (x - x.mean(axis=axes).reshape(along)) / x.std(axis=axes).reshape(along)
    share = (d * normal).mean(axis=axes).reshape(along)
    dx_expected = (d - d.mean(axis=axes).reshape(along) - normal * share) * (gamma / x.std(axis=axes)).reshape(along)
    for which, kernels in both(xp):
        # Fast kernels may be as wrong as x is after a few more roundings.
        tolerance = 4e-6 + (4e-7 * abs(offset) / spread if which == "fast" else 0.0)
        y, center, inverse, mean, variance = kernels.batch_norm(*given, 1.0, 1e-30)
        np.testing.assert_allclose(to_numpy(mean), x.mean(axis=axes), rtol=1e-6, atol=1e-6 * spread)
        np.testing.assert_allclose(to_numpy(variance), x.var(axis=axes, ddof=1), rtol=1e-5)
        y_expected = normal * gamma.reshape(along) + to_numpy(given[2]).astype("float64").reshape(along)
        dx, dgamma, dbeta = kernels.batch_norm_gradient(dy, given[0], center, inverse, given[1])
        for found, expected in (
            (y, y_expected), (dx, dx_expected), (dgamma, (d * normal).sum(axis=axes)), (dbeta, d.sum(axis=axes))
        ):  # fmt: skip
            np.testing.assert_allclose(to_numpy(found), expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_nan_and_infinity_stay_in_their_channel(xp):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 3, 2))
    x[2, 0, 1], x[4, 2, 0] = np.nan, np.inf
    given, kernels = arguments(xp, x, rng), kernels_for(xp.place.xp)
    with np.errstate(invalid="ignore"):
        y, center, inverse, *running = kernels.batch_norm(*given, 0.1, 1e-5)
        gradients = kernels.batch_norm_gradient(given[0] * 0.0 + 1.0, given[0], center, inverse, given[1])
        fixed = to_numpy(kernels.normalize(*given, 1e-5))
    for array in (np.moveaxis(to_numpy(y), 1, 0), *map(to_numpy, running), to_numpy(gradients[1])):
        assert np.isnan(array[0]).all()
        assert np.isfinite(array[1]).all()
        assert not np.isfinite(array[2]).all()
    assert np.isnan(fixed).sum() == np.isinf(fixed).sum() == 1


def test_nothing_is_written(xp):
    rng = np.random.default_rng(0)
    given, kernels = arguments(xp, rng.standard_normal((6, 3)), rng), kernels_for(xp.place.xp)
    before = [to_numpy(array).copy() for array in given]
    _, center, inverse, *_ = kernels.batch_norm(*given, 0.1, 1e-5)
    kernels.batch_norm_gradient(given[0], given[0], center, inverse, given[1])
    kernels.normalize_gradient(given[0], given[0], *given[1:2], *given[3:], 1e-5)
    for array, values in zip(given, before, strict=True):
        np.testing.assert_array_equal(to_numpy(array), values)
