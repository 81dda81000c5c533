"""Initializers: their distributions, and the same weights on every backend."""

import math
import pickle

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import initializers, to_numpy

SHAPE = (300, 200)
I, O = SHAPE  # noqa: E741  (inputs, outputs: the letters of the maths)

# name: (variance by its paper, kurtosis of its distribution)
NORMAL, UNIFORM = 3.0, 1.8
SCALED = {
    "glorot_normal": (2 / (I + O), NORMAL),
    "glorot_uniform": (2 / (I + O), UNIFORM),
    "he_normal": (2 / I, NORMAL),
    "he_uniform": (2 / I, UNIFORM),
    "lecun_normal": (1 / I, NORMAL),
    "lecun_uniform": (1 / I, UNIFORM),
}
ALL = [*SCALED, "zeros", "normal", "uniform", "orthogonal", "truncated_normal", "sparse"]
NEEDED = {"sparse": (0.4,)}


def draw(initializer, shape=SHAPE, seed=0):
    return initializer(np.random.default_rng(seed), shape)


def assert_distribution(w, variance, kurtosis, mean=0.0):
    assert w.dtype == np.float64
    centred = w - mean
    assert abs(np.mean(centred)) < 4 * math.sqrt(variance / w.size)
    assert np.mean(centred**2) == pytest.approx(variance, rel=4 * math.sqrt((kurtosis - 1) / w.size))
    assert np.mean(centred**4) / variance**2 == pytest.approx(kurtosis, rel=0.05)


@pytest.mark.parametrize("name", SCALED)
def test_variance_of_the_paper(name):
    variance, kurtosis = SCALED[name]
    w = draw(getattr(initializers, name)(*NEEDED.get(name, ())))
    assert w.shape == SHAPE
    assert_distribution(w, variance, kurtosis)
    if kurtosis == UNIFORM:
        limit = math.sqrt(3 * variance)
        assert 0.999 * limit < np.max(np.abs(w)) <= limit


@pytest.mark.parametrize("name", SCALED)
def test_all_axes_but_the_last_are_inputs(name):
    initializer = getattr(initializers, name)(*NEEDED.get(name, ()))
    np.testing.assert_array_equal(draw(initializer, (10, 30, 200)).reshape(SHAPE), draw(initializer))


def test_normal():
    assert_distribution(draw(initializers.normal()), 1e-4, NORMAL)
    assert_distribution(draw(initializers.normal(std=2.0, mean=5.0)), 4.0, NORMAL, mean=5.0)


def test_uniform():
    w = draw(initializers.uniform())
    assert_distribution(w, 0.1**2 / 12, UNIFORM)
    assert -0.05 <= np.min(w) < -0.0499 < 0.0499 < np.max(w) < 0.05
    assert_distribution(draw(initializers.uniform(1.0, 4.0)), 9 / 12, UNIFORM, mean=2.5)


def truncated_variance(bound):
    """Return the variance of a standard normal variable between -bound and bound: Johnson and Kotz (1970), ch. 13."""
    density = math.exp(-bound * bound / 2) / math.sqrt(2 * math.pi)
    return 1 - 2 * bound * density / math.erf(bound / math.sqrt(2))


@pytest.mark.parametrize("bound", [1e-6, 0.3, 1.0, 1.001, 2.0, 8.0])
def test_truncated_normal(bound):
    w = (draw(initializers.truncated_normal(2.0, 5.0, bound)) - 5.0) / 2.0
    assert w.shape == SHAPE
    assert np.max(np.abs(w)) <= bound * (1 + 1e-9) + 1e-15
    expected = truncated_variance(bound) if bound > 0.01 else bound**2 / 3
    assert np.var(w) == pytest.approx(expected, rel=0.03)
    assert abs(np.mean(w)) < 4 * math.sqrt(expected / w.size)
    inside = np.mean(np.abs(w) < bound / 2)  # the shape between, not the ends alone
    assert inside == pytest.approx(math.erf(bound / 2 / math.sqrt(2)) / math.erf(bound / math.sqrt(2)), abs=0.01)
    assert draw(initializers.truncated_normal(bound=bound), (0, 3)).shape == (0, 3)


