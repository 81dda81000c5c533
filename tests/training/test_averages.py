"""Averages of the weights, and optimizers that evaluate elsewhere than they train."""

import copy
import pickle
import signal

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import to_numpy

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((130, 6)).astype("float32"), RNG.integers(0, 3, 130)
X2, T2 = RNG.standard_normal((40, 6)).astype("float32"), RNG.integers(0, 3, 40)


def network(xp=None, **options):
    place = {} if xp is None else {"xp": xp.place.xp, "device": xp.place.device}
    layers = pnn.Affine(6, 8), pnn.ReLU(), pnn.Dropout(0.1), pnn.Affine(8, 3)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, **place, **options)


def weights(net):
    return {name: to_numpy(p).copy() for name, p in net.parameters.items()}


def fit(net, *callbacks, optimizer=None, epochs=4, **options):
    trainer = pnn.Trainer(net, optimizer or pnn.Momentum(0.1))
    trainer.fit(X, T, epochs=epochs, batch_size=20, callbacks=callbacks, progress=False, **options)
    return trainer


class Each(pnn.Callback):
    """Keeps the weights after every update and every epoch."""

    def __init__(self):
        self.updates, self.epochs = [], []

    def on_batch(self, trainer, step, record):
        self.updates.append(weights(trainer.network))

    def on_epoch(self, trainer, epoch, record):
        self.epochs.append(weights(trainer.network))


def assert_same(found, expected, atol=1e-6):
    for name, p in expected.items():
        np.testing.assert_allclose(found[name], p, rtol=0, atol=atol, err_msg=name)


def averaged(updates, decay):
    a = updates[0]
    for w in updates[1:]:
        a = {name: decay * a[name] + (1 - decay) * w[name] for name in a}
    return a


def test_ema_is_the_moving_average_and_training_does_not_see_it(xp):
    plain, seen = Each(), Each()
    fit(network(xp), plain)
    trainer = fit(net := network(xp), seen, pnn.EMA(decay=0.9))
    for one, two in zip(plain.updates, seen.updates, strict=True):
        assert_same(two, one)
    for epoch in range(4):  # what other callbacks see
        assert_same(seen.epochs[epoch], averaged(plain.updates[: 7 * (epoch + 1)], 0.9))
    assert_same(weights(net), seen.epochs[-1])
    assert max(np.max(np.abs(p - plain.epochs[-1][name])) for name, p in weights(net).items()) > 1e-3
    trainer.fit(X, T, epochs=1, batch_size=20, progress=False, callbacks=[again := Each()])
    more = fit(network(xp), whole := Each(), epochs=5)
    assert more.epochs == trainer.epochs == 5
    assert_same(again.updates[-1], whole.updates[-1], atol=1e-4)  # training went on with its own weights


def test_ema_equals_torch():
    torch = pytest.importorskip("torch")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    seen = Each()
    fit(net := network(), seen, pnn.EMA(decay=0.95))
    module = torch.nn.ParameterDict()
    names = {name: name.replace(".", "_") for name in seen.updates[0]}
    for name, key in names.items():
        module[key] = torch.nn.Parameter(torch.zeros(seen.updates[0][name].shape))
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.95))
    for update in seen.updates:
        for name, key in names.items():
            module[key].data = torch.tensor(update[name])
        average.update_parameters(module)
    assert_same(weights(net), {name: average.module[key].detach().numpy() for name, key in names.items()})


@pytest.mark.parametrize("start", [1, 3, 4])
def test_swa_is_the_mean_over_epochs(xp, start):
    plain, seen = Each(), Each()
    fit(network(xp), plain)
    fit(net := network(xp), seen, pnn.SWA(start=start))
    for epoch in range(1, 5):
        ends = plain.epochs[start - 1 : epoch] or [plain.epochs[epoch - 1]]
        assert_same(seen.epochs[epoch - 1], {name: np.mean([end[name] for end in ends], axis=0) for name in ends[0]})
    assert_same(weights(net), seen.epochs[-1])


