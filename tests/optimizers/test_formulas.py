"""Optimizers that torch does not have, or has in other words, against the papers' formulas over 100 steps."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import to_numpy

STEPS = 100
RNG = np.random.default_rng(0)
START = {"W": RNG.normal(size=(4, 3)), "V": RNG.normal(size=(3, 5)), "b": RNG.normal(size=3), "scale": np.array(2.0)}
SLOPE = {name: RNG.uniform(0.1, 3.0, p.shape) for name, p in START.items()}
NOISE = [{name: RNG.normal(size=p.shape) for name, p in START.items()} for _ in range(STEPS)]


def gradient(name, p, step):
    return SLOPE[name] * (p - 1.0) + NOISE[step][name]


def trajectory(xp, optimizer):
    params, states = {name: xp.asarray(p, copy=True) for name, p in START.items()}, []
    for step in range(STEPS):
        optimizer.update(params, {name: xp.asarray(gradient(name, to_numpy(p), step)) for name, p in params.items()})
        states.append({name: to_numpy(p).copy() for name, p in params.items()})
    return states


def lion(name, p, wd, lr=0.02, beta1=0.8, beta2=0.95):
    m = np.zeros_like(p)
    for step in range(STEPS):
        g = gradient(name, p, step)
        c = beta1 * m + (1 - beta1) * g
        p = p - lr * (np.sign(c) + wd * p)
        m = beta2 * m + (1 - beta2) * g
        yield p


def lars(name, p, wd, lr=0.5, momentum=0.8, trust=0.05):
    v = np.zeros_like(p)
    for step in range(STEPS):
        g = gradient(name, p, step)
        local = trust * np.linalg.norm(p) / (np.linalg.norm(g) + wd * np.linalg.norm(p))
        v = momentum * v + lr * local * (g + wd * p)
        p = p - v
        yield p


def lamb(name, p, wd, lr=0.02, beta1=0.8, beta2=0.95, epsilon=1e-3):
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t in range(1, STEPS + 1):
        g = gradient(name, p, t - 1)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        r = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        p = p - lr * np.linalg.norm(p) / np.linalg.norm(r + wd * p) * (r + wd * p)
        yield p


def orthogonal(G):
    """Do Jordan's `zeropower_via_newtonschulz5`, in float64."""
    a, b, c = 3.4445, -4.7750, 2.0315
    X = G / max(np.sqrt((G * G).sum()), 1e-7)
    if G.shape[0] > G.shape[1]:
        X = X.T
    for _ in range(5):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X.T if G.shape[0] > G.shape[1] else X


def muon(name, p, wd, lr=0.02, momentum=0.9, beta1=0.8, beta2=0.95, epsilon=1e-3):
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t in range(1, STEPS + 1):
        g = gradient(name, p, t - 1)
        p = p - lr * wd * p
        if p.ndim > 1:
            m = momentum * m + (1 - momentum) * g
            p = p - lr * 0.2 * np.sqrt(max(p.shape)) * orthogonal((1 - momentum) * g + momentum * m)
        else:
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
            p = p - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        yield p


def schedule_free(name, y, wd, beta1=0.7, beta2=0.95, epsilon=1e-3):
    """Yield y; x and z are kept by themselves, as in the paper."""
    x, z, v, total = y, y, np.zeros_like(y), 0.0
    for t in range(1, STEPS + 1):
        g, rate = gradient(name, y, t - 1), 0.05 * min(t / 20, 1)
        v = beta2 * v + (1 - beta2) * g**2
        z = z - rate * (g / (np.sqrt(v / (1 - beta2**t)) + epsilon) + wd * y)
        total += rate**2
        c = rate**2 / total
        x = (1 - c) * x + c * z
        y = (1 - beta1) * z + beta1 * x
        yield y
    AVERAGES[name] = x