@pytest.mark.parametrize("bound", [0, -1.0, math.nan])
def test_a_bound_is_more_than_nothing(bound):
    with pytest.raises(ValueError, match=f"truncated_normal needs a bound of more than 0, got {bound}"):
        initializers.truncated_normal(bound=bound)


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.301, 1.0])
def test_sparse(sparsity):
    w = draw(initializers.sparse(sparsity, std=2.0))
    zeros = (w == 0).sum(axis=0)
    np.testing.assert_array_equal(zeros, math.ceil(round(sparsity * 1000) * I / 1000))
    if sparsity < 1:
        assert np.std(w[w != 0]) == pytest.approx(2.0, rel=0.02)
    if 0 < sparsity < 1:  # another set for each output, and no input left out more often than chance would
        assert len({tuple(column) for column in (w == 0).T.tolist()}) == O
        assert np.max(np.abs((w == 0).mean(axis=1) - sparsity)) < 5 * math.sqrt(sparsity * (1 - sparsity) / O)
    assert draw(initializers.sparse(0.5), (4, 3, 2)).shape == (4, 3, 2)
    assert (draw(initializers.sparse(0.1), (30, 1)) == 0).sum() == 3


@pytest.mark.parametrize("sparsity", [-0.1, 1.1, math.nan])
def test_a_sparsity_is_a_share(sparsity):
    with pytest.raises(ValueError, match=rf"sparse needs a sparsity in \[0, 1\], got {sparsity}"):
        initializers.sparse(sparsity)


def test_constants():
    np.testing.assert_array_equal(draw(initializers.zeros()), np.zeros(SHAPE))
    np.testing.assert_array_equal(draw(initializers.constant(-1.5), (4,)), [-1.5] * 4)


@pytest.mark.parametrize("shape", [(40, 40), (60, 20), (20, 60), (3, 5, 4), (2, 2, 30), (1, 7), (7,)])
@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_orthogonal(shape, gain):
    w = draw(initializers.orthogonal(gain), shape)
    assert w.shape == shape
    matrix = w.reshape(-1, shape[-1])
    small = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, gain**2 * np.eye(min(matrix.shape)), atol=1e-13)


def test_orthogonal_prefers_no_rotation():
    # QR alone always leaves the first element negative; over all rotations its mean is 0 and its variance 1/2
    first = [draw(initializers.orthogonal(), (2, 2), seed)[0, 0] for seed in range(400)]
    assert abs(np.mean(first)) < 4 * math.sqrt(0.5 / 400)
    assert np.mean(np.square(first)) == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("name", ALL)
def test_pickled_initializers_draw_the_same(name):
    initializer = getattr(initializers, name)(*NEEDED.get(name, ()))
    np.testing.assert_array_equal(draw(pickle.loads(pickle.dumps(initializer))), draw(initializer))


@pytest.mark.parametrize("name", [name for name in ALL if name != "zeros"])
def test_seeds_decide(name):
    initializer = getattr(initializers, name)(*NEEDED.get(name, ()))
    np.testing.assert_array_equal(draw(initializer, seed=1), draw(initializer, seed=1))
    assert not np.array_equal(draw(initializer, seed=1), draw(initializer, seed=2))


@pytest.mark.parametrize("name", ALL)
def test_weights_are_bit_identical_on_every_backend(xp, name):
    initializer = getattr(initializers, name)(*NEEDED.get(name, ()))
    here = pnn.Affine(7, 5, W=initializer, b=initializers.normal(), xp=xp, seed=3)
    there = pnn.Affine(7, 5, W=initializer, b=initializers.normal(), xp="numpy", seed=3)
    for parameter in ("W", "b"):
        array = here.params[parameter]
        assert array.dtype == xp.float32
        np.testing.assert_array_equal(to_numpy(array), there.params[parameter])


def test_float64_weights_are_the_float32_ones_before_rounding(xp64):
    wide = to_numpy(pnn.Affine(7, 5, xp=xp64, dtype="float64", seed=3).params["W"])
    narrow = pnn.Affine(7, 5, seed=3).params["W"]
    assert wide.dtype == np.float64
    np.testing.assert_array_equal(wide.astype(np.float32), narrow)


def test_w_and_b_are_drawn_apart():
    layer = pnn.Affine(1, 5, W=initializers.normal(1.0), b=initializers.normal(1.0), seed=3)
    assert not np.any(layer.params["W"][0] == layer.params["b"])
