"""States in training: as torch's, as a user's own, in parts of batches, resumed, rolled back, averaged."""

import math

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import copies, to_numpy
from portable_nn.testing import float64_enabled

pytestmark = [
    pytest.mark.filterwarnings("ignore:steps with .* run uncompiled"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),  # torch.compile's own
    pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(1.0, 2.0, (200, 6))
T = (X[:, 0] - X[:, 1] > 0).astype(int) + (X[:, 2] > 2)
V = RNG.normal(1.0, 2.0, (50, 6)), RNG.integers(0, 3, 50)


class MyBatchNorm(pnn.Layer):
    """The double of BatchNorm for (N, C), from the public contract."""

    options = ("channels",)

    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.parameters["gamma"] = pnn.Parameter((channels,), pnn.initializers.constant(1.0))
        self.parameters["beta"] = pnn.Parameter((channels,), pnn.initializers.zeros())
        self.states["mean"] = pnn.State((channels,))
        self.states["variance"] = pnn.State((channels,), initial=1.0)

    def forward_pass(self, run, params, x):
        xp, states = run.place.xp, run.states
        mean, variance = states["mean"], states["variance"]
        if run.training:
            n = x.shape[0]
            run.update("mean", 0.9 * mean + 0.1 * xp.mean(x, axis=0))
            run.update("variance", 0.9 * variance + 0.1 * xp.var(x, axis=0, correction=1.0))
            mean, variance = xp.mean(x, axis=0), xp.var(x, axis=0)
            assert n > 1
        inverse = 1.0 / xp.sqrt(variance + 1e-5)
        z = (x - mean) * inverse
        return z * params["gamma"] + params["beta"], {"z": z, "inverse": inverse}

    def backward_pass(self, run, params, saved, dy):
        xp, z = run.place.xp, saved["z"]
        dz = dy * params["gamma"]
        dx = (dz - xp.mean(dz, axis=0) - z * xp.mean(dz * z, axis=0)) * saved["inverse"]
        return dx, {"gamma": xp.sum(dy * z, axis=0), "beta": xp.sum(dy, axis=0)}


class Declared(MyBatchNorm):
    """The same of kernels alone, recorded and compiled."""

    recordable = True

    def forward_pass(self, run, params, x):
        k, states = run.kernels, run.states
        arguments = x, params["gamma"], params["beta"], states["mean"], states["variance"]
        if not run.training:
            return k.normalize(*arguments, 1e-5), None
        y, center, inverse, mean, variance = k.batch_norm(*arguments, momentum=0.1, epsilon=1e-5)
        run.update("mean", mean)
        run.update("variance", variance)
        return y, (x, center, inverse)

    def backward_pass(self, run, params, saved, dy):
        dx, dgamma, dbeta = run.kernels.batch_norm_gradient(dy, *saved, params["gamma"])
        return dx, {"gamma": dgamma, "beta": dbeta}


def network(xp="numpy", norm=pnn.BatchNorm, device=None, dtype="float64"):
    layers = (
        pnn.Affine(6, 8),
        norm(8),
        pnn.ReLU(),
        pnn.Residual(pnn.Affine(8, 8), norm(8), pnn.Tanh()),
        pnn.Affine(8, 3),
    )
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp, device=device, dtype=dtype)


def fit(net, optimizer=None, compile="auto", **options):
    trainer = pnn.Trainer(net, optimizer or pnn.Momentum(0.05), compile=compile)
    return trainer.fit(X, T, **{"epochs": 2, "batch_size": 20, "progress": False} | options)


def arrays_of(net):
    names = net.sharing.names
    return {name: to_numpy(array).copy() for name, array in zip(names, net.arrays(), strict=True)}


def assert_close(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=tolerance, atol=tolerance, err_msg=name)


def assert_same(found, expected):
    assert_close(found, expected, 0)


def by_torch(net, steps, optimizer, batch):
    """Return the arrays after steps of torch's own network, from the same weights."""
    torch = pytest.importorskip("torch")
    modules = {"0": torch.nn.Linear(6, 8), "1": torch.nn.BatchNorm1d(8), "3.0": torch.nn.Linear(8, 8)}
    modules |= {"3.1": torch.nn.BatchNorm1d(8), "4": torch.nn.Linear(8, 3)}
    names = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}
    names |= {"mean": "running_mean", "variance": "running_var"}
    for module in modules.values():
        module.double()

    def there(name):
        path, _, own = name.rpartition(".")
        tensor = getattr(modules[path], names[own])
        return tensor.T if own == "W" else tensor

    with torch.no_grad():
        for name, array in arrays_of(net).items():
            there(name)[...] = torch.tensor(array)
    update = optimizer(torch, [p for module in modules.values() for p in module.parameters()])
    x, t = torch.tensor(X), torch.tensor(T)
    for step in range(steps):
        rows = slice(step * batch % 200, step * batch % 200 + batch)
        h = torch.relu(modules["1"](modules["0"](x[rows])))
        h = h + torch.tanh(modules["3.1"](modules["3.0"](h)))
        update.zero_grad()
        torch.nn.functional.cross_entropy(modules["4"](h), t[rows]).backward()
        update.step()
    return {name: there(name).detach().numpy().copy() for name in net.sharing.names}