AVERAGES = {}
FORMULAS = {
    "Lion": (lion, {"lr": 0.02, "beta1": 0.8, "beta2": 0.95}),
    "LARS": (lars, {"lr": 0.5, "momentum": 0.8, "trust": 0.05}),
    "LAMB": (lamb, {"lr": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}),
    "Muon": (muon, {"lr": 0.02, "momentum": 0.9, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}),
    "ScheduleFreeAdamW": (
        schedule_free,
        {"lr": pnn.WarmUp(0.05, steps=20), "beta1": 0.7, "beta2": 0.95, "epsilon": 1e-3},
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_hundred_steps_without_decay_equal_the_paper_s(name):
    hold(np, name, 0.0)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_hundred_steps_equal_the_paper_s(xp64, name):
    hold(xp64, name, 0.3)


def hold(xp64, name, weight_decay):
    formula, options = FORMULAS[name]
    optimizer = getattr(pnn, name)(weight_decay=weight_decay, **options)
    states = trajectory(xp64, optimizer)
    for array, start in START.items():
        expected = list(formula(array, start, weight_decay))
        for step, p in enumerate(expected):
            np.testing.assert_allclose(states[step][array], p, rtol=0, atol=1e-9, err_msg=f"{array}, step {step}")
        assert np.max(np.abs(expected[-1] - start)) > 0.05  # it moved
        if name == "ScheduleFreeAdamW":
            params = {array: xp64.asarray(states[-1][array])}
            found = to_numpy(optimizer.evaluation_weights(params)[array])
            np.testing.assert_allclose(found, AVERAGES[array], rtol=0, atol=1e-9)


def test_muon_is_torch_s_but_for_its_bfloat16():
    torch = pytest.importorskip("torch")
    start = RNG.normal(size=(6, 4))
    p = torch.tensor(start)
    options = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1}
    theirs = torch.optim.Muon([p], adjust_lr_fn="match_rms_adamw", **options)
    ours, params = pnn.Muon(**options), [start]
    for step in range(20):
        g = RNG.normal(size=(6, 4))
        p.grad = torch.tensor(g)
        theirs.step()
        ours.update(params, [g])
        np.testing.assert_allclose(params[0], p.numpy(), atol=2e-3 * (step + 1))


def test_steps_of_muon_are_orthogonal_and_as_long_as_adam_s(xp):
    start = np.zeros((40, 8), "float32")
    for shape in ((40, 8), (8, 40), (40, 2, 4)):
        params = [xp.asarray(start.reshape(shape))]
        pnn.Muon(1.0).update(params, [xp.asarray(RNG.normal(size=shape).astype("float32"))])
        step = to_numpy(params[0]).reshape(shape[0], -1) / (0.2 * np.sqrt(40))
        values = np.linalg.svd(step, compute_uv=False)
        assert 0.6 < values.min() < values.max() < 1.3
        assert 0.1 < np.sqrt(np.mean(to_numpy(params[0]) ** 2)) < 0.4


@pytest.mark.parametrize("name", ["LARS", "LAMB"])
@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_norms_neither_overflow_nor_vanish(xp, name, size):
    # the norm of p is 5 size; squares are beyond float32
    params = [xp.asarray([[3.0 * size, 4.0 * size]], dtype=xp.float32)]
    g = xp.asarray([[size * 1e-3 if name == "LARS" else 1.0, 0.0]], dtype=xp.float32)
    getattr(pnn, name)(0.01, **({"trust": 1.0, "momentum": 0.0} if name == "LARS" else {})).update(params, [g])
    np.testing.assert_allclose(to_numpy(params[0]) / size, [[3.0 - 0.05, 4.0]], rtol=1e-5)


@pytest.mark.parametrize("kind", [pnn.LARS, pnn.LAMB, pnn.Adafactor, pnn.Muon])
def test_empty_and_zero_arrays_are_updated(xp, kind):
    params = [xp.zeros((0, 3), dtype=xp.float32), xp.zeros((2, 3), dtype=xp.float32), xp.zeros((0,), dtype=xp.float32)]
    optimizer = kind(0.1)
    for _ in range(2):
        optimizer.update(params, [xp.zeros(p.shape, dtype=xp.float32) for p in params])
    assert [tuple(p.shape) for p in params] == [(0, 3), (2, 3), (0,)]
    assert not np.any(to_numpy(params[1]))
    optimizer.update(params, [xp.ones(p.shape, dtype=xp.float32) for p in params])
    assert np.all(to_numpy(params[1]) < 0)


@pytest.mark.parametrize("kind", [pnn.Lion, pnn.Rprop, pnn.LARS, pnn.LAMB, pnn.Adafactor, pnn.Muon, pnn.RAdam])
def test_nan_is_not_hidden(xp, kind):
    params = [xp.ones((2, 3), dtype=xp.float32)]
    kind(0.1).update(params, [xp.asarray([[1.0, float("nan"), 1.0], [1.0, 2.0, 3.0]], dtype=xp.float32)])
    assert np.isnan(to_numpy(params[0])[0, 1])


def test_signs_of_tiny_gradients_count():
    # their product underflows
    params, optimizer = [np.zeros(1, "float32")], pnn.Rprop(1.0)
    for expected in (-1.0, -2.2, -2.2):
        g = np.full(1, 1e-30 if expected != params[0][0] else -1e-30, "float32")
        optimizer.update(params, [g])
        np.testing.assert_allclose(params[0], expected, rtol=1e-6)


def test_amsgrad_is_decided_once():
    optimizer = pnn.Adam(amsgrad=True)
    optimizer.amsgrad = True
    with pytest.raises(AttributeError, match="decided once"):
        optimizer.amsgrad = False
    assert optimizer.slots == ("mean", "square_mean", "largest_square_mean")
    assert pnn.Adam().slots == ("mean", "square_mean")
