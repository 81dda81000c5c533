"""Relative errors where values are extreme: a small number that is wrong is wrong, however small."""

import math

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import backend_name, to_numpy
from portable_nn.kernels import PORTABLE, kernels_for

X = np.concatenate([np.linspace(-80, 80, 641), [-1e-4, 1e-4, 0.0]]).astype("float32")


def _log1p_exp(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _sigmoid(x):
    return math.exp(min(x, 0.0)) / (1.0 + math.exp(-abs(x)))


def _twice_u(x):
    return 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def _phi(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _normal(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _gelu_tanh_slope(x):
    growth = x * 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return _sigmoid(_twice_u(x)) * (1 + _sigmoid(-_twice_u(x)) * growth)


def _mish_slope(x):
    w = math.tanh(_log1p_exp(x))
    return w + x * _sigmoid(x) / math.cosh(_log1p_exp(x)) ** 2


SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
ACTIVATIONS = {
    "sigmoid": _sigmoid,
    "tanh": math.tanh,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": _log1p_exp,
    "relu": lambda x: max(x, 0.0),
    "selu": lambda x: SELU[0] * (x if x > 0 else SELU[1] * math.expm1(x)),
    "mish": lambda x: x * math.tanh(_log1p_exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "gelu": lambda x: x * _normal(x),
    "gelu_tanh": lambda x: x * _sigmoid(_twice_u(x)),
    "hard_sigmoid": lambda x: min(max(x + 3, 0), 6) / 6,
    "hard_swish": lambda x: x * min(max(x + 3, 0), 6) / 6,
}
SLOPES = {
    "selu": lambda x: SELU[0] * (1 if x > 0 else SELU[1] * math.exp(x)),
    "mish": _mish_slope,
    "softsign": lambda x: 1 / (1 + abs(x)) ** 2,
    "gelu": lambda x: _normal(x) + x * _phi(x),
    "gelu_tanh": _gelu_tanh_slope,
}
# Of exp(-v) a rounding of v takes v times as many digits: v reaches 87 where it is a polynomial, or a square, of x.
RTOL = {"gelu": 3e-5, "gelu_tanh": 3e-5}
# Torch's own operator, whose digits are those of Phi + 1.
ABSOLUTE = {("torch", "gelu")}


def both(xp):
    return {"fast": kernels_for(xp.place.xp), "portable": PORTABLE}.items()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(xp, name):
    expected = np.asarray([ACTIVATIONS[name](float(x)) for x in X])
    for which, kernels in both(xp):
        y = to_numpy(getattr(kernels, name)(xp.asarray(X, device=xp.place.device))).astype("float64")
        np.testing.assert_allclose(y, expected, rtol=RTOL.get(name, 1e-6), atol=1e-37, err_msg=which)


@pytest.mark.parametrize("name", SLOPES)
def test_derivatives(xp, name):
    expected = np.asarray([SLOPES[name](float(x)) for x in X])
    x, ones = (xp.asarray(a, device=xp.place.device) for a in (X, np.ones_like(X)))
    for which, kernels in both(xp):
        dx = to_numpy(getattr(kernels, f"{name}_gradient")(ones, x)).astype("float64")
        if which == "fast" and (backend_name(xp.place.xp), name) in ABSOLUTE:
            np.testing.assert_allclose(dx, expected, rtol=1e-6, atol=2e-7)
            continue
        far = (np.abs(expected) > 0.1) | (X < -3)  # between, some slopes change their sign, in a difference
        np.testing.assert_allclose(dx[far], expected[far], rtol=RTOL.get(name, 1e-5), atol=1e-37, err_msg=which)
        np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-6, err_msg=which)


# mpmath: x Phi(x) and Phi(x) + x phi(x) in 40 digits.
GELU = {
    -37.5: (-1.72700737859323307e-306, -6.47627114305581262e-305),
    -20.0: (-5.50724823721246739e-88, -1.1014360483133464e-86),
    -6.0: (-5.91952587022618884e-9, -3.54687094539020148e-8),
    -2.0: (-0.0455002638963584144, -0.0852318010781968967),
    -0.75: (-0.169970514282651149, 0.000774278260764895628),
    -1e-09: (-4.99999999601057751e-10, 0.499999999202115439),
    0.75: (0.580029485717348851, 0.999225721739235104),
    6.0: (5.99999999408047413, 1.00000003546870945),
}


def test_gelu_in_float64(xp64):
    x, ones = (xp64.asarray(a, dtype=xp64.float64, device=xp64.place.device) for a in ([*GELU], [1.0] * len(GELU)))
    values, slopes = zip(*GELU.values(), strict=True)
    for which, kernels in both(xp64):
        np.testing.assert_allclose(to_numpy(kernels.gelu(x)), values, rtol=3e-13, err_msg=which)
        if which == "portable" or (backend_name(xp64.place.xp), "gelu") not in ABSOLUTE:
            np.testing.assert_allclose(to_numpy(kernels.gelu_gradient(ones, x)), slopes, rtol=3e-13, err_msg=which)


def test_gelu_of_the_largest_numbers_and_nan(xp):
    x = xp.asarray(np.asarray([-3e38, 3e38, math.nan], dtype="float32"), device=xp.place.device)
    for which, kernels in both(xp):
        with np.errstate(all="raise", under="ignore"):
            np.testing.assert_array_equal(
                to_numpy(kernels.gelu(x)), np.asarray([0.0, 3e38, math.nan], dtype="float32"), err_msg=which
            )
            dx = kernels.gelu_gradient(xp.ones_like(x), x)
        np.testing.assert_array_equal(to_numpy(dx), [0.0, 1.0, math.nan], err_msg=which)


# What is let through of 1, and its derivative by the gate.
GATES = {
    "glu": (_sigmoid, lambda b: _sigmoid(b) * _sigmoid(-b)),
    "swiglu": (lambda b: b * _sigmoid(b), lambda b: _sigmoid(b) * (1 + b * _sigmoid(-b))),
}


@pytest.mark.parametrize("name", GATES)
def test_gates(xp, name):
    pairs = xp.asarray(np.stack([np.full_like(X, 3.0), X], axis=1), device=xp.place.device)
    ones = xp.ones((len(X), 1), dtype=xp.float32, device=xp.place.device)
    values, slopes = (np.asarray([f(float(b)) for b in X]) for f in GATES[name])
    far = np.abs(slopes) > 0.05 if name == "swiglu" else X < 81  # silu's slope changes its sign
    far |= X < -3
    for which, kernels in both(xp):
        y = to_numpy(getattr(kernels, name)(pairs, 1))
        dx = to_numpy(getattr(kernels, f"{name}_gradient")(ones, pairs, 1))
        np.testing.assert_allclose(y[:, 0], 3.0 * values, rtol=1e-6, atol=1e-37, err_msg=which)
        np.testing.assert_allclose(dx[:, 0], values, rtol=1e-6, atol=1e-37, err_msg=which)
        np.testing.assert_allclose(dx[far, 1], 3.0 * slopes[far], rtol=1e-5, atol=1e-37, err_msg=which)


def test_the_logarithms_of_vanishing_probabilities(xp):
    x = xp.asarray(np.asarray([[0.0, -80.0, -1e4], [200.0, 0.0, -200.0]], dtype="float32"), device=xp.place.device)
    for _, kernels in both(xp):
        y = to_numpy(kernels.log_softmax(x, 1))
        np.testing.assert_allclose(y, [[-math.exp(-80.0), -80.0, -1e4], [0.0, -200.0, -400.0]], rtol=1e-6, atol=1e-30)


def test_sigmoid_takes_infinities_and_nan(xp):
    x = xp.asarray(np.asarray([-math.inf, math.inf, math.nan, -200.0, 200.0], dtype="float32"), device=xp.place.device)
    for _, kernels in both(xp):
        np.testing.assert_array_equal(to_numpy(kernels.sigmoid(x)), [0.0, 1.0, math.nan, 0.0, 1.0])


@pytest.mark.parametrize("y", [-80.0, -20.0, -10.0, -1.0, 0.0, 1.0, 10.0, 20.0, 80.0])
@pytest.mark.parametrize("t", [0.0, 1.0, 0.25])
def test_sigmoid_loss(xp, y, t):
    expected = (1.0 - t) * _log1p_exp(y) + t * _log1p_exp(-y)
    y_t = (xp.asarray(np.asarray([[v]], dtype="float32"), device=xp.place.device) for v in (y, t))
    y, t = y_t
    for _, kernels in both(xp):
        assert float(kernels.sigmoid_loss(y, t, 1.0)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("y", "t", "expected"), [(math.inf, 0.0, math.inf), (math.inf, 1.0, 0.0), (-math.inf, 0.0, 0.0)]
)
def test_sigmoid_loss_of_infinite_outputs(xp, y, t, expected):
    y, t = (xp.asarray(np.asarray([[v]], dtype="float32"), device=xp.place.device) for v in (y, t))
    for _, kernels in both(xp):
        with np.errstate(invalid="ignore"):
            assert float(kernels.sigmoid_loss(y, t, 1.0)) == expected


def _one(xp, *numbers):
    return [xp.asarray(np.asarray([[v]], dtype="float32"), device=xp.place.device) for v in numbers]


def _value(array):
    return to_numpy(array).item()


@pytest.mark.parametrize("y", [-80.0, -20.0, -1.0, 0.0, 1.0, 20.0, 80.0])
@pytest.mark.parametrize("t", [0.0, 1.0, 0.25])
def test_losses_of_answers_keep_their_digits(xp, y, t):
    w, gamma, a, b = 3.0, 1.5, 0.25, 0.75
    small = 1e-7 if t == 0.25 else 1e-37  # between yes and no, the slope has two signs
    p, q, of_yes, of_no = _sigmoid(y), _sigmoid(-y), _log1p_exp(-y), _log1p_exp(y)
    due = {
        "sigmoid_loss": (w * t * of_yes + (1 - t) * of_no, (1 - t) * p - w * t * q),
        "sigmoid_focal_loss": (
            a * t * q**gamma * of_yes + b * (1 - t) * p**gamma * of_no,
            b * (1 - t) * p**gamma * (p + gamma * q * of_no) - a * t * q**gamma * (q + gamma * p * of_yes),
        ),
    }
    y, t, w = _one(xp, y, t, w)
    for name, more in {"sigmoid_loss": (w[0, :],), "sigmoid_focal_loss": (gamma, a, b)}.items():
        for which, kernels in both(xp):
            loss = _value(getattr(kernels, name)(y, t, 1.0, *more))
            slope = _value(getattr(kernels, name + "_gradient")(1.0, y, t, 1.0, *more))
            for found, expected in zip((loss, slope), due[name], strict=True):
                assert found == pytest.approx(expected, rel=2e-6, abs=small), (name, which)


@pytest.mark.parametrize("name", ["sigmoid_loss", "sigmoid_focal_loss"])
@pytest.mark.parametrize(("y", "t", "expected"), [(1, 0, math.inf), (1, 1, 0), (-1, 0, 0), (-1, 1, math.inf)])
def test_losses_of_infinite_answers(xp, name, y, t, expected):
    y, t = _one(xp, y * math.inf, t)
    more = _one(xp, 1.0) if name == "sigmoid_loss" else (2.0, 0.25, 0.75)
    for _, kernels in both(xp):
        with np.errstate(invalid="ignore"):
            assert _value(getattr(kernels, name)(y, t, 1.0, *more)) == expected
            assert math.isfinite(_value(getattr(kernels, name + "_gradient")(1.0, y, t, 1.0, *more)))


@pytest.mark.parametrize("d", [0.0, 1e-18, 1e-6, 1e-3, 0.3, 0.999, 1.0, 1.5, 20.0, 500.0, 1e30])
def test_log_cosh_keeps_its_digits(xp, d):
    expected = math.log1p(2 * math.sinh(d / 2) ** 2) if d < 20 else d - math.log(2)
    for y in (d, -d):
        arrays = _one(xp, y, 0.0)
        for _, kernels in both(xp):
            assert _value(kernels.log_cosh_error(*arrays, 1.0)) == pytest.approx(expected, rel=1e-6, abs=1e-37)


@pytest.mark.parametrize("margin", [-200.0, -40.0, -5.0, 0.0, 5.0, 40.0, 80.0])
def test_the_focal_loss_of_classes_keeps_its_digits(xp, margin):
    """Of two classes it is that of one answer, whose y is the margin."""
    gamma, q = 1.5, _sigmoid(-margin)
    expected = q**gamma * _log1p_exp(-margin)
    slope = -(q**gamma) * (q + gamma * _sigmoid(margin) * _log1p_exp(-margin))
    y = xp.asarray(np.asarray([[margin, 0.0]], dtype="float32"), device=xp.place.device)
    t = xp.asarray(np.asarray([0]), device=xp.place.device)
    for _, kernels in both(xp):
        loss, saved = kernels.softmax_focal_loss(y, t, 1.0, None, 0.0, gamma)
        assert float(loss) == pytest.approx(expected, rel=2e-6, abs=1e-37)
        dy = to_numpy(kernels.softmax_focal_loss_gradient(1.0, saved))
        np.testing.assert_allclose(dy, [[slope, -slope]], rtol=2e-6, atol=1e-37)


@pytest.mark.parametrize("size", [1e-30, 1e-10, 1.0, 1e30])
def test_cosines_of_vectors_of_any_length(xp, size):
    y = np.asarray([[3.0, 4.0], [1.0, 1e-4], [0.0, 0.0], [-2.0, 0.0]])
    t = np.asarray([[4.0, 3.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    arrays = [xp.asarray((a * size).astype("float32"), device=xp.place.device) for a in (y, t)]
    for _, kernels in both(xp):
        found = to_numpy(kernels.each_cosine_loss(*arrays, 1.0))
        np.testing.assert_allclose(found, [0.04, 5e-9, 1.0, 2.0], rtol=1e-5)
        dy = to_numpy(kernels.cosine_loss_gradient(1.0, *arrays, 1.0)).astype("float64") * size
        due = [(0.96 * 0.6 - 0.8) / 5, (0.96 * 0.8 - 0.6) / 5]
        np.testing.assert_allclose(dy[[0, 2]], [due, [0, 0]], rtol=1e-5)


def test_certain_means_that_are_right_cost_nothing_extra(xp):
    y, t = _one(xp, 3.0, 3.0)
    y = xp.concat([y, xp.asarray(np.asarray([[-400.0]], "float32"), device=xp.place.device)], axis=-1)
    for _, kernels in both(xp):
        assert _value(kernels.gaussian_loss(y, t, 1.0)) == -200.0
        np.testing.assert_array_equal(to_numpy(kernels.gaussian_loss_gradient(1.0, y, t, 1.0)), [[0.0, 0.5]])


ELEMENTWISE_LOSSES = {
    "hinge_loss": (), "squared_hinge_loss": (), "log_cosh_error": (), "sigmoid_focal_loss": (2.0, 0.25, 0.75),
    "quantile_error": ("quantiles",), "sigmoid_loss": ("quantiles",),
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTWISE_LOSSES)
def test_nan_stays_nan_in_losses(xp, name):
    nan, t = _one(xp, math.nan, 1.0)
    quantiles = xp.asarray(np.asarray([0.5], "float32"), device=xp.place.device)
    more = [quantiles if number == "quantiles" else number for number in ELEMENTWISE_LOSSES[name]]
    for _, kernels in both(xp):
        assert math.isnan(_value(getattr(kernels, name)(nan, t, 1.0, *more)))
        assert math.isnan(_value(getattr(kernels, name + "_gradient")(1.0, nan, t, 1.0, *more)))


@pytest.mark.parametrize("size", [1e-25, 1.0, 1e20])
@pytest.mark.skip_xp_backends("numpy-readonly", reason="these kernels write")
def test_clipping_by_the_norm(xp, size):
    # 3, 4 and 12 times size: the norm is 13 times size.
    for which, kernels in {"fast": kernels_for(xp.place.xp).in_place(), "portable": PORTABLE}.items():
        grads = [np.asarray([3 * size, 4 * size], dtype="float32"), np.asarray([[12 * size]], dtype="float32")]
        place = xp.place
        clipped = kernels.clip_by_global_norm([place.xp.asarray(g.copy(), device=place.device) for g in grads], 0.5)
        factor = min(1.0, 0.5 / (13 * size))
        for g, result in zip(grads, clipped, strict=True):
            np.testing.assert_allclose(to_numpy(result), g.astype("float64") * factor, rtol=1e-5, err_msg=which)
    zeros = PORTABLE.clip_by_global_norm([xp.zeros(3, dtype=xp.float32, device=xp.place.device)], 1.0)
    np.testing.assert_array_equal(to_numpy(zeros[0]), np.zeros(3))


def test_a_finite_gradient_of_any_size_is_clipped_in_training(xp):
    place = xp.place
    W = {"W": xp.zeros(2, dtype=xp.float32, device=place.device)}
    g = {"W": xp.asarray(np.asarray([3e20, -4e20], dtype="float32"), device=place.device)}
    pnn.SGD(1.0, clip_norm=1.0).update(W, g)
    np.testing.assert_allclose(to_numpy(W["W"]), [-0.6, 0.8], rtol=1e-6)


def test_nan_is_never_right(xp):
    nan = xp.asarray(np.full((3, 2), math.nan, dtype="float32"), device=xp.place.device)
    labels = xp.asarray(np.zeros(3, dtype="int64"), device=xp.place.device)
    zeros = xp.zeros((3, 2), dtype=xp.float32, device=xp.place.device)
    for _, kernels in both(xp):
        assert int(kernels.count_correct(nan, labels)) == 0
        assert int(kernels.count_correct_signs(nan, zeros)) == 0


LAYOUTS = {
    "MatMul": lambda: (pnn.MatMul(300, 200),),
    "Affine, MatMul": lambda: (pnn.Affine(300, 200), pnn.MatMul(200, 100)),
    "MatMul, Flatten": lambda: (pnn.MatMul(300, 200), pnn.Flatten()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gradient_of_a_loss_may_go_straight_into_a_product(layout):
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((64, 300)).astype("float32"), rng.integers(0, 100, 64)
    losses = [
        pnn.Trainer(
            pnn.Sequential(*LAYOUTS[layout](), loss=pnn.SoftmaxWithLoss(), seed=0), pnn.SGD(0.1), compile=compile
        ).fit(x, t, epochs=2, progress=False)["loss"]
        for compile in (True, False)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_batch_without_any_weight_changes_nothing(xp):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((20, 3)).astype("float32"), rng.integers(0, 2, 20)
    net = pnn.Sequential(pnn.Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp.place.xp, device=xp.place.device)
    before = {name: to_numpy(array).copy() for name, array in net.parameters.items()}
    pnn.Trainer(net, pnn.SGD(0.1)).fit(x, t, sample_weight=np.zeros(20), epochs=1, batch_size=10, progress=False)
    for name, array in before.items():
        np.testing.assert_array_equal(to_numpy(net.parameters[name]), array)