@pytest.mark.parametrize("compile", ["auto", False])
def test_a_hundred_steps_are_torchs(xp64, compile):
    with float64_enabled(xp64.backend.library):
        net = network(xp64.place.xp, device=xp64.place.device)
        expected = by_torch(net, 100, lambda torch, p: torch.optim.SGD(p, lr=0.05, momentum=0.9), 20)
        fit(net, compile=compile, epochs=10, shuffle=False)
        assert_close(arrays_of(net), expected, 1e-10)


@pytest.mark.slow
def test_a_hundred_steps_compiled_by_torch_are_torchs():
    pytest.importorskip("torch")
    net = network("torch")
    expected = by_torch(net, 100, lambda torch, p: torch.optim.Adam(p, lr=0.01), 20)
    fit(net, pnn.Adam(0.01), compile=True, epochs=10, shuffle=False)
    assert_close(arrays_of(net), expected, 1e-9)


@pytest.mark.parametrize("norm", [MyBatchNorm, Declared])
@pytest.mark.parametrize("options", [{}, {"accumulate": 2}])
def test_what_a_user_writes_trains_alike(xp64, norm, options):
    with float64_enabled(xp64.backend.library):
        ours, theirs = (network(xp64.place.xp, kind, xp64.place.device) for kind in (pnn.BatchNorm, norm))
        assert theirs.predict(X).shape == (200, 3)
        expected, found = fit(ours, batch_size=10, **options)["loss"], fit(theirs, batch_size=10, **options)["loss"]
        np.testing.assert_allclose(found, expected, rtol=1e-11)
        assert_close(arrays_of(theirs), arrays_of(ours), 1e-10)
        for _ in range(3):
            np.testing.assert_allclose(to_numpy(theirs.predict(X)), to_numpy(ours.predict(X)), rtol=1e-9, atol=1e-9)


class Looks(pnn.Callback):
    def on_gradients(self, trainer, gradients):
        return None


@pytest.mark.parametrize(
    "options",
    [{"compile": False}, {"callbacks": [Looks()]}, {"recoveries": 2}, {"callbacks": [pnn.Callback()]}],
    ids=["eager", "gradients", "recoveries", "watched"],
)
def test_all_ways_of_stepping_agree(xp64, options):
    with float64_enabled(xp64.backend.library):
        one, other = (network(xp64.place.xp, device=xp64.place.device) for _ in range(2))
        fit(one)
        fit(other, **options)
        assert_close(arrays_of(other), arrays_of(one), 1e-12)


def test_numba_and_batches_of_several_sizes():
    pytest.importorskip("numba")
    one, other = network(), network()
    fit(one, compile=False, batch_size=33, epochs=4)
    fit(other, compile=True, batch_size=33, epochs=4)
    assert_close(arrays_of(other), arrays_of(one), 1e-12)


def test_parts_of_a_batch_update_in_turn(xp64):
    with float64_enabled(xp64.backend.library):
        net = network(xp64.place.xp, device=xp64.place.device)
        w, b = (to_numpy(net.parameters[name]).astype("float64") for name in ("0.W", "0.b"))
        fit(net, pnn.SGD(1e-12), epochs=1, batch_size=50, accumulate=4, shuffle=False)
        mean, variance = np.zeros(8), np.ones(8)
        for start in range(0, 200, 50):
            h = X[start : start + 50] @ w + b
            mean, variance = 0.9 * mean + 0.1 * h.mean(0), 0.9 * variance + 0.1 * h.var(0, ddof=1)
        np.testing.assert_allclose(to_numpy(net.states["1.mean"]), mean, rtol=1e-8)
        np.testing.assert_allclose(to_numpy(net.states["1.variance"]), variance, rtol=1e-8)


