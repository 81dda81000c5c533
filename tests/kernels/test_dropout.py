"""Dropout masks against the same hash on Python's own integers, and their statistics."""

import math
from itertools import combinations

import numpy as np
import pytest

from portable_nn import to_numpy
from portable_nn.kernels import PORTABLE

KEYS = [(0, 0), (1, 2), (-1, -1), (-(2**31), 2**31 - 1), (123456789, -987654321)]
SIZE = 2**16


def mix(h):
    """Return lowbias32 of h mod 2^32. Source: C. Wellons, Prospecting for hash functions (2018)."""
    h ^= h >> 16
    h = h * 0x7FEB352D % 2**32
    h ^= h >> 15
    h = h * 0x846CA68B % 2**32
    return h ^ h >> 16


def unmix(h):
    """Return the inverse of `mix`, as its author published it."""
    h ^= h >> 16
    h = h * 0x43021123 % 2**32
    h ^= h >> 15 ^ h >> 30
    h = h * 0x1D69E2A5 % 2**32
    return h ^ h >> 16


def reference_bits(shape, key, layer, *, mirrored=False):
    """Return the upper 24 bits of the hash of each element; those of places before the first, if `mirrored`."""
    first, second = (word % 2**32 for word in key)
    rows, columns = range(*shape[:1] or (1,)), range(math.prod(shape[1:]))
    columns = [2**32 - 1 - i for i in columns] if mirrored else columns
    bits = [mix((mix(mix(n ^ first) ^ layer) + mix(i ^ second)) % 2**32) >> 8 for n in rows for i in columns]
    return np.array(bits, dtype=np.int64).reshape(shape)


def reference_mask(shape, rate, key, layer):
    return reference_bits(shape, key, layer) >= round(rate * 2**24)


def mask(shape=(SIZE,), rate=0.5, key=(11, 12), layer=1):
    return PORTABLE.dropout_mask(np.zeros(shape, np.float32), rate, key, layer)


def test_the_reference_is_the_published_hash():
    numbers = [0, 1, 2**31, 2**32 - 1, *range(2**16, 2**32, 104_729 * 97)]
    assert [unmix(mix(n)) for n in numbers] == numbers


@pytest.mark.parametrize("key", KEYS)
def test_every_backend_makes_the_reference_mask(xp, key):
    x = xp.asarray(np.full((7, 9), -2.5, np.float32))
    for rate, layer in ((0.5, 1), (0.2, 3)):
        result = PORTABLE.dropout_mask(x, rate, key, layer)
        expected = np.where(reference_mask((7, 9), rate, key, layer), np.float32(1.0 / (1.0 - rate)), np.float32(0.0))
        np.testing.assert_array_equal(to_numpy(result), expected)
        assert result.dtype == xp.float32
        assert xp.place.holds(result)
    np.testing.assert_array_equal(to_numpy(x), -2.5)


def test_an_element_at_the_threshold_is_kept(xp):
    for threshold in reference_bits((3,), (5, 6), 2).tolist():
        result = PORTABLE.dropout_mask(xp.zeros(3, dtype=xp.float32), threshold / 2**24, (5, 6), 2)
        np.testing.assert_array_equal(to_numpy(result) > 0, reference_bits((3,), (5, 6), 2) >= threshold)


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3, 4)])
def test_any_shape(xp, shape):
    result = to_numpy(PORTABLE.dropout_mask(xp.zeros(shape, dtype=xp.float32), 0.5, (5, 6), 2))
    assert result.shape == shape
    np.testing.assert_array_equal(result, 2.0 * reference_mask(shape, 0.5, (5, 6), 2))


def test_float64_gets_the_same_elements(xp64):
    result = PORTABLE.dropout_mask(xp64.zeros((7, 9), dtype=xp64.float64), 0.3, KEYS[4], 1)
    assert result.dtype == xp64.float64
    np.testing.assert_array_equal(to_numpy(result), reference_mask((7, 9), 0.3, KEYS[4], 1) * (1.0 / 0.7))


