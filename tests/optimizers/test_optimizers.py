"""Optimizers against torch's and scikit-learn's over 100 steps, on every backend, and at the door."""

import contextlib
import math
import pickle

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import to_numpy
from portable_nn.errors import DTypeError, NamespaceError, ShapeError

STEPS = 100
RNG = np.random.default_rng(0)
START = {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=3), "scale": np.array(2.0)}
SLOPE = {name: RNG.uniform(0.1, 3.0, p.shape) for name, p in START.items()}
NOISE = [{name: RNG.normal(size=p.shape) for name, p in START.items()} for _ in range(STEPS)]


def gradient(name, p, step):
    """Return the gradient of a quadratic with another curvature in each direction, and noise."""
    return SLOPE[name] * (p - 1.0) + NOISE[step][name]


def trajectory(xp, optimizer):
    """Return the parameters after each of 100 updates from START, as NumPy arrays by name."""
    params = {name: xp.asarray(p, copy=True) for name, p in START.items()}
    states = []
    for step in range(STEPS):
        grads = {name: xp.asarray(gradient(name, to_numpy(p), step)) for name, p in params.items()}
        optimizer.update(params, grads)
        states.append({name: to_numpy(p).copy() for name, p in params.items()})
    return states


def torch_trajectory(name, **numbers):
    torch = pytest.importorskip("torch")
    params = {name: torch.tensor(p) for name, p in START.items()}
    optimizer, states = getattr(torch.optim, name)(params.values(), **numbers), []
    torch.set_default_dtype(torch.float64)  # of what NAdam multiplies up
    try:
        for step in range(STEPS):
            for name, p in params.items():
                p.grad = torch.as_tensor(gradient(name, p.numpy(), step))
            optimizer.step()
            states.append({name: p.numpy().copy() for name, p in params.items()})
    finally:
        torch.set_default_dtype(torch.float32)
    return states


def sklearn_trajectory(name, rate=None, **numbers):
    optimizers = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")
    params = {name: p.copy() for name, p in START.items()}
    optimizer, states = getattr(optimizers, name)(list(params.values()), **numbers), []
    for step in range(STEPS):
        if rate is not None:
            optimizer.learning_rate = rate(step)
        optimizer.update_params(list(params.values()), [gradient(name, p, step) for name, p in params.items()])
        states.append({name: p.copy() for name, p in params.items()})
    return states


def assert_same(states, expected):
    assert len(states) == len(expected) == STEPS
    for step, (ours, theirs) in enumerate(zip(states, expected, strict=True)):
        for name in START:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-10, err_msg=f"{name}, step {step}")
    assert np.max(np.abs(states[-1]["W"] - START["W"])) > 0.05  # it moved


# our name: (our numbers, torch's name, torch's numbers)
ADAM, TORCH_ADAM = {"lr": 0.02, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-3}, {"betas": (0.8, 0.99), "eps": 1e-3}
PAIRS = {
    "SGD": ({"lr": 0.05}, "SGD", {"lr": 0.05}),
    "Momentum": ({"lr": 0.02, "momentum": 0.8}, "SGD", {"lr": 0.02, "momentum": 0.8}),
    "Nesterov": ({"lr": 0.02, "momentum": 0.8}, "SGD", {"lr": 0.02, "momentum": 0.8, "nesterov": True}),
    "AdaGrad": ({"lr": 0.1, "epsilon": 1e-3}, "Adagrad", {"lr": 0.1, "eps": 1e-3}),
    "RMSprop": ({"lr": 0.01, "decay": 0.95, "epsilon": 1e-3}, "RMSprop", {"lr": 0.01, "alpha": 0.95, "eps": 1e-3}),
    "Adam": (ADAM, "Adam", {"lr": 0.02, **TORCH_ADAM}),
    "AdamW": (ADAM, "AdamW", {"lr": 0.02, **TORCH_ADAM}),
    "Adadelta": ({"lr": 0.9, "rho": 0.8, "epsilon": 1e-3}, "Adadelta", {"lr": 0.9, "rho": 0.8, "eps": 1e-3}),
    "Adamax": (ADAM, "Adamax", {"lr": 0.02, **TORCH_ADAM}),
    "NAdam": (ADAM | {"momentum_decay": 0.02}, "NAdam", {"lr": 0.02, "momentum_decay": 0.02, **TORCH_ADAM}),
    "RAdam": (ADAM, "RAdam", {"lr": 0.02, **TORCH_ADAM}),
    "Adafactor": (
        {"lr": 0.03, "beta2_decay": -0.7, "epsilon1": 1e-4, "epsilon2": 0.01, "clip_threshold": 1.1},
        "Adafactor",
        {"lr": 0.03, "beta2_decay": -0.7, "eps": (1e-4, 0.01), "d": 1.1},
    ),
}
OTHERS = {  # whose formulas stand in test_formulas.py
    "Lion": {"lr": 0.02},
    "Rprop": {"lr": 0.02},
    "LARS": {"lr": 0.5, "trust": 0.1},
    "LAMB": {"lr": 0.02},
    "Muon": {"lr": 0.02},
    "ScheduleFreeAdamW": {"lr": 0.02},
}
OPTIMIZERS = [getattr(pnn, name) for name in (*PAIRS, *OTHERS)]