class Kill(pnn.Callback):
    """Ends the run with an error at an update."""

    def __init__(self, epoch, step):
        self.epoch, self.step = epoch, step

    def on_batch(self, trainer, step, record):
        if (trainer.epochs, step) == (self.epoch, self.step):
            raise KeyboardInterrupt

    def on_epoch(self, trainer, epoch, record):
        if epoch == self.epoch:
            raise KeyError("killed")


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("norm", [pnn.BatchNorm, MyBatchNorm])
@pytest.mark.parametrize("average", [None, pnn.EMA])
def test_a_killed_and_resumed_run_has_the_same_bits(xp, tmp_path, norm, average, accumulate):
    def run(folder, **options):
        net = network(xp.place.xp, norm, xp.place.device, "float32")
        watchers = [pnn.EarlyStopping(3), *([average(0.9)] if average else []), *options.pop("more", [])]
        options |= {"validation_data": V, "callbacks": watchers, "accumulate": accumulate, "epochs": 5}
        fit(net, pnn.Adam(0.01), checkpoint=folder, batch_size=20 // accumulate, **options)
        return arrays_of(net)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyError, match="killed"):
        run(tmp_path / "cut", more=[Kill(3, -1)])
    assert_same(run(tmp_path / "cut", resume=True), whole)


def test_the_best_checkpoint_has_the_best_states(tmp_path):
    class Keep(pnn.Callback):
        def on_start(self, trainer):
            self.seen = []

        def on_epoch(self, trainer, epoch, record):
            self.seen.append((record["val_loss"], arrays_of(trainer.network)))

    net, keep, early = network(), Keep(), pnn.EarlyStopping(2)
    fit(net, pnn.Adam(0.3), epochs=12, validation_data=V, callbacks=[keep, early], checkpoint=tmp_path / "a")
    best = min(keep.seen, key=lambda pair: pair[0])[1]
    assert_same(arrays_of(net), best)
    assert_same(arrays_of(pnn.load(tmp_path / "a" / "best.safetensors")), best)
    assert abs(keep.seen[-1][1]["1.mean"] - best["1.mean"]).max() > 1e-6


class Poison(pnn.Callback):
    """Makes the weights of one update bad."""

    def __init__(self, times=1):
        self.times = times

    def on_gradients(self, trainer, gradients):
        if trainer.epochs == 2 and self.times:
            self.times -= 1
            return {name: g * math.nan for name, g in gradients.items()}
        return None


def test_a_diverged_run_leaves_the_states_of_its_weights(xp):
    net, reference = (network(xp.place.xp, device=xp.place.device, dtype="float32") for _ in range(2))
    with pytest.raises(pnn.DivergenceError):
        fit(net, callbacks=[Poison()], epochs=3)
    fit(reference, epochs=1, callbacks=[Looks()])
    assert_same(arrays_of(net), arrays_of(reference))


def test_a_recovery_takes_the_states_back(xp):
    net, reference = (network(xp.place.xp, device=xp.place.device, dtype="float32") for _ in range(2))
    with pytest.warns(UserWarning, match="going on from step 0"):
        fit(net, callbacks=[Poison()], epochs=2, recoveries=1)
    trainer = pnn.Trainer(reference, pnn.Momentum(0.05))
    trainer.fit(X, T, epochs=1, batch_size=20, progress=False, callbacks=[Looks()])
    trainer.optimizer.lr_scale = 0.5
    trainer.fit(X, T, epochs=1, batch_size=20, progress=False, callbacks=[Looks()])
    assert_close(arrays_of(net), arrays_of(reference), 1e-5)