def test_strided_input_counts_in_c_order(xp):
    x = xp.permute_dims(xp.zeros((9, 14), dtype=xp.float32), (1, 0))[::2, :]
    np.testing.assert_array_equal(
        to_numpy(PORTABLE.dropout_mask(x, 0.5, (1, 2), 1)), 2.0 * reference_mask((7, 9), 0.5, (1, 2), 1)
    )


def test_more_rows_and_longer_ones_leave_the_others_as_they_are(xp):
    whole = to_numpy(PORTABLE.dropout_mask(xp.zeros((8, 16, 3), dtype=xp.float32), 0.5, (7, -8), 2))
    for n, t in ((1, 1), (5, 11), (8, 16)):
        part = to_numpy(PORTABLE.dropout_mask(xp.zeros((n, t, 3), dtype=xp.float32), 0.5, (7, -8), 2))
        np.testing.assert_array_equal(part, whole[:n, :t])


@pytest.mark.parametrize("x64", [False, True])
def test_a_traced_key_makes_the_same_mask(x64):
    jax = pytest.importorskip("jax")
    with jax.enable_x64(x64):
        traced = jax.jit(lambda x, key: PORTABLE.dropout_mask(x, 0.5, key, 3))
        x = jax.numpy.zeros((7, 9), dtype="float32")
        for key in KEYS:
            np.testing.assert_array_equal(to_numpy(traced(x, key)), 2.0 * reference_mask((7, 9), 0.5, key, 3))


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.2, 0.5, 0.9])
def test_the_share_kept_and_the_mean(rate):
    sigma = math.sqrt(rate * (1.0 - rate) / SIZE)
    for key in KEYS:
        drawn = mask(rate=rate, key=key)
        assert abs(np.mean(drawn > 0) - (1.0 - rate)) <= 4.0 * sigma
        assert set(np.unique(drawn)) <= {np.float32(0.0), np.float32(1.0 / (1.0 - rate))}


def test_rows_and_columns_are_dropped_alike():
    kept = mask((256, 256)) > 0
    for axis in (0, 1):
        assert np.all(np.abs(np.mean(kept, axis=axis) - 0.5) < 5.0 * 0.5 / math.sqrt(256))


def correlation(a, b):
    return abs(np.corrcoef(a.ravel(), b.ravel())[0, 1])


LIMIT = 4.0 / math.sqrt(SIZE)  # four standard deviations of the correlation of independent masks


def test_keys_are_uncorrelated():
    masks = [mask(key=key) for key in (*KEYS, (1, 3), (2, 2), (2, 1))]
    assert max(correlation(a, b) for a, b in combinations(masks, 2)) < LIMIT


def test_layers_are_uncorrelated():
    masks = [mask(layer=layer) for layer in range(1, 9)]
    assert max(correlation(a, b) for a, b in combinations(masks, 2)) < LIMIT


