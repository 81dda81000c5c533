"""Portable activations against their definitions, written with Python's `math` in float64."""

import math

import numpy as np
import pytest

from portable_nn import to_numpy
from portable_nn.kernels import PORTABLE

SLOPE, ALPHA = 0.1, 1.5
GRID = np.linspace(-6.0, 6.0, 241)


SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717  # of the authors' own code


def gate(x):
    return 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gate_derivative(x):
    scale = math.sqrt(2 / math.pi)
    return 0.5 * scale * (1 + 3 * 0.044715 * x * x) / math.cosh(scale * (x + 0.044715 * x**3)) ** 2


def mish_derivative(x):
    # Misra's equation for it
    omega = 4 * (x + 1) + 4 * math.exp(2 * x) + math.exp(3 * x) + math.exp(x) * (4 * x + 6)
    return math.exp(x) * omega / (2 * math.exp(x) + math.exp(2 * x) + 2) ** 2


def normal_distribution(x):
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def normal_density(x):
    return math.exp(-x * x / 2.0) / math.sqrt(2.0 * math.pi)


# name: (options, function, derivative, whether the gradient kernel takes y rather than x)
ACTIVATIONS = {
    "relu": ((), lambda x: max(x, 0.0), lambda x: float(x > 0), True),
    "leaky_relu": ((SLOPE,), lambda x: x if x > 0 else SLOPE * x, lambda x: 1.0 if x > 0 else SLOPE, False),
    "sigmoid": ((), lambda x: 1 / (1 + math.exp(-x)), lambda x: 0.25 / math.cosh(x / 2) ** 2, True),
    "tanh": ((), math.tanh, lambda x: 1 / math.cosh(x) ** 2, True),
    "softplus": ((), lambda x: math.log(1 + math.exp(x)), lambda x: 1 / (1 + math.exp(-x)), False),
    "elu": (
        (ALPHA,),
        lambda x: x if x > 0 else ALPHA * (math.exp(x) - 1),
        lambda x: 1.0 if x > 0 else ALPHA * math.exp(x),
        False,
    ),
    "silu": (
        (),
        lambda x: x / (1 + math.exp(-x)),
        lambda x: (1 + math.exp(-x) + x * math.exp(-x)) / (1 + math.exp(-x)) ** 2,
        False,
    ),
    "gelu": (
        (),
        lambda x: x * normal_distribution(x),
        lambda x: normal_distribution(x) + x * normal_density(x),
        False,
    ),
    "gelu_tanh": ((), lambda x: x * gate(x), lambda x: gate(x) + x * gate_derivative(x), False),
    "selu": (
        (),
        lambda x: SELU[0] * (x if x > 0 else SELU[1] * (math.exp(x) - 1)),
        lambda x: SELU[0] * (1.0 if x > 0 else SELU[1] * math.exp(x)),
        False,
    ),
    "celu": (
        (ALPHA,),
        lambda x: max(0.0, x) + min(0.0, ALPHA * (math.exp(x / ALPHA) - 1)),
        lambda x: 1.0 if x > 0 else math.exp(x / ALPHA),
        False,
    ),
    "mish": ((), lambda x: x * math.tanh(math.log(1 + math.exp(x))), mish_derivative, False),
    "softsign": ((), lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2, False),
    "hard_tanh": (
        (-0.51, 1.52),
        lambda x: min(max(x, -0.51), 1.52),
        lambda x: float(-0.51 < x < 1.52),
        True,
    ),
    "hard_sigmoid": ((), lambda x: min(max(x + 3, 0), 6) / 6, lambda x: (-3 < x < 3) / 6, True),
    "hard_swish": (
        (),
        lambda x: x * min(max(x + 3, 0), 6) / 6,
        lambda x: x / 3 + 0.5 if -3 < x < 3 else float(x >= 3),
        False,
    ),
}


def forward(name, x):
    return getattr(PORTABLE, name)(x, *ACTIVATIONS[name][0])


