"""Groups of parameters: against torch's over 100 steps, and on every way of stepping."""

import copy
import json
import pickle

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import to_numpy
from portable_nn.training.planned_step import PlannedStep

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((100, 5)), RNG.integers(0, 3, 100)
SLOW = {"*.b": {"lr_scale": 0.1, "weight_decay": 0.0}}


def network(xp="numpy", dtype="float64", device=None):
    layers = pnn.Affine(5, 8), pnn.Tanh(), pnn.Affine(8, 6), pnn.Tanh(), pnn.Affine(6, 3)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp, device=device, dtype=dtype)


def trained(net, optimizer, *, epochs=100, batch_size=100, **options):
    trainer = pnn.Trainer(net, optimizer)
    trainer.fit(X, T, epochs=epochs, batch_size=batch_size, shuffle=False, progress=False, **options)
    return {name: to_numpy(p).copy() for name, p in net.parameters.items()}


def torch_trained(name, lr, weight_decay, **options):
    """Return the parameters of the same network after 100 steps of torch, biases at a tenth, without decay."""
    torch = pytest.importorskip("torch")
    params = {k: torch.tensor(to_numpy(p), requires_grad=True) for k, p in network().parameters.items()}
    biases = {"params": [p for k, p in params.items() if k.endswith("b")], "lr": lr / 10, "weight_decay": 0.0}
    weights = {"params": [p for k, p in params.items() if k.endswith("W")]}
    optimizer = getattr(torch.optim, name)([weights, biases], lr=lr, weight_decay=weight_decay, **options)
    x, t = torch.tensor(X), torch.tensor(T)
    for _ in range(100):
        optimizer.zero_grad()
        y = x
        for i in (0, 2, 4):
            y = y @ params[f"{i}.W"] + params[f"{i}.b"]
            y = torch.tanh(y) if i < 4 else y
        torch.nn.functional.cross_entropy(y, t).backward()
        optimizer.step()
    return {k: p.detach().numpy() for k, p in params.items()}


