"""Every optimizer through whole runs: all ways of stepping, groups and clipping, resumed, copied, accumulated."""

import copy
import pickle

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import to_numpy

RNG = np.random.default_rng(0)
X = RNG.standard_normal((48, 5)).astype("float32")
T = (X @ RNG.standard_normal((5, 3))).argmax(1)
OPTIONS = {
    "SGD": {"lr": 0.1},
    "Momentum": {"lr": 0.05},
    "Nesterov": {"lr": 0.05},
    "AdaGrad": {"lr": 0.1},
    "RMSprop": {"lr": 0.01},
    "Adam": {"lr": 0.02},
    "AdamW": {"lr": 0.02},
    "Adadelta": {"lr": 10.0, "epsilon": 1e-4},
    "Adamax": {"lr": 0.02},
    "NAdam": {"lr": 0.02},
    "RAdam": {"lr": 0.1},
    "Adafactor": {"lr": 0.05},
    "Lion": {"lr": 5e-3},
    "Rprop": {"lr": 1e-3},
    "LARS": {"lr": 5.0, "trust": 0.01},
    "LAMB": {"lr": 0.05},
    "Muon": {"lr": 0.02},
    "ScheduleFreeAdamW": {"lr": pnn.WarmUp(0.05, steps=5)},
    "Adam, amsgrad": {"lr": 0.02, "amsgrad": True},
}
# A part of its own for biases, decay for weights, and both ways of clipping.
MORE = {
    "groups": {"*.b": {"lr_scale": 0.5}, "3.*": {"weight_decay": 0.1}, "0.W": {"clip_norm": 0.2}},
    "weight_decay": 0.02,
    "decay": "weights",
    "clip_norm": 0.5,
    "clip_value": 0.3,
}


def made(name, **more):
    options = OPTIONS[name] | MORE | more
    if name == "RMSprop":
        options["decay"] = 0.99
    return getattr(pnn, name.partition(",")[0])(**options)


def network(xp="numpy", dtype="float32", device=None):
    layers = pnn.Affine(5, 8), pnn.Tanh(), pnn.Dropout(0.1), pnn.Affine(8, 3)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp, device=device, dtype=dtype)


def fitted(net, optimizer, epochs=3, trainer=None, **options):
    trainer = trainer or pnn.Trainer(net, optimizer)
    options = {"batch_size": 12, "validation_data": (X[:8], T[:8]), "progress": False} | options
    return trainer.fit(X, T, epochs=epochs, **options)


def arrays_of(net):
    return [to_numpy(array) for array in net.arrays()]


def walked(optimizer, epochs=3):
    """Return the parameters after a loop of one's own around `Optimizer.update`."""
    net = network()
    for _ in range(epochs):
        for start in range(0, 48, 12):
            optimizer.update(net.parameters, net.gradient(X[start : start + 12], T[start : start + 12]))
    weights = optimizer.evaluation_weights(dict(net.parameters))
    return [to_numpy(p) for p in (weights or net.parameters).values()]


def test_every_optimizer_has_its_row():
    kinds = {kind for kind in vars(pnn).values() if isinstance(kind, type) and issubclass(kind, pnn.Optimizer)}
    assert {kind.__name__ for kind in kinds} - {"Optimizer"} == {name for name in OPTIONS if "," not in name}


@pytest.mark.parametrize("name", OPTIONS)
def test_steps_of_every_kind_are_those_of_a_plain_loop(xp, name):
    expected = walked(made(name))
    net = network(xp.place.xp, device=xp.place.device)
    history = fitted(net, made(name), shuffle=False)
    for array, due in zip(arrays_of(net), expected, strict=True):
        np.testing.assert_allclose(array, due, rtol=0, atol=2e-4)
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize("name", OPTIONS)
def test_steps_with_numba_are_those_without(name):
    pytest.importorskip("numba")
    nets = [network(dtype="float64") for _ in range(2)]
    for net, compile in zip(nets, (True, False), strict=True):
        fitted(None, None, trainer=pnn.Trainer(net, made(name), compile=compile))
    for one, other in zip(*map(arrays_of, nets), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "backend"), [*((name, "numpy") for name in OPTIONS), ("Muon", "jax"), ("ScheduleFreeAdamW", "jax")]
)
def test_a_run_resumes_to_the_bit(name, backend, tmp_path):
    if backend != "numpy":
        pytest.importorskip(backend)
    options = {"groups": {"0.*": {"frozen_until": 2}}}
    whole = fitted(net := network(backend), made(name, **options), epochs=4)
    folder = {"checkpoint": tmp_path / "run", "resume": True}
    fitted(network(backend), made(name, **options), epochs=2, **folder)
    history = fitted(again := network(backend), made(name, **options), epochs=4, **folder)
    assert history["loss"] == whole["loss"]
    assert history["val_loss"] == whole["val_loss"]
    for one, other in zip(arrays_of(net), arrays_of(again), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", OPTIONS)
def test_copies_go_on_by_themselves(name):
    trainer = pnn.Trainer(network(), made(name))
    fitted(None, None, trainer=trainer)
    copies = copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))
    due = fitted(None, None, trainer=trainer)["loss"]
    for other in copies:
        assert fitted(None, None, trainer=other)["loss"] == due
    assert len({type(other.optimizer) for other in copies}) == 1