def test_neighbours_are_uncorrelated():
    for shape in ((SIZE,), (1, SIZE), (256, 256), (SIZE // 8, 8)):
        drawn = mask(shape).ravel()
        for distance in (1, 2, 3, 4, 8, 28, 64, 100, 784, 1024):
            assert correlation(drawn[distance:], drawn[:-distance]) < LIMIT


def test_rows_and_columns_are_uncorrelated_whatever_the_key():
    for key in KEYS:
        drawn = mask((256, 256), key=key)
        assert correlation(drawn, drawn.T) < 2 * LIMIT
        for distance in (1, 2, 3, 4, 8, 64, 128):
            assert correlation(drawn[distance:], drawn[:-distance]) < LIMIT
            assert correlation(drawn[:, distance:], drawn[:, :-distance]) < LIMIT


def reference_noise(shape, key, layer):
    """Return normal numbers. Source: Box and Muller (1958), for uniform numbers of 24 bits, the first of them not 0."""
    u = (reference_bits(shape, key, layer) + 1) / 2**24
    v = reference_bits(shape, key, layer, mirrored=True) / 2**24
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)


@pytest.mark.parametrize("key", KEYS)
def test_every_backend_makes_the_reference_noise(xp, key):
    x = np.linspace(-1, 1, 63, dtype=np.float32).reshape(7, 3, 3)
    result = PORTABLE.gaussian_noise(xp.asarray(x), 0.5, key, 3)
    assert result.dtype == xp.float32
    assert xp.place.holds(result)
    np.testing.assert_allclose(to_numpy(result), x + 0.5 * reference_noise(x.shape, key, 3), rtol=0, atol=3e-6)
    assert PORTABLE.gaussian_noise(xp.zeros((0, 3), dtype=xp.float32), 0.5, key, 3).shape == (0, 3)


def noise(shape=(SIZE,), key=(11, 12), layer=1):
    return PORTABLE.gaussian_noise(np.zeros(shape), 1.0, key, layer)


def test_noise_is_normal():
    for key in KEYS:
        n = noise((256, 256), key).ravel()
        assert abs(n.mean()) < 4 / math.sqrt(SIZE)
        for power, moment, variance in ((2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
            assert abs(np.mean(n**power) - moment) < 4 * math.sqrt(variance / SIZE)
        shares = np.histogram(n, bins=[-np.inf, -2, -1, 0, 1, 2, np.inf])[0] / SIZE
        expected = np.diff([0, 0.0227501, 0.1586553, 0.5, 0.8413447, 0.9772499, 1])
        assert np.all(np.abs(shares - expected) < 4 * np.sqrt(expected / SIZE))


def test_noise_is_uncorrelated():
    drawn = [noise(key=key) for key in KEYS] + [noise(layer=layer) for layer in (2, 3)]
    assert max(correlation(a, b) for a, b in combinations(drawn, 2)) < LIMIT
    for shape in ((SIZE,), (1, SIZE), (256, 256)):
        n = noise(shape).ravel()
        for values in (n, np.abs(n)):
            for distance in (1, 2, 3, 8, 64, 256):
                assert correlation(values[distance:], values[:-distance]) < LIMIT


def test_whole_channels_are_dropped(xp):
    x = xp.zeros((4, 5, 2, 3), dtype=xp.float32)
    flat = reference_mask((4, 5), 0.5, (5, 6), 2) * 2.0
    for axis, shape in ((1, (4, 5, 1, 1)), (3, (4, 1, 1, 3))):
        mask = to_numpy(PORTABLE.channel_mask(x, 0.5, axis, (5, 6), 2))
        np.testing.assert_array_equal(mask, flat[:, : shape[axis]].reshape(shape))
    assert PORTABLE.channel_mask(x[:0, ...], 0.5, 1, (5, 6), 2).shape == (0, 5, 1, 1)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.7])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    x = np.random.default_rng(0).standard_normal((400, 400))
    mask = PORTABLE.dropout_mask(x, rate, (1, 2), 1)
    y = PORTABLE.alpha_dropout(x, mask, rate)
    assert abs(y.mean()) < 0.01
    assert y.var() == pytest.approx(1.0, rel=0.02)
    # as torch writes it: x and -1.758... mixed by the mask, then scaled
    floor, kept = -1.7580993408473766, mask > 0
    a = 1 / math.sqrt((floor**2 * rate + 1) * (1 - rate))
    np.testing.assert_allclose(y, (x * kept + floor * ~kept) * a - floor * a * rate, rtol=1e-12, atol=1e-12)


def test_alpha_dropout_of_infinities(xp):
    x, mask = (xp.asarray(a, dtype=xp.float32) for a in ([math.inf, math.inf, math.nan], [0.0, 2.0, 2.0]))
    y, dx = to_numpy(PORTABLE.alpha_dropout(x, mask, 0.5)), to_numpy(PORTABLE.alpha_dropout_gradient(x, mask, 0.5))
    assert np.isfinite(y[0])
    np.testing.assert_array_equal(y[1:], [math.inf, math.nan])
    np.testing.assert_array_equal(dx, [0.0, math.inf, math.nan])