TORCH = {
    "Adam": (lambda **more: pnn.Adam(0.02, weight_decay=0.1, **more), {"lr": 0.02, "weight_decay": 0.1}),
    "AdamW": (lambda **more: pnn.AdamW(0.02, weight_decay=0.5, **more), {"lr": 0.02, "weight_decay": 0.5}),
    "SGD": (
        lambda **more: pnn.Momentum(0.1, 0.9, weight_decay=0.05, **more),
        {"lr": 0.1, "weight_decay": 0.05, "momentum": 0.9},
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_a_hundred_steps_equal_torch_s_parameter_groups(xp64, name):
    ours, theirs = TORCH[name]
    expected = torch_trained(name, **theirs)
    found = trained(network(xp64.place.xp, device=xp64.place.device), ours(groups=SLOW))
    for k, p in expected.items():
        np.testing.assert_allclose(found[k], p, rtol=0, atol=1e-8, err_msg=k)
    other = trained(network(), ours())
    assert max(np.max(np.abs(other[k] - p)) for k, p in expected.items()) > 1e-3  # groups do something


class ShapeSeer(pnn.Optimizer):
    """SGD with momentum by torch's formula, on lists."""

    slots = ("v",)

    def rule(self, kernels, params, grads, slots, numbers):
        v = [0.9 * v + g for v, g in zip(slots[0], grads, strict=True)]
        return [p - numbers["lr"] * v for p, v in zip(params, v, strict=True)], [v]


class Elementwise(ShapeSeer):
    """The same, on flat arrays."""

    elementwise = True
    recordable = True

    def rule(self, kernels, params, grads, slots, numbers):
        return super().rule(kernels, params, grads, slots, numbers)


@pytest.mark.filterwarnings("ignore:steps with ShapeSeer run uncompiled")
@pytest.mark.parametrize("kind", [ShapeSeer, Elementwise])
def test_rules_of_one_s_own_have_groups_too(xp64, kind):
    expected = torch_trained("SGD", lr=0.1, weight_decay=0.05, momentum=0.9)
    net = network(xp64.place.xp, device=xp64.place.device)
    found = trained(net, kind(0.1, weight_decay=0.05, groups=SLOW))
    for k, p in expected.items():
        np.testing.assert_allclose(found[k], p, rtol=0, atol=1e-8, err_msg=k)


def updated(**options):
    """Return how far one step of SGD at rate 1 takes parameters of ones whose gradients are 1, 2 and 4."""
    params = {name: np.ones(shape) for name, shape in {"0.W": (2, 2), "0.b": (1,), "1.b": (1,)}.items()}
    grads = {"0.W": np.full((2, 2), 1.0), "0.b": np.full(1, 2.0), "1.b": np.full(1, 4.0)}
    optimizer = pnn.SGD(1.0, **options)
    optimizer.update(params, grads)
    return [float(1.0 - p.flat[0]) for p in params.values()]


def test_the_last_pattern_that_says_something_counts():
    assert updated() == [1.0, 2.0, 4.0]
    assert updated(groups={"*.b": {"lr_scale": 0.5}}) == [1.0, 1.0, 2.0]
    assert updated(groups={"*.b": {"lr_scale": 0.5}, "1.*": {"lr_scale": 0.25}}) == [1.0, 1.0, 1.0]
    assert updated(groups={"1.*": {"lr_scale": 0.25}, "*.b": {"lr_scale": 0.5}}) == [1.0, 1.0, 2.0]
    both = {"*": {"lr_scale": 0.5}, "*.b": {"weight_decay": 0.0}}
    assert updated(weight_decay=1.0, groups=both) == [1.0, 1.0, 2.0]
    assert updated(groups={"1.?": {"weight_decay": 2.0}}) == [1.0, 2.0, 6.0]


def test_decay_can_leave_out_biases_and_norms():
    assert updated(weight_decay=1.0) == [2.0, 3.0, 5.0]
    assert updated(weight_decay=1.0, decay="weights") == [2.0, 2.0, 4.0]
    assert updated(weight_decay=1.0, decay="weights", groups={"1.b": {"weight_decay": 3.0}}) == [2.0, 2.0, 7.0]
    net, plain = network(), network()
    found = trained(net, pnn.AdamW(0.02, weight_decay=0.5, decay="weights"))
    expected = trained(plain, pnn.AdamW(0.02, weight_decay=0.5, groups={"*.b": {"weight_decay": 0.0}}))
    for k, p in expected.items():
        np.testing.assert_array_equal(found[k], p)


def test_groups_are_clipped_by_themselves_and_the_others_together():
    # |g| of 0.W is 2, of 0.b 2, of 1.b 4
    np.testing.assert_allclose(updated(clip_norm=1.0), np.asarray([1.0, 2.0, 4.0]) / 24**0.5)
    found = updated(clip_norm=2.0**0.5, groups={"1.b": {"clip_norm": 1.0}})
    np.testing.assert_allclose(found, [0.5, 1.0, 1.0])
    found = updated(groups={"*.b": {"clip_norm": 5.0**0.5}, "1.b": {"lr_scale": 0.5}})
    np.testing.assert_allclose(found, [1.0, 1.0, 1.0])  # two parts, one norm: the root of 20


def test_a_frozen_group_begins_late_as_if_it_were_new(xp):
    torch = pytest.importorskip("torch")
    w, b = torch.zeros(2, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([w, b], lr=0.1)
    x, t = RNG.standard_normal((40, 2)).astype("float32"), RNG.standard_normal((40, 1)).astype("float32")
    for epoch in (1, 2, 3, 4):
        for start in range(0, 40, 10):
            optimizer.zero_grad()
            rows = slice(start, start + 10)
            ((torch.tensor(x[rows]) @ w + b - torch.tensor(t[rows])) ** 2).mean().backward()
            w.grad = None if epoch < 3 else w.grad
            optimizer.step()
    net = pnn.Sequential(pnn.Affine(2, 1), loss=pnn.MeanSquaredError(), seed=0, xp=xp.place.xp, device=xp.place.device)
    net.parameters["0.W"] = np.zeros((2, 1), "float32")
    adam, seen = pnn.Adam(0.1, groups={"*.W": {"frozen_until": 3}}), []

    class Watch(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            seen.append(bool(np.any(to_numpy(trainer.network.parameters["0.W"]))))

    options = {"batch_size": 10, "shuffle": False, "progress": False}
    pnn.Trainer(net, adam).fit(x, t, epochs=4, callbacks=[Watch()], **options)
    assert seen == [False, False, True, True]
    np.testing.assert_allclose(to_numpy(net.parameters["0.W"]), w.detach().numpy(), atol=2e-6)
    np.testing.assert_allclose(to_numpy(net.parameters["0.b"]), b.detach().numpy(), atol=2e-6)


def test_without_groups_nothing_changes_and_with_them_each_is_one_call(monkeypatch):
    calls = []

    def step_of(optimizer):
        calls.clear()
        trainer = pnn.Trainer(network(), optimizer, compile=False)
        trainer.fit(X, T, epochs=1, batch_size=100, progress=False)
        step = trainer._step
        assert isinstance(step, PlannedStep)
        adam = step._update_kernels.adam
        step._update_kernels.adam = lambda params, *rest: calls.append([p.size for p in params]) or adam(params, *rest)
        trainer.fit(X, T, epochs=1, batch_size=100, progress=False)
        return step

    whole = step_of(pnn.Adam())
    assert calls == [[whole.vector.size]]
    assert whole._flat.views[1].base is not None
    parts = step_of(pnn.Adam(groups={"*.b": {"lr_scale": 0.5}, "2.*": {"weight_decay": 0.1}}))
    assert len(calls) == 4  # 0.W and 4.W; 0.b and 4.b; 2.W; 2.b
    assert sum(size for (size,) in calls) == parts.vector.size == whole.vector.size
    for p, view in zip(parts.network.arrays(), parts._flat.views, strict=True):
        assert p is view


MISTAKES = {
    "no mapping": ([("*.b", {})], TypeError, "groups need to be a mapping"),
    "a number": ({"*.b": 0.1}, TypeError, r"the group '\*.b' needs a mapping"),
    "no pattern": ({3: {}}, TypeError, "patterns of names"),
    "unknown key": ({"*.b": {"momentum": 0.1}}, TypeError, "no option momentum: there are lr_scale"),
    "lr": ({"*.b": {"lr": 0.1}}, TypeError, "no option lr: write lr_scale"),
    "misspelt": ({"*.b": {"weight_decy": 0.1}}, TypeError, "write weight_decay"),
    "negative": ({"*.b": {"lr_scale": -1}}, ValueError, "needs lr_scale in"),
    "nan": ({"*.b": {"weight_decay": float("nan")}}, ValueError, "needs weight_decay in"),
    "no number": ({"*.b": {"clip_norm": None}}, ValueError, "needs clip_norm in"),
    "half an epoch": ({"*.b": {"frozen_until": 1.5}}, ValueError, "number of an epoch"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("kind", [pnn.SGD, pnn.RMSprop, pnn.AdamW])
def test_mistakes_are_refused_at_construction(kind, mistake):
    groups, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        kind(groups=groups)


def test_wrong_words_for_decay_are_refused():
    with pytest.raises(ValueError, match='decay needs to be "all" or "weights", got \'biases\''):
        pnn.Adam(decay="biases")
    with pytest.raises(TypeError, match="RMSprop needs decay to be a number"):
        pnn.RMSprop(decay="weights")


def test_a_pattern_that_matches_nothing_is_refused_by_fit():
    net, optimizer = network(), pnn.Adam(groups={"*.b": {"lr_scale": 0.1}, "7.*": {"lr_scale": 0.1}})
    with pytest.raises(ValueError, match=r"'7\.\*' in groups matches no parameter: there are 0\.W, 0\.b, 2\.W"):
        trained(net, optimizer)
    assert optimizer.steps == 0
    net.freeze("0")  # frozen parameters are parameters
    trained(net, pnn.Adam(groups={"0.*": {"lr_scale": 0.1}}), epochs=1)


def test_groups_cannot_be_changed_but_replaced_which_acts_at_once(xp64):
    class Later(pnn.Callback):
        def on_batch(self, trainer, step, record):
            if step == 2:
                trainer.optimizer.groups = {"*.b": {"lr_scale": 0.0}}

    def biases(*callbacks, **options):
        net = network(xp64.place.xp, device=xp64.place.device)
        found = trained(net, pnn.Momentum(0.1, **options), epochs=1, batch_size=25, callbacks=callbacks)
        return found["0.b"], found["0.W"]

    with pytest.raises(TypeError):
        pnn.Adam(groups=SLOW).groups["*.b"]["lr_scale"] = 1.0
    moved, _ = biases(Later())
    full, _ = biases()
    assert np.any(moved)
    assert np.max(np.abs(moved - full)) > 1e-3
    # The velocity goes on by itself: what is to be expected is done here.
    net = network()
    params = {name: to_numpy(p).copy() for name, p in net.parameters.items()}
    velocity = dict.fromkeys(params, 0.0)
    for step in range(4):
        net = network()
        for name, p in params.items():
            net.parameters[name] = p
        rows = slice(25 * step, 25 * step + 25)
        for name, g in net.gradient(X[rows], T[rows]).items():
            rate = 0.0 if step >= 2 and name.endswith("b") else 0.1
            velocity[name] = 0.9 * velocity[name] - rate * g
            params[name] = params[name] + velocity[name]
    np.testing.assert_allclose(moved, params["0.b"], atol=1e-10)


def test_copies_pickles_and_repr():
    optimizer = pnn.Adam(0.01, groups=SLOW, decay="weights", clip_norm=1.0)
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert other.groups == SLOW
        assert other.decay == "weights"
    assert repr(optimizer) == (
        "Adam(lr=0.01, clip_norm=1.0, groups={'*.b': {'lr_scale': 0.1, 'weight_decay': 0.0}}, decay='weights')"
    )
    assert repr(pnn.RMSprop(decay=0.9)) == "RMSprop(lr=0.01, decay=0.9)"
    assert repr(pnn.AdamW()) == "AdamW(lr=0.001)"
    assert json.dumps({k: dict(v) for k, v in optimizer.groups.items()})


FROZEN = {"*.b": {"lr_scale": 0.1}, "2.*": {"frozen_until": 3}}


@pytest.mark.parametrize("epochs", [2, 3, 4])
def test_a_resumed_run_ends_like_one_that_never_stopped(tmp_path, epochs):
    whole = trained(network(), pnn.Adam(0.02, groups=FROZEN), epochs=6, batch_size=30)
    options = {"batch_size": 30, "checkpoint": tmp_path}
    trained(network(), pnn.Adam(0.02, groups=FROZEN), epochs=epochs, **options)
    again = trained(network(), pnn.Adam(0.02, groups=FROZEN), epochs=6, resume=True, **options)
    for name, p in whole.items():
        np.testing.assert_array_equal(again[name], p)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": {"*.b": {"lr_scale": 0.2}}}, r"optimizer \(groups\.\*\.b\.lr_scale\) was 0\.1, now it is 0\.2"),
        ({}, r"optimizer \(groups\)"),
        ({"groups": SLOW, "decay": "weights"}, r"optimizer \(decay\) was nothing, now it is weights"),
    ],
)
def test_a_run_of_other_groups_is_another_run(tmp_path, options, message):
    trained(network(), pnn.Adam(groups=SLOW), epochs=1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=message):
        trained(network(), pnn.Adam(**options), epochs=2, checkpoint=tmp_path, resume=True)


def test_another_order_of_groups_is_another_run(tmp_path):
    trained(network(), pnn.Adam(groups=FROZEN), epochs=1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="order of groups"):
        trained(network(), pnn.Adam(groups=dict(reversed(FROZEN.items()))), epochs=2, checkpoint=tmp_path, resume=True)


def test_a_run_that_diverges_goes_back_with_its_groups():
    with pytest.warns(UserWarning, match="going on from step"):
        found = trained(
            network(), pnn.Momentum(50.0, groups=SLOW), epochs=4, batch_size=10, recoveries=20, loss_limit=9
        )
    assert all(np.all(np.isfinite(p)) for p in found.values())
