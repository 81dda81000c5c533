"""What users write trains as what we write: doubles of our layers, losses and optimizers, from the public contract."""

import copy
import enum
import math
import pickle
import warnings

import array_api_compat
import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import backend_name, to_numpy
from portable_nn.kernels import Plan
from portable_nn.testing import check_layer
from portable_nn.training.planned_step import PlannedStep

pytestmark = pytest.mark.filterwarnings("ignore:steps with .* run uncompiled")


class MyAffine(pnn.Layer):
    """The double of Affine."""

    options = ("inputs", "outputs")

    def __init__(self, inputs, outputs):
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.parameters["W"] = pnn.Parameter((inputs, outputs))
        self.parameters["b"] = pnn.Parameter((outputs,), pnn.initializers.constant(0.0))

    def output_shape(self, shape):
        return (*shape[:-1], self.outputs)

    def forward_pass(self, run, params, x):
        return x @ params["W"] + params["b"], x

    def backward_pass(self, run, params, saved, dy):
        xp = run.place.xp
        return dy @ xp.permute_dims(params["W"], (1, 0)), {
            "W": xp.permute_dims(saved, (1, 0)) @ dy,
            "b": xp.sum(dy, axis=0),
        }


class MyReLU(pnn.Layer):
    """The double of ReLU, with a Python object kept between its passes."""

    weights_before = staticmethod(pnn.initializers.he_normal())

    def forward_pass(self, run, params, x):
        mask = run.place.xp.astype(x > 0, x.dtype)
        return x * mask, {"mask": mask}

    def backward_pass(self, run, params, saved, dy):
        return dy * saved["mask"], {}


class MySoftmaxWithLoss(pnn.Loss):
    """The double of SoftmaxWithLoss for integer labels."""

    def targets(self, shape, t, place, sample_weight=None):
        return place.xp.asarray(t, dtype=place.index_dtype, device=place.device), None

    def forward_pass(self, run, params, y, t, weight=None):
        xp = run.place.xp
        e = xp.exp(y - xp.max(y, axis=1, keepdims=True))
        p = e / xp.sum(e, axis=1, keepdims=True)
        classes = xp.arange(y.shape[1], dtype=t.dtype, device=run.place.device)
        chosen = xp.astype(t[:, None] == classes, y.dtype)
        return -xp.sum(chosen * xp.log(p)) / y.shape[0], (p - chosen) / y.shape[0]

    def gradient(self, run, saved, dout=1.0):
        return saved * dout


class MySGD(pnn.Optimizer):
    """The double of SGD, pure, as the base class says."""

    def rule(self, kernels, params, grads, slots, numbers):
        return [p - numbers["lr"] * g for p, g in zip(params, grads, strict=True)], []


class MyAdam(pnn.Optimizer):
    """The double of Adam, of the paper's algorithm 1."""

    slots = ("m", "v")

    def numbers(self):
        return {"lr": self.lr, "t": self.steps + 1}

    def rule(self, kernels, params, grads, slots, numbers):
        lr, t = numbers["lr"], numbers["t"]
        m = [0.9 * m + (1.0 - 0.9) * g for m, g in zip(slots[0], grads, strict=True)]
        v = [0.999 * v + (1.0 - 0.999) * g * g for v, g in zip(slots[1], grads, strict=True)]
        return [
            p - lr * (m / (1.0 - 0.9**t)) / ((v / (1.0 - 0.999**t)) ** 0.5 + 1e-8)
            for p, m, v in zip(params, m, v, strict=True)
        ], [m, v]


class LARS(pnn.Optimizer):
    """You, Gitman, Ginsburg (2017), equation 6, without momentum: the local rate of a layer is eta |w| / |g|."""

    slots = ("ratio",)

    def new_slots(self, parameter):
        return (array_api_compat.array_namespace(parameter).zeros_like(parameter[..., 0]),)

    def rule(self, kernels, params, grads, slots, numbers):
        updated, seen = [], []
        for p, g in zip(params, grads, strict=True):
            xp = array_api_compat.array_namespace(p)
            ratio = 0.02 * xp.sum(p * p) ** 0.5 / (xp.sum(g * g) ** 0.5 + 1e-9)
            updated.append(p - numbers["lr"] * ratio * g)
            seen.append(xp.zeros_like(p[..., 0]) + ratio)
        return updated, [seen]


def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 3)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64")


