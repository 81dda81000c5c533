"""Mills' ratio against Laplace's continued fraction and Python's erfc."""

import math

import numpy as np
import pytest

from portable_nn import to_numpy
from portable_nn.kernels.portable.special import mills_ratio

GRID = np.concatenate([np.linspace(0.0, 41.0, 2_001), np.geomspace(1e-300, 1e30, 500)])


def expected(x):
    """Return 1 / (x + 1 / (x + 2 / (x + 3 / ...))) where that is soon exact, else what the ratio is defined to be."""
    if x < 2:
        return math.sqrt(math.pi / 2) * math.exp(x * x / 2) * math.erfc(x / math.sqrt(2))
    rest = x
    for k in range(200, 0, -1):
        rest = x + k / rest
    return 1 / rest


def test_float64_to_the_last_bits(xp64):
    y = to_numpy(mills_ratio(xp64.asarray(GRID, copy=True)))
    np.testing.assert_allclose(y, [expected(x) for x in GRID], rtol=2e-15)


# mpmath: sqrt(pi / 2) exp(x^2 / 2) erfc(x / sqrt(2)) in 40 digits.
@pytest.mark.parametrize(
    ("x", "value"),
    [
        (0.0, 1.2533141373155002512),
        (0.5, 0.87636445645369234673),
        (1.0, 0.65567954241879847154),
        (2.0, 0.42136922928805447322),
        (5.0, 0.19280810471531576488),
        (10.0, 0.099028596471731921395),
        (40.0, 0.024984404205720571147),
    ],
)
def test_known_values(xp64, x, value):
    assert expected(x) == pytest.approx(value, rel=1e-15)
    assert float(mills_ratio(xp64.asarray([x], dtype=xp64.float64))[0]) == pytest.approx(value, rel=1e-15)


def test_float32(xp):
    x = GRID.astype(np.float32)
    y = mills_ratio(xp.asarray(x, copy=True))
    assert y.dtype == xp.float32
    assert xp.place.holds(y)
    np.testing.assert_allclose(to_numpy(y), [expected(v) for v in x.astype(np.float64)], rtol=5e-7)


def test_nan_and_nothing(xp):
    assert math.isnan(float(mills_ratio(xp.asarray([math.nan], dtype=xp.float32))[0]))
    assert mills_ratio(xp.zeros((0, 2), dtype=xp.float32)).shape == (0, 2)
