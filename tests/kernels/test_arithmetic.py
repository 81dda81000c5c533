"""Arithmetic kernels against closed forms."""

import numpy as np
import pytest

from portable_nn import to_numpy
from portable_nn.kernels import PORTABLE


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 1), (3, 4), (1, 1, 1), (2, 1, 4), (2, 3, 4)])
def test_unbroadcast_counts_how_often_each_element_was_used(shape, xp):
    dy = xp.ones((2, 3, 4), dtype=xp.float32)
    found = to_numpy(PORTABLE.unbroadcast(dy, shape))
    np.testing.assert_array_equal(found, np.full(shape, 24 // np.prod(shape, dtype=int)))
    assert found.shape == shape


def test_unbroadcast_of_an_empty_array_is_zero(xp):
    found = PORTABLE.unbroadcast(xp.ones((0, 3), dtype=xp.float32), (1, 3))
    np.testing.assert_array_equal(to_numpy(found), [[0, 0, 0]])


def test_the_quotient_of_large_numbers_has_a_finite_gradient(xp):
    big = xp.asarray([1e30], dtype=xp.float32)  # its square is infinite in float32
    gradient = PORTABLE.divide_gradient_b(xp.ones((1,), dtype=xp.float32), big, big)
    np.testing.assert_allclose(to_numpy(gradient), [-1e-30], rtol=1e-6)


@pytest.mark.parametrize("exponent", [-2, -0.5, 0, 0.5, 1, 2, 3.5])
def test_powers(exponent, xp64):
    x = np.linspace(0.5, 3.0, 6)
    there = xp64.asarray(x, dtype=xp64.float64)
    expected = np.exp(exponent * np.log(x))
    np.testing.assert_allclose(to_numpy(PORTABLE.power(there, exponent)), expected, rtol=1e-14)
    found = PORTABLE.power_gradient(3.0 * there, there, exponent)
    np.testing.assert_allclose(to_numpy(found), 3.0 * exponent * expected, rtol=1e-14)