def network(xp, layers=None, loss=None, **options):
    layers = layers or (pnn.Affine(3, 8), pnn.ReLU(), pnn.Affine(8, 2))
    place = xp.place
    return pnn.Sequential(
        *layers, loss=loss or pnn.SoftmaxWithLoss(), seed=0, xp=place.xp, device=place.device, **options
    )


def fitted(network, optimizer, **options):
    options = {"epochs": 4, "batch_size": 16, "progress": False} | options
    return pnn.Trainer(network, optimizer).fit(*data(), **options)


LAYERS = {
    "affine": lambda: (MyAffine(3, 8), pnn.ReLU(), MyAffine(8, 2)),
    "relu": lambda: (pnn.Affine(3, 8), MyReLU(), pnn.Affine(8, 2)),
    "all": lambda: (MyAffine(3, 8), MyReLU(), MyAffine(8, 2)),
}


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("loss", [pnn.SoftmaxWithLoss, MySoftmaxWithLoss])
def test_layers_and_losses(xp, layers, loss):
    ours = fitted(reference := network(xp), pnn.SGD(0.5))
    theirs = fitted(twin := network(xp, LAYERS[layers](), loss()), pnn.SGD(0.5))
    assert ours["loss"][-1] < 0.5 * ours["loss"][0]
    np.testing.assert_allclose(theirs["loss"], ours["loss"], rtol=1e-5)
    x = xp.asarray(data()[0], device=xp.place.device)
    for _ in range(3):  # walked, recorded, planned
        np.testing.assert_allclose(to_numpy(twin.predict(x)), to_numpy(reference.predict(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("twin", "ours"), [(MySGD, pnn.SGD), (MyAdam, pnn.Adam)])
def test_optimizers(xp, twin, ours):
    expected = fitted(network(xp), ours(0.05), epochs=6)["loss"]
    assert expected[-1] < 0.7 * expected[0]
    np.testing.assert_allclose(fitted(network(xp), twin(0.05), epochs=6)["loss"], expected, rtol=1e-5)


def test_a_rule_sees_shapes_and_its_slots_may_have_their_own(xp):
    net, optimizer = network(xp), LARS(1.0)
    before = {name: to_numpy(p).astype("float64") for name, p in net.parameters.items()}
    grads = {name: to_numpy(g).astype("float64") for name, g in net.gradient(*data()).items()}
    fitted(net, optimizer, epochs=1, batch_size=60, shuffle=False)
    for name, p in before.items():
        ratio = 0.02 * np.linalg.norm(p) / np.linalg.norm(grads[name])
        np.testing.assert_allclose(to_numpy(net.parameters[name]), p - ratio * grads[name], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(to_numpy(optimizer.state[name][0]), np.full(p.shape[:-1], ratio), rtol=1e-4)


class Declared(MySGD):
    """Elementwise in its own body."""

    elementwise = True
    seen: tuple[int, ...] = ()

    def rule(self, kernels, params, grads, slots, numbers):
        type(self).seen = tuple(p.ndim for p in params)
        return super().rule(kernels, params, grads, slots, numbers)


class Inherited(Declared):
    """A subclass, which has declared nothing."""


def test_only_declared_rules_get_flat_arrays():
    for kind, seen in ((Declared, (1,)), (Inherited, (2, 1, 2, 1))):
        net = pnn.Sequential(*LAYERS["all"](), loss=pnn.SoftmaxWithLoss(), seed=0)
        losses = fitted(net, kind(0.5))["loss"]
        assert kind.seen == seen
        reference = pnn.Sequential(*LAYERS["all"](), loss=pnn.SoftmaxWithLoss(), seed=0)
        assert losses == fitted(reference, pnn.SGD(0.5))["loss"]


class HalfAdam(pnn.Adam):
    """Somebody's subclass of ours, which reads what it gave to ours."""

    def rule(self, kernels, params, grads, slots, numbers):
        updated, slots = super().rule(kernels, params, grads, slots, numbers)
        return [p + 0.5 * (u - p) for p, u in zip(params, updated, strict=True)], slots


def test_a_subclass_of_ours_may_read_what_it_gave(xp):
    half = fitted(network(xp), HalfAdam(0.02))["loss"]
    np.testing.assert_allclose(half, fitted(network(xp), pnn.Adam(0.01))["loss"], rtol=1e-5)


class Scaled(pnn.Layer):
    """y = x / max |x|, by a Python number that is computed from the data, with a branch on the data."""

    passes = 0

    def forward_pass(self, run, params, x):
        self.passes += 1
        s = 1.0 / float(run.place.xp.max(run.place.xp.abs(x)))
        y = run.kernels.leaky_relu(x * s, slope=0.1) if s < 0.5 else x * s
        return y, (x * s, s)

    def backward_pass(self, run, params, saved, dy):
        z, s = saved
        return (run.kernels.leaky_relu_gradient(dy, z, slope=0.1) if s < 0.5 else dy) * s, {}


def scaled(x):
    s = 1.0 / np.max(np.abs(x))
    return np.where((x * s > 0) | (s >= 0.5), x * s, 0.1 * x * s)


def test_numbers_and_branches_follow_the_data(xp):
    x, t = data()
    net = network(xp, (Scaled(), pnn.Affine(3, 2)))
    x_at = [xp.asarray(part, device=xp.place.device) for part in (x, 100 * x, 0.1 * x, x)]
    W, b = (to_numpy(net.parameters[name]) for name in ("1.W", "1.b"))
    for _ in range(3):
        for at in x_at:
            np.testing.assert_allclose(to_numpy(net.predict(at)), scaled(to_numpy(at)) @ W + b, rtol=1e-4, atol=1e-6)
    # A training step of each kind of batch, against one that was never recorded.
    big = np.concatenate([x[:16], 0.1 * x[:16], 50 * x[:16]])
    losses = pnn.Trainer(net, pnn.SGD(0.1)).fit(big, np.tile(t[:16], 3), batch_size=16, shuffle=False, progress=False)
    fresh = network(xp, (Scaled(), pnn.Affine(3, 2)))
    total, optimizer = 0.0, pnn.SGD(0.1)
    for start in (0, 16, 32):
        batch = xp.asarray(big[start : start + 16], device=xp.place.device), t[:16]
        total += float(fresh.loss(*batch, training=True)) / 3
        optimizer.update(fresh.parameters, fresh.gradient(*batch))
    assert losses["loss"][0] == pytest.approx(total, rel=1e-5)


@pytest.mark.skip_xp_backends("jax", reason="a plan is made where arrays are computed at once")
def test_the_pass_of_a_users_layer_runs_once_a_step(xp):
    layer = Scaled()
    fitted(network(xp, (layer, pnn.Affine(3, 2))), pnn.SGD(0.1), epochs=2, batch_size=20)
    assert layer.passes == 6


def test_layers_around_a_users_layer_stay_planned():
    net = pnn.Sequential(pnn.Affine(3, 8), MyReLU(), pnn.Affine(8, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    trainer = pnn.Trainer(net, pnn.SGD(0.1))
    trainer.fit(*data(), batch_size=20, progress=False)
    (plan,) = trainer._step._plans.values()
    assert isinstance(trainer._step, PlannedStep)
    assert isinstance(plan, Plan)
    assert "MyReLU_forward" in plan.source
    assert "softmax_loss" in plan.source


class Memory(pnn.Layer):
    """Keeps every input that it ever got."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward_pass(self, run, params, x):
        self.seen.append((x, to_numpy(x).copy()))
        return x, None

    def backward_pass(self, run, params, saved, dy):
        return dy, {}


def test_what_a_users_layer_keeps_stays_as_it_was():
    memory = Memory()
    net = pnn.Sequential(
        pnn.Affine(3, 8), pnn.ReLU(), memory, pnn.Sigmoid(), pnn.Affine(8, 2), loss=pnn.SoftmaxWithLoss()
    )
    fitted(net, pnn.SGD(0.1))
    assert len(memory.seen) == 16
    for array, copied in memory.seen:
        np.testing.assert_array_equal(array, copied)


class Temperature(pnn.Layer):
    """Divides by an attribute that begins with an underscore."""

    def __init__(self, value):
        super().__init__()
        self._temperature = value

    def forward_pass(self, run, params, x):
        return x / self._temperature, ()

    def backward_pass(self, run, params, saved, dy):
        return dy / self._temperature, {}


def test_hidden_attributes_count(xp):
    net = network(xp, (pnn.Affine(3, 2), Temperature(1.0)))
    x = xp.asarray(data()[0], device=xp.place.device)
    for _ in range(3):
        before = to_numpy(net.predict(x))
    net.layers[1]._temperature = 10.0
    np.testing.assert_allclose(to_numpy(net.predict(x)), before / 10.0, rtol=1e-5)


class Squared(pnn.Layer):
    """Declared recordable: the same kernels whatever the data."""

    recordable = True

    def forward_pass(self, run, params, x):
        return run.kernels.power(x, exponent=2), x

    def backward_pass(self, run, params, saved, dy):
        return run.kernels.power_gradient(dy, saved, 2), {}


def test_a_declared_layer_is_recorded_keywords_and_all(xp):
    losses = fitted(network(xp, (pnn.Affine(3, 8), Squared(), pnn.Affine(8, 2))), pnn.SGD(0.05))["loss"]
    expected = fitted(network(xp, (pnn.Affine(3, 8), pnn.Power(2), pnn.Affine(8, 2))), pnn.SGD(0.05))["loss"]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


class Axis(enum.IntEnum):
    FEATURES = 1


class Swapped(pnn.Layer):
    """The second half of the features before the first; names its axis by an enumeration, which Python cannot spell."""

    recordable = True

    def forward_pass(self, run, params, x):
        first, second = run.kernels.split(x, (4, 4), Axis.FEATURES)
        return run.kernels.concatenate([second, first], Axis.FEATURES), None

    def backward_pass(self, run, params, saved, dy):
        return self.forward_pass(run, params, dy)[0], {}


def test_an_argument_of_a_kernel_may_be_of_any_class(xp):
    layers = pnn.Affine(3, 8), pnn.Tanh(), Swapped(), Swapped(), pnn.Affine(8, 2)
    losses = fitted(network(xp, layers), pnn.SGD(0.1))["loss"]
    plain = pnn.Affine(3, 8), pnn.Tanh(), pnn.Identity(), pnn.Identity(), pnn.Affine(8, 2)
    expected = fitted(network(xp, plain), pnn.SGD(0.1))["loss"]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_layers_made_elsewhere_and_weights_of_classes_leave_plans_alone():
    loss = pnn.SoftmaxWithLoss(class_weight=[1.0, 3.0])
    trainer = pnn.Trainer(pnn.Sequential(pnn.Affine(3, 8), pnn.ReLU(), pnn.Affine(8, 2), loss=loss, seed=0))
    trainer.fit(*data(), batch_size=20, progress=False)
    (plan,) = trainer._step._plans.values()
    assert plan is not None
    pnn.MatMul()
    pnn.Sequential(pnn.MatMul(2, 2), seed=0).predict(np.ones((1, 2), np.float32))
    trainer.fit(*data(), batch_size=20, progress=False)
    assert list(trainer._step._plans.values()) == [plan]


def test_jax_says_once_what_runs_uncompiled():
    pytest.importorskip("jax")
    layers = pnn.Affine(3, 8), MyReLU(), pnn.Affine(8, 2)
    trainer = pnn.Trainer(pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp="jax"), MySGD(0.1))
    with pytest.warns(UserWarning, match="MyReLU, MySGD run uncompiled"):
        trainer.fit(*data(), progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.fit(*data(), progress=False)


class Change(pnn.Callback):
    """Replaces an option after the second epoch."""

    def __init__(self, change):
        self.change = change

    def on_epoch(self, trainer, epoch, record):
        if epoch == 2:
            self.change(trainer)


CHANGES = {
    "rate of a dropout": lambda trainer: setattr(trainer.network.layers[1], "rate", 0.0),
    "weight decay": lambda trainer: setattr(trainer.optimizer, "weight_decay", 0.5),
    "learning rate": lambda trainer: setattr(trainer.optimizer, "lr", 1e-4),
    "option of the loss": lambda trainer: setattr(trainer.network.loss_function, "label_smoothing", 0.3),
    "loss": lambda trainer: setattr(trainer.network, "loss_function", pnn.SoftmaxWithLoss(label_smoothing=0.3)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_options_that_a_callback_replaces_act_everywhere(xp, change):
    def run(xp):
        net = network(xp, (pnn.Affine(3, 8), pnn.Dropout(0.5), pnn.Affine(8, 2)))
        return fitted(net, pnn.SGD(0.1), epochs=4, callbacks=[Change(CHANGES[change])])["loss"]

    unchanged = fitted(network(xp, (pnn.Affine(3, 8), pnn.Dropout(0.5), pnn.Affine(8, 2))), pnn.SGD(0.1), epochs=4)[
        "loss"
    ]
    changed = run(xp)
    assert changed[:2] == unchanged[:2]
    assert abs(changed[3] - unchanged[3]) > 1e-3 * unchanged[3]


@pytest.mark.parametrize("name", ["optimizer", "network", "compile"])
def test_what_cannot_act_is_refused(name):
    class Replace(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            setattr(trainer, name, None)

    net = pnn.Sequential(pnn.Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    with pytest.raises(RuntimeError, match=f"{name} cannot be replaced while fit runs"):
        fitted(net, pnn.SGD(0.1), callbacks=[Replace()])


def test_an_optimizer_belongs_to_one_network():
    optimizer = pnn.SGD(0.1)
    first, second = (pnn.Sequential(pnn.Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0) for _ in range(2))
    fitted(first, optimizer)
    fitted(first, optimizer)
    before = to_numpy(second.parameters["0.W"]).copy()
    with pytest.raises(ValueError, match="a new network needs a new optimizer"):
        fitted(second, optimizer)
    np.testing.assert_array_equal(to_numpy(second.parameters["0.W"]), before)


def _cloudpickled(thing):
    cloudpickle = pytest.importorskip("cloudpickle")
    return pickle.loads(cloudpickle.dumps(thing))


COPIES = {
    "copy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "cloudpickle": _cloudpickled,
}


@pytest.mark.parametrize("made", COPIES)
def test_a_copy_of_a_trainer_goes_on_as_the_trainer_would(xp, made):
    if backend_name(xp.place.xp) == "array_api_strict" and made != "copy":
        pytest.skip("arrays of array-api-strict cannot be pickled on every device")
    x, t = data()
    trainer = pnn.Trainer(network(xp), pnn.Adam(0.02))
    trainer.fit(x, t, epochs=2, batch_size=16, progress=False)
    copied = COPIES[made](trainer)
    expected = [trainer.fit(x, t, epochs=2, batch_size=16, progress=False)["loss"] for _ in range(2)]
    got = [copied.fit(x, t, epochs=2, batch_size=16, progress=False)["loss"] for _ in range(2)]
    assert got == expected
    assert math.isfinite(expected[-1][-1])


def test_a_copy_made_while_training_goes_on_alone():
    class Copy(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            if epoch == 2:
                self.copied = copy.deepcopy(trainer)

    watcher, x, t = Copy(), *data()
    net = pnn.Sequential(pnn.Affine(3, 8), pnn.ReLU(), pnn.Affine(8, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    losses = fitted(net, pnn.Adam(0.02), epochs=4, callbacks=[watcher])["loss"]
    assert watcher.copied.fit(x, t, epochs=2, batch_size=16, progress=False)["loss"] == losses[2:]


def test_a_moved_copy_carries_no_tape(xp):
    net = network(xp)
    net.forward(x=data()[0])
    assert net._tape is not None
    assert net.to(dtype="float32")._tape is None


class Same(pnn.Layer):
    """Returns what it gets."""

    def forward_pass(self, run, params, x):
        return x, None

    def backward_pass(self, run, params, saved, dy):
        return dy, {}


@pytest.mark.parametrize("layers", [(pnn.Identity(),), (pnn.Flatten(),), (Same(),), (pnn.Dropout(0.5), pnn.Flatten())])
def test_predict_returns_no_memory_of_the_caller(xp, layers):
    x = xp.asarray(data()[0].copy(), device=xp.place.device)
    before, net = to_numpy(x).copy(), network(xp, layers)
    for _ in range(3):
        y = net.predict(x)
        np.testing.assert_array_equal(to_numpy(y), before)
        if backend_name(xp.place.xp) == "torch" or (backend_name(xp.place.xp) == "numpy" and y.flags.writeable):
            y[...] = 0.0
        np.testing.assert_array_equal(to_numpy(x), before)


class Branching(pnn.Layer):
    """Says that it is recordable, and calls other kernels for other data."""

    recordable = True

    def forward_pass(self, run, params, x):
        k = run.kernels
        return (k.power(x, 2), x) if float(run.place.xp.max(x)) > 5 else (k.power(x, 3), x)

    def backward_pass(self, run, params, saved, dy):
        return run.kernels.power_gradient(dy, saved, 2), {}


def test_check_layer_finds_what_is_not_recordable():
    x = 10.0 * np.abs(data()[0][:5]).astype("float64")
    assert check_layer(Squared(), x).ok
    with pytest.raises(AssertionError, match="says it is recordable"):
        check_layer(Branching(), x, raises=False)


class Counts(pnn.Layer):
    """Counts its passes in a public attribute."""

    def __init__(self):
        super().__init__()
        self.passes = 0

    def forward_pass(self, run, params, x):
        self.passes += 1
        return x, None

    def backward_pass(self, run, params, saved, dy):
        return dy, {}


def test_what_a_users_layer_writes_down_throws_no_plan_away():
    net = pnn.Sequential(pnn.Affine(3, 8), Counts(), pnn.Affine(8, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    trainer = pnn.Trainer(net, pnn.SGD(0.1))
    trainer.fit(*data(), batch_size=20, progress=False)
    assert net[1].passes == 30
    assert len(trainer._step._plans) == 1


class ByTheLargest(pnn.Layer):
    """y = x / max |x|, the maximum a Python number, with the derivative by it."""

    def forward_pass(self, run, params, x):
        top = float(run.place.xp.max(run.place.xp.abs(x)))
        return x / top, (x, top)

    def backward_pass(self, run, params, saved, dy):
        x, top = saved
        xp = run.place.xp
        at_top = xp.astype(xp.abs(x) == top, x.dtype) * xp.sign(x)
        return dy / top - at_top * (xp.sum(dy * x) / (top * top)), {}


def test_check_layer_leaves_out_oracles_that_cannot_follow():
    report = check_layer(ByTheLargest(), data()[0][:5].astype("float64"))
    assert report.ok
    assert {row.oracle for row in report.rows} == {"central differences"}
    assert len({row.oracle for row in check_layer(MyReLU(), data()[0][:5]).rows}) >= 1


class Misshapen(MyAffine):
    """Returns gradients of other shapes, or too few."""

    def __init__(self, grads):
        super().__init__(3, 2)
        self._given = grads

    def backward_pass(self, run, params, saved, dy):
        dx, grads = super().backward_pass(run, params, saved, dy)
        return dx, self._given(run.place.xp, grads)


@pytest.mark.parametrize(
    ("grads", "words"),
    [
        (lambda xp, g: g | {"b": xp.sum(g["b"])}, r"needs a gradient of shape \(2,\) for .*b, got shape \(\)"),
        (lambda xp, g: g | {"b": g["b"][None, :]}, r"needs a gradient of shape \(2,\) for .*b, got shape \(1, 2\)"),
    ],
)
def test_gradients_of_other_shapes_are_refused(xp, grads, words):
    with pytest.raises(pnn.ShapeError, match=words):
        fitted(network(xp, (Misshapen(grads),)), pnn.SGD(0.1))


def test_a_gradient_that_is_left_out_is_asked_for():
    net = pnn.Sequential(Misshapen(lambda xp, g: {"W": g["W"]}), loss=pnn.SoftmaxWithLoss(), seed=0)
    with pytest.raises(pnn.ShapeError, match=r"Misshapen needs a gradient of shape .* for b, got none, but for W"):
        fitted(net, pnn.SGD(0.1))


class HeavyBall(pnn.Optimizer):
    """p - lr g + 0.5 (p - previous p): keeps the parameters that it got, and gives them back as its slot."""

    slots = ("previous",)

    def new_slots(self, parameter):
        return (parameter + 0.0,)

    def rule(self, kernels, params, grads, slots, numbers):
        updated = [
            p - numbers["lr"] * g + 0.5 * (p - before) for p, g, before in zip(params, grads, slots[0], strict=True)
        ]
        return updated, [params]


class FlatHeavyBall(HeavyBall):
    """The same, for all parameters at once."""

    elementwise = True


@pytest.mark.parametrize("kind", [HeavyBall, FlatHeavyBall])
def test_a_rule_may_give_back_what_it_got(xp, kind):
    net, optimizer = network(xp), kind(0.1)
    fitted(net, optimizer, epochs=3, batch_size=60, shuffle=False)
    reference = network(xp)
    before = {name: to_numpy(p).astype("float64") for name, p in reference.parameters.items()}
    now = dict(before)
    for _ in range(3):
        for name, p in now.items():
            reference.parameters[name] = p.astype("float32")
        grads = {name: to_numpy(g).astype("float64") for name, g in reference.gradient(*data()).items()}
        before, now = now, {n: p - 0.1 * grads[n] + 0.5 * (p - before[n]) for n, p in now.items()}
    for name, p in now.items():
        np.testing.assert_allclose(to_numpy(net.parameters[name]), p, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(to_numpy(optimizer.state[name][0]), before[name], rtol=1e-4, atol=1e-6)