def test_swa_that_has_not_begun_changes_nothing():
    fit(one := network(), pnn.SWA(start=9))
    fit(two := network())
    assert_same(weights(one), weights(two), atol=0)


@pytest.mark.parametrize("average", [lambda: pnn.EMA(0.9), lambda: pnn.SWA(2)])
def test_the_average_validates_and_is_saved(tmp_path, average):
    seen = Each()
    trainer = fit(net := network(), seen, average(), validation_data=(X2, T2), checkpoint=tmp_path)
    for epoch, end in enumerate(seen.epochs):
        other = network()
        for name, p in end.items():
            other.parameters[name] = p
        assert trainer.history["val_loss"][epoch] == pytest.approx(float(other.loss(X2, T2)), rel=1e-5)
    best = int(np.argmin(trainer.history["val_loss"]))
    assert_same(weights(pnn.load(tmp_path / "best.safetensors")), seen.epochs[best], atol=0)
    newest = sorted(tmp_path.glob("epoch-*"))[-1]
    assert_same(weights(pnn.load(newest)), weights(net), atol=0)


def test_early_stopping_brings_the_best_average_back():
    seen, stop = Each(), pnn.EarlyStopping(patience=1)
    trainer = fit(net := network(), stop, seen, pnn.EMA(0.5), epochs=30, validation_data=(X2, T2))
    assert_same(weights(net), seen.epochs[trainer.history.best_epoch - 1], atol=0)


def interrupting(epoch, step):
    class Interrupt(pnn.Callback):
        def on_batch(self, trainer, number, record):
            if (trainer.epochs, number) == (epoch, step):
                signal.raise_signal(signal.SIGINT)

    return Interrupt()


@pytest.mark.parametrize("recoveries", [0, 2])
@pytest.mark.parametrize("step", [3, 7])
@pytest.mark.parametrize("average", [lambda: pnn.EMA(0.9), lambda: pnn.SWA(2)])
def test_a_resumed_run_has_the_same_average(tmp_path, average, step, recoveries):
    options = {"validation_data": (X2, T2), "recoveries": recoveries}
    whole = fit(one := network(), average(), **options)
    fit(network(), average(), interrupting(3, step), checkpoint=tmp_path, **options)
    again = fit(two := network(), average(), checkpoint=tmp_path, resume=True, **options)
    assert_same(weights(two), weights(one), atol=0)
    assert again.history["val_loss"] == whole.history["val_loss"]


def test_another_decay_is_another_run(tmp_path):
    fit(network(), pnn.EMA(0.9), checkpoint=tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"callbacks \(0\.decay\) was 0\.9, now it is 0\.8"):
        fit(network(), pnn.EMA(0.8), checkpoint=tmp_path, resume=True)
    with pytest.raises(ValueError, match="its callbacks was"):
        fit(network(), checkpoint=tmp_path, resume=True)


def test_a_run_that_goes_back_takes_the_average_back():
    class Spoil(pnn.Callback):
        done = False

        def on_batch(self, trainer, step, record):
            if trainer.epochs == 2 and step == 3 and not self.done:
                self.done = True
                trainer.network.parameters["0.W"] = np.full((6, 8), np.nan, "float32")

    with pytest.warns(UserWarning, match="going on from step"):
        fit(net := network(), Spoil(), pnn.EMA(0.9), recoveries=1)
    assert all(np.all(np.isfinite(p)) for p in weights(net).values())