class Fails(pnn.Callback):
    def on_gradients(self, trainer, gradients):
        if trainer.optimizer.steps == 3:
            raise OSError("no")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_that_fails_leaves_the_states(xp, accumulate):
    net, reference = (network(xp.place.xp, device=xp.place.device, dtype="float32") for _ in range(2))
    options = {"epochs": 1, "shuffle": False, "accumulate": accumulate, "batch_size": 20 // accumulate}
    with pytest.raises(OSError, match="no"):
        fit(net, callbacks=[Fails()], **options)
    pnn.Trainer(reference, pnn.Momentum(0.05)).fit(X[:60], T[:60], progress=False, callbacks=[Looks()], **options)
    assert_close(arrays_of(net), arrays_of(reference), 1e-6)
    fit(net, **options)
    assert all(np.isfinite(array).all() for array in arrays_of(net).values())


def test_a_refused_fit_leaves_the_states():
    class Refuses(pnn.Callback):
        def on_start(self, trainer):
            trainer.network.states["1.mean"] = np.full(8, 9.0)
            raise ValueError("no")

    fit(net := network())
    before = arrays_of(net)
    with pytest.raises(ValueError, match="no"):
        fit(net, callbacks=[Refuses()])
    assert_same(arrays_of(net), before)


class Assigns(pnn.Callback):
    def on_batch(self, trainer, step, record):
        if step == 5:
            trainer.network.states["1.mean"] = np.zeros(8)


def test_what_a_callback_assigns_is_gone_on_with(xp):
    net = network(xp.place.xp, device=xp.place.device, dtype="float32")
    fit(net, pnn.SGD(1e-12), epochs=1, callbacks=[Assigns()], shuffle=False)
    w, b = (to_numpy(net.parameters[name]).astype("float64") for name in ("0.W", "0.b"))
    mean = np.zeros(8)
    for start in range(100, 200, 20):
        mean = 0.9 * mean + 0.1 * (X[start : start + 20] @ w + b).mean(0)
    np.testing.assert_allclose(to_numpy(net.states["1.mean"]), mean, rtol=1e-3, atol=1e-4)


def test_arrays_that_somebody_has_seen_are_not_written(xp):
    net, seen = network(xp.place.xp, device=xp.place.device, dtype="float32"), []

    class See(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            array = trainer.network.states["1.mean"]
            seen.append((array, to_numpy(array).copy()))

    fit(net, epochs=4, callbacks=[See()])
    for array, values in seen:
        np.testing.assert_array_equal(to_numpy(array), values)


def test_averages_have_states_too(xp64):
    with float64_enabled(xp64.backend.library):
        net, seen = network(xp64.place.xp, device=xp64.place.device), []

        class See(pnn.Callback):
            def on_batch(self, trainer, step, record):
                seen.append([to_numpy(a) for a in copies(trainer.network.arrays())])

        fit(net, epochs=2, callbacks=[See(), pnn.EMA(0.8)])
        average = seen[0]
        for arrays in seen[1:]:
            average = [0.8 * a + 0.2 * w for a, w in zip(average, arrays, strict=True)]
        assert_close(arrays_of(net), dict(zip(net.sharing.names, average, strict=True)), 1e-9)
        fit(net, epochs=1)  # goes on with what was set aside
        assert all(np.isfinite(array).all() for array in arrays_of(net).values())


def test_options_of_the_layer_act_from_the_next_step_on(xp64):
    class Thaw(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            trainer.network[1].momentum = 0.5

    with float64_enabled(xp64.backend.library):
        net = network(xp64.place.xp, device=xp64.place.device)
        fit(net, pnn.SGD(1e-12), epochs=2, callbacks=[Thaw()], batch_size=200, shuffle=False)
        w, b = (to_numpy(net.parameters[name]) for name in ("0.W", "0.b"))
        mean = (X @ w + b).mean(0)
        np.testing.assert_allclose(to_numpy(net.states["1.mean"]), 0.5 * 0.1 * mean + 0.5 * mean, rtol=1e-8)


def test_a_batch_of_one_is_refused_by_name():
    with pytest.raises(pnn.ShapeError, match="take a batch_size that leaves no batch of one sample"):
        fit(network(), batch_size=199)


def test_estimators_take_them():
    from sklearn.base import clone

    from portable_nn.adapters.sklearn import NetworkClassifier

    made = pnn.Sequential(
        pnn.Affine(6, 8), pnn.BatchNorm(8), pnn.ReLU(), pnn.Affine(8, 3), loss=pnn.SoftmaxWithLoss(), seed=0
    )
    estimator = NetworkClassifier(made, optimizer=pnn.Adam(0.02), epochs=20, batch_size=20, random_state=0)
    estimator.fit(X.astype("float32"), T)
    assert estimator.score(X.astype("float32"), T) > 0.85
    before = states = {name: to_numpy(a).copy() for name, a in estimator.network_.states.items()}
    estimator.predict(X.astype("float32"))
    assert_same({name: to_numpy(a) for name, a in estimator.network_.states.items()}, before)
    assert abs(states["1.mean"]).max() > 0.01
    again = clone(estimator).fit(X.astype("float32"), T)
    assert_same({name: to_numpy(a) for name, a in again.network_.states.items()}, before)


def test_a_vector_of_parameters_leaves_states_out(xp64):
    from portable_nn.training.vector import vector_loss

    with float64_enabled(xp64.backend.library):
        net = network(xp64.place.xp, device=xp64.place.device)
        before = {name: to_numpy(a).copy() for name, a in net.states.items()}
        x, t, _ = net.batch(X, T)
        function = vector_loss(net, x, t)
        loss, slope = function(function.start)
        assert slope.shape == function.start.shape
        np.testing.assert_allclose(loss, float(net.loss(x, t, training=True)), rtol=1e-9)
        assert_same({name: to_numpy(a) for name, a in net.states.items()}, before)
