"""Relative errors where values are extreme: a small number that is wrong is wrong, however small."""

import math

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.kernels import PORTABLE, kernels_for

X = np.concatenate([np.linspace(-80, 80, 641), [-1e-4, 1e-4, 0.0]]).astype("float32")


def _log1p_exp(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _sigmoid(x):
    return math.exp(min(x, 0.0)) / (1.0 + math.exp(-abs(x)))


ACTIVATIONS = {
    "sigmoid": _sigmoid,
    "tanh": math.tanh,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": _log1p_exp,
    "relu": lambda x: max(x, 0.0),
}


def both(xp):
    return {"fast": kernels_for(xp.place.xp), "portable": PORTABLE}.items()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(xp, name):
    expected = np.asarray([ACTIVATIONS[name](float(x)) for x in X])
    for which, kernels in both(xp):
        y = to_numpy(getattr(kernels, name)(xp.asarray(X, device=xp.place.device))).astype("float64")
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-37, err_msg=which)


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