def test_what_a_callback_puts_into_the_network_stays():
    class Put(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            trainer.network.parameters["0.b"] = np.full(8, 7.0, "float32")

    seen = Each()
    fit(network(), pnn.EMA(0.5), Put(), seen, optimizer=pnn.SGD(1e-4))
    for update in seen.updates[7:]:
        assert np.all(np.abs(update["0.b"] - 7.0) < 0.1)


def test_an_error_leaves_the_weights_of_training():
    class Fail(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            raise OSError("no more")

    seen, net = Each(), network()
    with pytest.raises(OSError, match="no more"):
        fit(net, pnn.EMA(0.5), seen, Fail())
    assert_same(weights(net), seen.updates[-1], atol=0)


def test_copies_of_trainers_go_on_alike():
    trainer = fit(network(), pnn.EMA(0.9))
    others = [copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))]
    ends = []
    for each in (trainer, *others):
        each.fit(X, T, epochs=1, batch_size=20, progress=False)
        ends.append(weights(each.network))
    assert_same(ends[1], ends[0], atol=0)
    assert_same(ends[2], ends[0], atol=0)


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0])
def test_wrong_numbers_are_refused(decay):
    with pytest.raises(ValueError, match="decay needs to be in"):
        pnn.EMA(decay)
    with pytest.raises(ValueError, match="SWA needs start to be a whole number of at least 1"):
        pnn.SWA(start=0)


class ScheduleFree(pnn.Optimizer):
    """Defazio et al. (2024), eq. 3 to 5: z is trained, x averages z, the gradient is taken at y = 0.1 z + 0.9 x."""

    elementwise = True
    recordable = True
    slots = ("z", "x")

    def new_slots(self, parameter):
        return parameter + 0, parameter + 0

    def numbers(self):
        return {"lr": self.lr, "share": 1.0 / (self.steps + 1)}

    def rule(self, kernels, params, grads, slots, numbers):
        lr, c = numbers["lr"], numbers["share"]
        z = [z - lr * g for z, g in zip(slots[0], grads, strict=True)]
        x = [x * (1.0 - c) + z * c for x, z in zip(slots[1], z, strict=True)]
        return [z * 0.1 + x * 0.9 for z, x in zip(z, x, strict=True)], [z, x]

    def evaluation_weights(self, params):
        return {name: self.state[name][1] if name in self.state else p for name, p in params.items()}


def test_optimizers_may_evaluate_elsewhere_than_they_train(xp, tmp_path):
    layers = pnn.Affine(6, 8), pnn.ReLU(), pnn.Affine(8, 3)
    where = {"xp": xp.place.xp, "device": xp.place.device}
    net = pnn.Sequential(*copy.deepcopy(layers), loss=pnn.SoftmaxWithLoss(), seed=0, **where)
    y = weights(net)
    z, x = dict(y), dict(y)
    options = {"batch_size": 130, "shuffle": False, "progress": False, "validation_data": (X2, T2)}
    trainer = pnn.Trainer(net, ScheduleFree(0.5))
    trainer.fit(X, T, epochs=6, checkpoint=tmp_path, **options)
    trainer.fit(X, T, epochs=4, **options)
    other = pnn.Sequential(*copy.deepcopy(layers), loss=pnn.SoftmaxWithLoss(), seed=0)
    losses = []
    for step in range(10):
        for name in y:
            other.parameters[name] = y[name]
        for name, g in other.gradient(X, T).items():
            z[name] = z[name] - 0.5 * g
            x[name] = x[name] * (1 - 1 / (step + 1)) + z[name] / (step + 1)
            y[name] = 0.1 * z[name] + 0.9 * x[name]
        for name in x:
            other.parameters[name] = x[name]
        losses.append(float(other.loss(X2, T2)))
        if step == 5:
            assert_same(weights(pnn.load(sorted(tmp_path.glob("epoch-*"))[-1])), x, atol=1e-5)
    np.testing.assert_allclose(trainer.history["val_loss"], losses[6:], rtol=1e-4)
    assert_same(weights(net), x, atol=1e-5)
    resumed = pnn.Sequential(*copy.deepcopy(layers), loss=pnn.SoftmaxWithLoss(), seed=0, **where)
    pnn.Trainer(resumed, ScheduleFree(0.5)).fit(X, T, epochs=10, checkpoint=tmp_path, resume=True, **options)
    assert_same(weights(resumed), x, atol=1e-5)