@pytest.mark.parametrize("name", PAIRS)
def test_a_hundred_steps_equal_torch(xp64, name):
    ours, torch_name, theirs = PAIRS[name]
    expected = torch_trajectory(torch_name, weight_decay=0.3, **theirs)
    assert_same(trajectory(xp64, getattr(pnn, name)(weight_decay=0.3, **ours)), expected)


@pytest.mark.parametrize("name", PAIRS)
def test_a_hundred_steps_without_decay_equal_torch(name):
    ours, torch_name, theirs = PAIRS[name]
    expected = torch_trajectory(torch_name, weight_decay=0.0, **theirs)
    assert_same(trajectory(np, getattr(pnn, name)(weight_decay=0.0, **ours)), expected)


def test_every_optimizer_is_held_to_something():
    kinds = [kind for kind in vars(pnn).values() if isinstance(kind, type) and issubclass(kind, pnn.Optimizer)]
    assert {*OPTIMIZERS} == {*kinds} - {pnn.Optimizer}


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_amsgrad_equals_torch(xp64, name):
    expected = torch_trajectory(name, weight_decay=0.3, amsgrad=True, lr=0.02, **TORCH_ADAM)
    assert_same(trajectory(xp64, getattr(pnn, name)(weight_decay=0.3, amsgrad=True, **ADAM)), expected)
    other = trajectory(xp64, getattr(pnn, name)(weight_decay=0.3, **ADAM))
    assert np.max(np.abs(other[-1]["W"] - expected[-1]["W"])) > 1e-3


@pytest.mark.parametrize("name", ["NAdam", "RAdam"])
def test_decoupled_weight_decay_equals_torch(name):
    options = {"weight_decay": 0.3, "decoupled_weight_decay": True}
    expected = torch_trajectory(name, **options, **PAIRS[name][2])
    assert_same(trajectory(np, getattr(pnn, name)(**options, **PAIRS[name][0])), expected)


def test_the_bounds_of_adafactor_are_torch_s():
    # large enough to be reached, by the mean over rows and by the root
    expected = torch_trajectory("Adafactor", lr=0.1, eps=(2.0, 0.5))
    assert_same(trajectory(np, pnn.Adafactor(0.1, epsilon1=2.0, epsilon2=0.5)), expected)


def test_rprop_equals_torch(xp64):
    # bounds of steps that are reached
    expected = torch_trajectory("Rprop", lr=0.02, etas=(0.4, 1.5), step_sizes=(0.02 * 0.5, 0.02 * 2.0))
    options = {"eta_minus": 0.4, "eta_plus": 1.5, "smallest": 0.5, "largest": 2.0}
    assert_same(trajectory(xp64, pnn.Rprop(0.02, **options)), expected)


