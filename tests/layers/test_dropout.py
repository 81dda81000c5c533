"""Layers that are random in training: what they refuse, what they do outside training, where they draw."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

X = np.random.default_rng(0).standard_normal((6, 4, 3)).astype("float32")
LAYERS = {
    "Dropout": lambda **options: pnn.Dropout(0.5, **options),
    "AlphaDropout": lambda **options: pnn.AlphaDropout(0.5, **options),
    "SpatialDropout": lambda **options: pnn.SpatialDropout(0.5, **options),
    "GaussianNoise": lambda **options: pnn.GaussianNoise(0.5, **options),
}


@pytest.mark.parametrize("name", LAYERS)
def test_outside_training_they_do_nothing(name, xp):
    np.testing.assert_array_equal(to_numpy(LAYERS[name](seed=0).forward(xp.asarray(X), training=False)), X)


@pytest.mark.parametrize("name", LAYERS)
def test_every_pass_draws_anew_from_the_seed(name, xp):
    x, expected = xp.asarray(X), LAYERS[name](seed=3)
    layer, other = LAYERS[name](seed=3), LAYERS[name](seed=4)
    first, second = to_numpy(layer.forward(x)), to_numpy(layer.forward(x))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, to_numpy(other.forward(x)))
    for y in (first, second):
        np.testing.assert_allclose(y, expected.forward(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [pnn.Dropout, pnn.AlphaDropout, pnn.SpatialDropout])
@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_rates_are_checked(kind, rate):
    with pytest.raises(ValueError, match=rf"{kind.__name__} needs a rate in \[0, 1\), got {rate}"):
        kind(rate)


@pytest.mark.parametrize("std", [-0.1, float("inf"), float("nan")])
def test_the_strength_of_noise_is_checked(std):
    with pytest.raises(ValueError, match=f"GaussianNoise needs a std of at least 0, got {std}"):
        pnn.GaussianNoise(std)


def test_channels_are_not_those_of_the_batch():
    for axis, shape in ((0, (2, 3)), (-2, (2, 3))):
        with pytest.raises(pnn.ShapeError, match="another axis than the batch"):
            pnn.SpatialDropout(axis=axis).forward(np.ones(shape))
    with pytest.raises(pnn.ShapeError, match="needs x with an axis 1"):
        pnn.SpatialDropout().forward(np.ones(3))
    with pytest.raises(pnn.ShapeError, match="needs axis of whole numbers"):
        pnn.SpatialDropout(axis=0.5)


def test_a_network_of_selu_stays_normal_with_alpha_dropout():
    x = np.random.default_rng(0).standard_normal((500, 100))
    layers = [layer for _ in range(8) for layer in (pnn.Affine(100, 100), pnn.SELU(), pnn.AlphaDropout(0.05))]
    net = pnn.Sequential(*layers, seed=0, dtype="float64")
    y = net.forward(x)
    assert abs(y.mean()) < 0.15
    assert 0.6 < y.var() < 1.4