@pytest.mark.parametrize("name", OPTIONS)
def test_accumulated_batches_are_one(name):
    ends = []
    for options in ({"batch_size": 24}, {"batch_size": 6, "accumulate": 4}):
        net = network(dtype="float64")
        fitted(net, made(name), **options)
        ends.append(arrays_of(net))
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-7)


def test_the_slots_of_adafactor_and_muon_are_small():
    def numbers(name):
        optimizer = made(name)
        fitted(network(), optimizer)
        return sum(slot.size for slot in optimizer.state["0.W"])

    assert [numbers(name) for name in ("Adafactor", "Muon", "Adam")] == [5 + 8, 40, 80]


def test_schedule_free_evaluates_the_average_and_trains_on(xp):
    optimizer = pnn.ScheduleFreeAdamW(0.05)
    net = network(xp.place.xp, device=xp.place.device)
    trainer = pnn.Trainer(net, optimizer)
    history = fitted(None, None, trainer=trainer)
    assert trainer.evaluate(X[:8], T[:8])["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-5)
    one = network(xp.place.xp, device=xp.place.device)
    whole = fitted(one, pnn.ScheduleFreeAdamW(0.05), epochs=5)
    assert fitted(None, None, trainer=trainer, epochs=2)["loss"] == pytest.approx(whole["loss"][3:], rel=1e-5)


@pytest.mark.parametrize("name", ["SGD", "AdamW", "LAMB", "Adafactor", "ScheduleFreeAdamW"])
def test_weight_decay_may_be_a_schedule(xp, name):
    """Against the same run whose decay a loop of one's own replaces before every update."""
    decay = pnn.Cosine(0.5, steps=12)
    options = OPTIONS[name] | {"groups": {"3.*": {"weight_decay": 0.1}}}
    net, changed = network(), getattr(pnn, name)(**options)
    for step in range(12):
        changed.weight_decay = decay(step)
        start = step % 4 * 12
        changed.update(net.parameters, net.gradient(X[start : start + 12], T[start : start + 12]))
    weights = changed.evaluation_weights(dict(net.parameters)) or net.parameters
    optimizer, other = getattr(pnn, name)(weight_decay=decay, **options), network(xp.place.xp, device=xp.place.device)
    fitted(other, optimizer, shuffle=False)
    for array, due in zip(arrays_of(other), weights.values(), strict=True):
        np.testing.assert_allclose(array, due, rtol=0, atol=2e-4)
    constant = network()
    fitted(constant, getattr(pnn, name)(weight_decay=0.5, **options), shuffle=False)
    assert np.max(np.abs(arrays_of(constant)[0] - to_numpy(weights["0.W"]))) > 1e-3


class Decoupled(pnn.Optimizer):
    """SGD of somebody's own, with decay as AdamW's."""

    decoupled_weight_decay = True

    def rule(self, kernels, params, grads, slots, numbers):
        return [p - numbers["lr"] * g for p, g in zip(params, grads, strict=True)], []


def test_somebody_s_own_optimizer_may_decouple_weight_decay():
    params, grads = [np.ones(2)], [np.full(2, 3.0)]
    Decoupled(0.1, weight_decay=0.5).update(params, grads)
    np.testing.assert_allclose(params[0], 1.0 - 0.1 * 0.5 - 0.1 * 3.0)


def test_a_callback_may_make_weight_decay_a_schedule():
    class Switch(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            trainer.optimizer.weight_decay = [pnn.Constant(0.5), 0.2, lambda step: 0.5, 0.0][epoch - 1]

    class Plain(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            trainer.optimizer.weight_decay = [0.5, 0.2, 0.5, 0.0][epoch - 1]

    ends = []
    for callback in (Switch(), Plain()):
        fitted(net := network(), pnn.SGD(0.1), epochs=4, callbacks=[callback])
        ends.append(arrays_of(net))
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_weight_decay_cannot_observe():
    with pytest.raises(TypeError, match=r"only the schedule of the learning rate may observe: .* ReduceOnPlateau"):
        pnn.SGD(0.1, weight_decay=pnn.WarmUp(pnn.ReduceOnPlateau(0.1), steps=3))
    optimizer = pnn.SGD(0.1)
    with pytest.raises(TypeError, match="may observe"):
        optimizer.weight_decay = pnn.ReduceOnPlateau(0.1)
    assert optimizer.weight_decay == 0.0


def test_another_schedule_of_weight_decay_is_another_run(tmp_path):
    options = {"checkpoint": tmp_path / "run", "resume": True, "epochs": 2}
    fitted(network(), pnn.AdamW(0.02, weight_decay=pnn.Cosine(0.1, steps=12)), **options)
    with pytest.raises(ValueError, match=r"optimizer \(weight_decay.*\)"):
        fitted(network(), pnn.AdamW(0.02, weight_decay=pnn.Cosine(0.2, steps=12)), **options | {"epochs": 3})
    fitted(network(), pnn.AdamW(0.02, weight_decay=pnn.Cosine(0.1, steps=12)), **options | {"epochs": 3})