@pytest.mark.parametrize(
    "name", ["AdaGrad", "RMSprop", "Adam", "AdamW", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop"]
)
def test_the_default_numbers_are_torch_s(name):
    lr = {"Rprop": 0.01, "Adadelta": 10.0}.get(name, 0.02)
    assert_same(trajectory(np, getattr(pnn, name)(lr)), torch_trajectory(PAIRS.get(name, ("", name))[1], lr=lr))


def test_adam_with_epsilon_hat_equals_scikit_learn(xp64):
    # epsilon is large here, so that the two forms differ by far
    expected = sklearn_trajectory("AdamOptimizer", learning_rate_init=0.02, beta_1=0.8, beta_2=0.99, epsilon=0.1)
    assert_same(trajectory(xp64, pnn.Adam(0.02, 0.8, 0.99, 0.1, epsilon_hat=True)), expected)
    other = trajectory(xp64, pnn.Adam(0.02, 0.8, 0.99, 0.1))
    assert np.max(np.abs(other[-1]["W"] - expected[-1]["W"])) > 1e-3


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_equals_scikit_learn_when_the_rate_changes(nesterov):
    # the rate stands inside the velocity; torch, which has it outside, goes another way
    expected = sklearn_trajectory(
        "SGDOptimizer", rate=lambda step: 0.05 * 0.5 ** (step // 10), momentum=0.8, nesterov=nesterov
    )
    kind = pnn.Nesterov if nesterov else pnn.Momentum
    assert_same(trajectory(np, kind(pnn.StepDecay(0.05, every=10, factor=0.5), 0.8)), expected)


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clip_norm_equals_torch(xp64, limit):
    torch = pytest.importorskip("torch")
    grads = NOISE[0]
    tensors = [torch.zeros(g.shape, dtype=torch.float64) for g in grads.values()]
    for tensor, g in zip(tensors, grads.values(), strict=True):
        tensor.grad = torch.tensor(g)
    torch.nn.utils.clip_grad_norm_(tensors, limit)
    params = [xp64.zeros(g.shape, dtype=xp64.float64) for g in grads.values()]
    pnn.SGD(1.0, clip_norm=limit).update(params, [xp64.asarray(g, copy=True) for g in grads.values()])
    for p, tensor in zip(params, tensors, strict=True):
        np.testing.assert_allclose(-to_numpy(p), tensor.grad.numpy(), rtol=1e-6)  # torch adds 1e-6 to the norm


def test_clipping_by_value_then_norm_then_decay(xp):
    def updated(**options):
        params = [xp.asarray([1.0, 1.0], dtype=xp.float32)]
        pnn.SGD(1.0, **options).update(params, [xp.asarray([-30.0, 4.0], dtype=xp.float32)])
        return to_numpy(params[0])

    np.testing.assert_allclose(updated(clip_value=3.0), [4.0, -2.0])
    np.testing.assert_allclose(updated(clip_value=3.0, clip_norm=2.0**0.5), [2.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(updated(clip_value=3.0, clip_norm=2.0**0.5, weight_decay=0.5), [1.5, -0.5], atol=1e-6)


VALUES = {"W": [[1.0, -2.0]], "b": [3.0]}


def arrays(xp):
    return {name: xp.asarray(values, dtype=xp.float32) for name, values in VALUES.items()}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_new_arrays_land_in_the_caller_s_mapping_or_list(xp, kind):
    old, grads = arrays(xp), arrays(xp)
    by_name, by_position = dict(old), list(old.values())
    # NumPy's float64 numbers would promote float32 arrays
    name = kind.__name__
    numbers = {
        **(PAIRS[name][0] if name in PAIRS else OTHERS[name]),
        "weight_decay": 0.01,
        "clip_norm": 1.0,
        "clip_value": 2.0,
    }
    numbers = {name: np.float64(number) for name, number in numbers.items()}
    for optimizer, params, gradients in (
        (kind(**numbers), by_name, grads),
        (kind(**numbers), by_position, list(grads.values())),
    ):
        optimizer.update(params, gradients)
        optimizer.update(params, gradients)
        assert optimizer.steps == 2
    for (name, p), q in zip(by_name.items(), by_position, strict=True):
        assert p.dtype == xp.float32
        assert xp.place.holds(p)
        assert np.all(np.abs(to_numpy(p)) < np.abs(VALUES[name]))
        np.testing.assert_array_equal(to_numpy(p), to_numpy(q))
        for untouched in (old[name], grads[name]):
            np.testing.assert_array_equal(to_numpy(untouched), VALUES[name])


def test_a_parameter_without_a_gradient_stays_as_it_is(xp):
    old, optimizer = arrays(xp), pnn.Adam(weight_decay=0.1)
    params = dict(old)
    optimizer.update(params, {"b": old["b"]})
    assert params["W"] is old["W"]
    assert params["b"] is not old["b"]
    assert list(optimizer.state) == ["b"]


def test_no_gradients_are_no_update():
    optimizer = pnn.Adam()
    optimizer.update({}, {})
    optimizer.update([], [])
    assert optimizer.steps == 0


def test_a_schedule_is_followed_update_by_update(xp):
    asked = []
    params = [xp.asarray([0.0], dtype=xp.float32)]
    optimizer = pnn.SGD(lambda step: asked.append(step) or np.float64(2.0**-step))
    for _ in range(3):
        optimizer.update(params, [xp.asarray([1.0], dtype=xp.float32)])
    assert asked == [0, 1, 2]
    assert float(params[0][0]) == -1.75
    assert params[0].dtype == xp.float32
    assert optimizer.lr == 0.125
    assert type(optimizer.lr) is float


def test_an_optimizer_goes_on_after_pickling():
    whole, broken = pnn.Adam(pnn.Cosine(0.1, steps=9)), pnn.Adam(pnn.Cosine(0.1, steps=9))
    one, two = [START["W"]], [START["W"]]
    for step in range(5):
        whole.update(one, [NOISE[step]["W"]])
        broken.update(two, [NOISE[step]["W"]])
        broken = pickle.loads(pickle.dumps(broken))
    np.testing.assert_array_equal(one[0], two[0])
    assert broken.steps == 5


def w(*shape):
    return np.ones(shape, np.float32)


# what is wrong: (parameters, gradients, error, part of the message)
MISTAKES = {
    "unknown name": (
        {"W": w(2)},
        {"W": w(2), "V": w(2)},
        KeyError,
        r"gradients for \['V'\], but parameters only for \['W'\]",
    ),
    "shape": ([w(2), w(2, 3)], [w(2), w(3, 2)], ShapeError, r"gradient of 1 needs shape \(2, 3\), got \(3, 2\)"),
    "broadcastable shape": ([w(2, 3)], [w(3)], ShapeError, r"needs shape \(2, 3\), got \(3,\)"),
    "too few gradients": ([w(2), w(2)], [w(2)], ShapeError, "as many gradients as parameters are needed, got 1 for 2"),
    "a tuple cannot be changed": ((w(2),), (w(2),), TypeError, "the parameters changeable, got tuple and tuple"),
    "mapping and list": ({"W": w(2)}, [w(2)], TypeError, "two mappings or two lists.*got dict and list"),
    "one bare array": (w(2), w(2), TypeError, "got ndarray and ndarray"),
    "numbers": ([1.0], [1.0], NamespaceError, r"wrap it in numpy.asarray\(...\)"),
    "no array": ([w(2)], [None], NamespaceError, "got NoneType"),
}


def values_of(container):
    return list(container.values()) if isinstance(container, dict) else list(container)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_and_changes_nothing(mistake):
    params, grads, error, message = MISTAKES[mistake]
    before, optimizer = values_of(params), pnn.Adam()
    with pytest.raises(error, match=message):
        optimizer.update(params, grads)
    np.testing.assert_equal(values_of(params), before)
    assert (optimizer.steps, optimizer.state) == (0, {})


def test_two_libraries_do_not_mix():
    strict = pytest.importorskip("array_api_strict")
    params, optimizer = [w(2), w(3)], pnn.SGD()
    with pytest.raises(NamespaceError, match="parameter 1 and its gradient need to be arrays of the same library"):
        optimizer.update(params, [w(2), strict.ones(3, dtype=strict.float32)])
    assert optimizer.steps == 0
    np.testing.assert_equal(params, [w(2), w(3)])


def test_a_new_network_needs_a_new_optimizer():
    optimizer = pnn.Adam()
    optimizer.update({"W": w(2, 3)}, {"W": w(2, 3)})
    with pytest.raises(ShapeError, match=r"has updated a .*W of shape \(2, 3\).*\(4,\)"):
        optimizer.update({"W": w(4)}, {"W": w(4)})
    assert optimizer.steps == 1


BAD_NUMBERS = [
    (pnn.SGD, "lr", (0.0, -0.1, math.nan, math.inf)),
    (pnn.SGD, "weight_decay", (-0.1, math.nan, math.inf)),
    (pnn.SGD, "clip_norm", (0.0, -1.0, math.nan)),
    (pnn.SGD, "clip_value", (0.0, -1.0, math.nan)),
    (pnn.Momentum, "momentum", (1.0, -0.1)),
    (pnn.AdaGrad, "epsilon", (-1.0, math.nan)),
    (pnn.RMSprop, "decay", (1.0, -0.1)),
    (pnn.RMSprop, "epsilon", (-1.0,)),
    (pnn.Adam, "beta1", (1.0, -0.1)),
    (pnn.Adam, "beta2", (1.0, math.nan)),
    (pnn.Adam, "epsilon", (-1.0,)),
    (pnn.AdamW, "weight_decay", (-0.01,)),
    (pnn.Adadelta, "rho", (1.0, -0.1)),
    (pnn.Adadelta, "epsilon", (-1.0,)),
    (pnn.NAdam, "momentum_decay", (-1.0,)),
    (pnn.Lion, "beta2", (1.0,)),
    (pnn.Rprop, "eta_minus", (1.0, -0.1)),
    (pnn.Rprop, "eta_plus", (0.9, math.inf)),
    (pnn.Rprop, "smallest", (-1.0,)),
    (pnn.Rprop, "largest", (1e-5,)),
    (pnn.LARS, "trust", (-1.0, math.nan)),
    (pnn.LARS, "momentum", (1.0,)),
    (pnn.Adafactor, "beta2_decay", (0.0, 0.8, math.nan)),
    (pnn.Adafactor, "epsilon1", (0.0,)),
    (pnn.Adafactor, "clip_threshold", (0.0,)),
    (pnn.Muon, "momentum", (1.0,)),
    (pnn.ScheduleFreeAdamW, "beta1", (0.0, 1.0)),
]


@pytest.mark.parametrize(("kind", "name", "numbers"), BAD_NUMBERS)
def test_a_number_out_of_range_is_named(kind, name, numbers):
    for number in numbers:
        with pytest.raises(ValueError, match=f"{name} needs to be"):
            kind(**{name: number})


def test_a_float64_gradient_does_not_promote_a_float32_parameter():
    params = [w(2)]
    with contextlib.suppress(DTypeError):
        pnn.SGD().update(params, [np.ones(2)])
    assert params[0].dtype == np.float32