def gradient(name, dy, x):
    options, _, _, takes_y = ACTIVATIONS[name]
    return getattr(PORTABLE, f"{name}_gradient")(dy, forward(name, x) if takes_y else x, *options)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float64_follows_the_definition(xp64, name):
    _, function, derivative, _ = ACTIVATIONS[name]
    x, dy = (xp64.asarray(a, copy=True) for a in (GRID, np.cos(GRID)))
    y, dx = forward(name, x), gradient(name, dy, x)
    np.testing.assert_allclose(to_numpy(y), [function(v) for v in GRID], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(to_numpy(dx), np.cos(GRID) * [derivative(v) for v in GRID], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32_follows_it_and_keeps_dtype_device_and_input(xp, name):
    _, function, derivative, _ = ACTIVATIONS[name]
    values = GRID.astype(np.float32).reshape(-1, 1)
    x, dy = xp.asarray(values, copy=True), xp.full(values.shape, 2.0, dtype=xp.float32)
    y, dx = forward(name, x), gradient(name, dy, x)
    for result in (y, dx):
        assert result.dtype == xp.float32
        assert xp.place.holds(result)
    exact = values[:, 0].astype(np.float64)
    np.testing.assert_allclose(to_numpy(y)[:, 0], [function(v) for v in exact], rtol=2e-6, atol=2e-7)
    np.testing.assert_allclose(to_numpy(dx)[:, 0], [2.0 * derivative(v) for v in exact], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(to_numpy(x), values)
    np.testing.assert_array_equal(to_numpy(dy), 2.0)


# At -10000 and 10000, where exp overflows float32 by far: the limits of y and dy/dx, to the last bit.
LIMITS = {
    "relu": ((0.0, 1e4), (0.0, 1.0)),
    "leaky_relu": ((-1e3, 1e4), (np.float32(SLOPE), 1.0)),
    "sigmoid": ((0.0, 1.0), (0.0, 0.0)),
    "tanh": ((-1.0, 1.0), (0.0, 0.0)),
    "softplus": ((0.0, 1e4), (0.0, 1.0)),
    "elu": ((-ALPHA, 1e4), (0.0, 1.0)),
    "silu": ((0.0, 1e4), (0.0, 1.0)),
    "gelu": ((0.0, 1e4), (0.0, 1.0)),
    "gelu_tanh": ((0.0, 1e4), (0.0, 1.0)),
    "selu": ((-np.float32(SELU[0] * SELU[1]), np.float32(SELU[0] * 1e4)), (0.0, np.float32(SELU[0]))),
    "celu": ((-ALPHA, 1e4), (0.0, 1.0)),
    "mish": ((0.0, 1e4), (0.0, 1.0)),
    "softsign": ((-np.float32(1e4 / 10001), np.float32(1e4 / 10001)), (np.float32(1 / 10001**2),) * 2),
    "hard_tanh": ((np.float32(-0.51), np.float32(1.52)), (0.0, 0.0)),
    "hard_sigmoid": ((0.0, 1.0), (0.0, 0.0)),
    "hard_swish": ((0.0, 1e4), (0.0, 1.0)),
}
EXACT = LIMITS.keys() - {"softsign"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nothing_overflows_at_ten_thousand(xp, name):
    x = xp.asarray([-1e4, 1e4], dtype=xp.float32)
    expected_y, expected_dx = LIMITS[name]
    rtol = 0 if name in EXACT else 1e-6
    np.testing.assert_allclose(to_numpy(forward(name, x)), expected_y, rtol=rtol)
    np.testing.assert_allclose(to_numpy(gradient(name, xp.ones(2, dtype=xp.float32), x)), expected_dx, rtol=rtol)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nothing_overflows_at_the_largest_numbers(xp, name):
    largest = np.finfo(np.float32).max / 2
    x = xp.asarray(np.asarray([-largest, largest], dtype=np.float32), copy=True)
    with np.errstate(all="raise", under="ignore"):
        y, dx = to_numpy(forward(name, x)), to_numpy(gradient(name, xp.ones(2, dtype=xp.float32), x))
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan(xp, name):
    y = to_numpy(forward(name, xp.asarray([math.nan, 1.0], dtype=xp.float32)))
    assert np.isnan(y).tolist() == [True, False]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_empty_input(xp, name):
    x = xp.zeros((0, 3), dtype=xp.float32)
    assert forward(name, x).shape == gradient(name, x, x).shape == (0, 3)


def test_sigmoid_of_the_notes(xp):
    y = PORTABLE.sigmoid(xp.asarray([[1, 2], [3, 4]], dtype=xp.float32))
    np.testing.assert_allclose(to_numpy(y), [[0.73105858, 0.88079708], [0.95257413, 0.98201379]], rtol=1e-6)
    dx = PORTABLE.sigmoid_gradient(xp.ones((2, 2), dtype=xp.float32), y)
    np.testing.assert_allclose(to_numpy(dx), [[0.19661193, 0.10499359], [0.04517666, 0.01766271]], rtol=1e-5)


def test_relu_gradient_is_zero_at_zero_and_blocks_infinities(xp):
    y = PORTABLE.relu(xp.asarray([-0.0, 0.0, -1.0, 2.0, 2.0], dtype=xp.float32))
    dy = xp.asarray([1.0, 1.0, math.inf, -math.inf, math.nan], dtype=xp.float32)
    np.testing.assert_array_equal(to_numpy(PORTABLE.relu_gradient(dy, y)), [0.0, 0.0, 0.0, -math.inf, math.nan])


def test_sigmoid_and_tanh_of_infinities_and_nan(xp):
    x = xp.asarray([-math.inf, math.inf, math.nan], dtype=xp.float32)
    np.testing.assert_array_equal(to_numpy(PORTABLE.sigmoid(x)), [0.0, 1.0, math.nan])
    np.testing.assert_array_equal(to_numpy(PORTABLE.tanh(x)), [-1.0, 1.0, math.nan])
    np.testing.assert_array_equal(to_numpy(PORTABLE.softplus(x)), [0.0, math.inf, math.nan])


def test_small_probabilities_keep_their_digits(xp64):
    x = xp64.asarray([-700.0, -40.0, -1e-9], dtype=xp64.float64)
    np.testing.assert_allclose(to_numpy(PORTABLE.sigmoid(x))[:2], np.exp([-700.0, -40.0]), rtol=1e-15)
    np.testing.assert_allclose(to_numpy(PORTABLE.softplus(x))[:2], np.exp([-700.0, -40.0]), rtol=1e-15)
    np.testing.assert_allclose(to_numpy(PORTABLE.elu(x, 1.0))[2], -1e-9, rtol=1e-8)
