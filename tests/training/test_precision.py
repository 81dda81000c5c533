"""Training in bfloat16 and float16: float32 weights beneath, and a loss scale that finds itself."""

import copy

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.kernels.portable import loss_scaling

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((48, 4)).astype("float32"), RNG.integers(0, 3, 48)
LOW = [("torch", "bfloat16"), ("torch", "float16"), ("jax", "float16"), ("cupy", "float16")]


@pytest.fixture(params=LOW, ids="-".join)
def place(request):
    try:
        return pnn.Place(request.param[0], None, request.param[1])
    except (pnn.MissingExtraError, pnn.BackendError) as error:
        pytest.skip(str(error))


@pytest.fixture(params=["torch", "jax", "cupy"])
def half(request):
    """A place that computes in float16."""
    try:
        return pnn.Place(request.param, None, "float16")
    except (pnn.MissingExtraError, pnn.BackendError) as error:
        pytest.skip(str(error))


def net(place, *more):
    layers = pnn.Affine(4, 8), pnn.BatchNorm(8), pnn.Tanh(), pnn.Dropout(0.2), *more, pnn.Affine(8, 3)
    loss = pnn.SoftmaxWithLoss()
    return pnn.Sequential(*layers, loss=loss, seed=0, xp=place.xp, device=place.device, dtype=place.precision)


def arrays(network):
    return [np.array(to_numpy(array)) for array in network.arrays()]


def same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


OPTIONS = {"batch_size": 8, "progress": False}


def test_a_step_updates_the_float32_weights_by_the_float32_gradient(place):
    network = net(place)
    with pnn.random.replayed():
        gradient = {name: to_numpy(g) for name, g in copy.deepcopy(network).gradient(X, T).items()}
    before = {name: to_numpy(p).copy() for name, p in network.parameters.items()}
    pnn.Trainer(network, pnn.SGD(1e-6)).fit(X, T, epochs=1, batch_size=48, shuffle=False, progress=False)
    eps = 2.0**-8 if place.precision == "bfloat16" else 2.0**-11
    for name, parameter in network.parameters.items():
        assert str(parameter.dtype).endswith("float32")
        step = (before[name] - to_numpy(parameter)) / 1e-6
        rounding = 2.0**-24 * np.abs(before[name]).max() / 1e-6  # of the update, and of the gradient
        close = rounding + 4 * eps * np.abs(gradient[name]).max() + 2.0**-23
        np.testing.assert_allclose(step, gradient[name], atol=close)
    for state in network.states.values():
        assert str(state.dtype).endswith("float32")


def test_updates_too_small_for_a_low_precision_add_up(place):
    network = pnn.Sequential(pnn.MatMul(1, 1), loss=pnn.MeanSquaredError("sum"), xp=place.xp, dtype=place.precision)
    network.parameters["0.W"] = np.ones((1, 1), "float32")
    one, far = np.ones((1, 1), "float32"), np.zeros((1, 1), "float32")
    trainer = pnn.Trainer(network, pnn.SGD(1e-6))
    trainer.fit(np.repeat(one, 100, 0), np.repeat(far, 100, 0), epochs=1, batch_size=1, progress=False)
    # The gradient of w^2 at 1 is 2, as long as 1 - w is less than a rounding of w.
    assert float(to_numpy(network.parameters["0.W"])[0, 0]) == pytest.approx(1 - 2e-4, abs=1e-5)


@pytest.mark.parametrize("what", ["adam", "groups", "accumulate", "callbacks"])
def test_a_run_goes_on_to_the_bit(place, what, tmp_path, monkeypatch):
    if place.backend == "jax" and what not in ("adam", "callbacks"):
        pytest.skip("compiling takes long")
    monkeypatch.setattr(loss_scaling, "_PERIOD", 5)
    options = OPTIONS | ({"accumulate": 2} if what == "accumulate" else {})
    groups = {"*.b": {"lr_scale": 0.5}} if what == "groups" else None

    def parts():
        watchers = [pnn.EMA(0.9), pnn.EarlyStopping(50, monitor="val_loss")] if what == "callbacks" else []
        network = net(place)
        return network, pnn.Trainer(network, pnn.AdamW(1e-2, groups=groups)), options | {"callbacks": watchers}

    whole, trainer, how = parts()
    history = trainer.fit(X, T, epochs=3, validation_data=(X, T), **how)
    scale = trainer.optimizer.loss_scale
    _, first, how = parts()
    first.fit(X, T, epochs=2, validation_data=(X, T), checkpoint=tmp_path, **how)
    rest, second, how = parts()
    again = second.fit(X, T, epochs=3, validation_data=(X, T), checkpoint=tmp_path, resume=True, **how)
    same(arrays(rest), arrays(whole))
    assert again["loss"] == history["loss"]
    assert again["loss"][-1] < again["loss"][0]
    if place.precision == "float16":
        np.testing.assert_array_equal(to_numpy(scale), to_numpy(second.optimizer.loss_scale))
        assert float(scale[0]) > 2.0**15
    assert str(pnn.load(tmp_path / "best.safetensors", place.xp).place) == str(place)


def test_a_copy_of_a_trainer_goes_on_alike(place):
    network = net(place)
    trainer = pnn.Trainer(network, pnn.Adam(1e-2))
    trainer.fit(X, T, epochs=1, **OPTIONS)
    other = copy.deepcopy(trainer)
    for one in (trainer, other):
        one.fit(X, T, epochs=1, **OPTIONS)
    same(arrays(network), arrays(other.network))


def test_callbacks_see_the_gradient_in_float32_and_unscaled(place):
    class Look(pnn.Callback):
        def on_gradients(self, trainer, gradients):
            self.seen = {name: np.array(to_numpy(g)) for name, g in gradients.items()}
            self.kinds = {str(g.dtype).rpartition(".")[2] for g in gradients.values()}
            return {name: 0.0 * g for name, g in gradients.items()}

    network, look = net(place), Look()
    with pnn.random.replayed():
        exact = copy.deepcopy(network).to("numpy", dtype="float32").gradient(X, T)
    before = {name: to_numpy(p).copy() for name, p in network.parameters.items()}
    pnn.Trainer(network, pnn.SGD(1.0)).fit(
        X, T, epochs=1, batch_size=48, shuffle=False, progress=False, callbacks=[look]
    )
    assert look.kinds == {"float32"}
    for name, gradient in exact.items():
        np.testing.assert_allclose(look.seen[name], gradient, atol=0.02 * max(np.abs(gradient).max(), 0.1))
    same(before.values(), [to_numpy(p) for p in network.parameters.values()])


def test_frozen_parameters_and_those_somebody_assigns_are_cast_too(place):
    network = net(place)
    network.freeze("0")
    trainer = pnn.Trainer(network, pnn.SGD(0.1))

    class Assign(pnn.Callback):
        def on_batch(self, trainer, step, record):
            for name in ("0.W", "5.W") if step == 1 and "5.W" in trainer.network.parameters else ("0.W", "4.W"):
                if step == 1:
                    trainer.network.parameters[name] = np.zeros(trainer.network.parameters[name].shape, "float32")

    trainer.fit(X, T, epochs=1, callbacks=[Assign()], **OPTIONS)
    assert not np.any(to_numpy(network.parameters["0.W"]))
    assert np.any(to_numpy(network.parameters["4.b"]))


def test_compiled_and_eager_steps_agree():
    pytest.importorskip("jax")
    found = []
    for compiled in (True, False):
        network = net(pnn.Place("jax", None, "float16"))
        trainer = pnn.Trainer(network, pnn.SGD(0.1), compile=compiled)
        trainer.fit(X[:16], T[:16], epochs=1, **OPTIONS)
        found.append(arrays(network))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=0.01)


# The loss scale.


def scaled_by_hand(finite, scale=2.0**15, good=0, period=2000):
    """The loop of Micikevicius et al., section 3.2 and 5, in the words of torch's GradScaler."""
    for is_finite in finite:
        if not is_finite:
            scale, good = max(scale / 2, 2.0**-14), 0
        else:
            good += 1
            if good == period:
                scale, good = min(2 * scale, 2.0**24), 0
    return scale, good


@pytest.mark.parametrize("library", ["numpy", "array_api_strict", "torch", "jax"])
def test_the_loss_scale_follows_the_gradients(library, monkeypatch):
    pytest.importorskip(library)
    place = pnn.Place(library)
    monkeypatch.setattr(loss_scaling, "_PERIOD", 3)
    for share in (0.05, 0.5, 0.99):
        finite = np.random.default_rng(0).random(60) > share
        state, counted = place.asarray(loss_scaling.FIRST_LOSS_SCALE), []
        for is_finite in finite:
            grads = [place.asarray([1.0, 2.0]), place.asarray([[3.0 if is_finite else np.nan]])]
            counts, state = loss_scaling.next_loss_scale(state, grads)
            counted.append(bool(counts))
        assert tuple(to_numpy(state)) == scaled_by_hand(finite, period=3)
        smallest = [scaled_by_hand(finite[:i], period=3)[0] == 2.0**-14 for i in range(60)]
        assert counted == [bool(good or least) for good, least in zip(finite, smallest, strict=True)]


class Explosive(pnn.Layer):
    """The identity, whose derivative is multiplied by a number."""

    options = ("by",)

    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward_pass(self, run, params, x):
        return x + 0.0, None

    def backward_pass(self, run, params, saved, dy):
        return dy * self.by, {}


def test_an_update_whose_gradient_overflows_is_left_out_whole(half):
    network = net(half, Explosive(2.0**12))
    before, optimizer = arrays(network), pnn.Adam(1e-3)
    trainer = pnn.Trainer(network, optimizer, compile=False)
    trainer.fit(X[:8], T[:8], epochs=1, **OPTIONS)
    same(before, arrays(network))  # states, too
    assert to_numpy(optimizer.loss_scale).tolist() == [2.0**14, 0]
    assert not any(np.any(to_numpy(slot)) for slots in optimizer.state.values() for slot in slots)
    trainer.fit(X[:8], T[:8], epochs=25, **OPTIONS)
    scale, good = to_numpy(optimizer.loss_scale).tolist()
    assert 2.0**0 < scale < 2.0**14
    assert good > 0
    assert all(np.any(one != other) for one, other in zip(before, arrays(network), strict=True))
    assert all(np.isfinite(array).all() for array in arrays(network))


def test_gradients_below_the_range_survive(half):
    network = pnn.Sequential(
        pnn.MatMul(1, 1), Explosive(1e-4), pnn.MatMul(1, 1), loss=pnn.MeanSquaredError(), xp=half.xp, dtype="float16"
    )
    for name in network.parameters:
        network.parameters[name] = np.ones((1, 1), "float32")
    x, t = np.full((8, 1), 2.0**-7, "float32"), np.full((8, 1), 2.0**-7 + 2.0**-12, "float32")
    pnn.Trainer(network, pnn.SGD(1e9), compile=False).fit(x, t, epochs=1, **OPTIONS)
    # dL/dW = 2 (y - t) 1e-4 x = -3.8e-10, where the smallest number of float16 is 6e-8.
    assert float(to_numpy(network.parameters["0.W"])[0, 0]) - 1 == pytest.approx(2e5 * 2.0**-12 * 2.0**-7, rel=0.01)


def test_what_is_never_finite_ends_in_an_error(half):
    network = net(half, Explosive(float("nan")))
    with pytest.raises(pnn.DivergenceError):
        pnn.Trainer(network, pnn.SGD(0.1), compile=False).fit(X, T, epochs=10, **OPTIONS)
    assert all(np.isfinite(array).all() for array in arrays(network))


def test_going_back_takes_the_loss_scale_along():
    pytest.importorskip("torch")
    network = net(pnn.Place("torch", None, "float16"))
    optimizer = pnn.SGD(0.1)

    class Spoil(pnn.Callback):
        def on_batch(self, trainer, step, record):
            if step == 3 and trainer.optimizer.lr_scale == 1:
                trainer.optimizer.loss_scale = trainer.optimizer.loss_scale * 0 + 1
                trainer.network.parameters["0.b"] = np.full(8, np.nan, "float32")

    with pytest.warns(UserWarning, match="going on from step 0"):
        pnn.Trainer(network, optimizer).fit(X, T, epochs=1, recoveries=1, callbacks=[Spoil()], **OPTIONS)
    assert to_numpy(optimizer.loss_scale).tolist() == [2.0**15, 6]


def test_bfloat16_learns_mnist_as_float32_does(mnist_folder):
    pytest.importorskip("torch")
    (x, t), test = pnn.datasets.load_mnist(mnist_folder)
    accuracy = {}
    for dtype in ("float32", "bfloat16"):
        layers = pnn.Affine(784, 512), pnn.ReLU(), pnn.Affine(512, 512), pnn.ReLU(), pnn.Affine(512, 10)
        network = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp="torch", dtype=dtype)
        pnn.Trainer(network, pnn.Adam(pnn.Cosine(1e-3, steps=469))).fit(x, t, epochs=1, batch_size=128, progress=False)
        accuracy[dtype] = float(network.accuracy(*test))
    assert accuracy["float32"] > 0.96
    assert accuracy["bfloat16"] == pytest.approx(accuracy["float32"], abs=0.003)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_several_losses_train_as_in_float32(half, accumulate):
    if half.backend == "jax":
        pytest.skip("compiling takes long")
    found = {}
    for dtype in ("float32", "float16"):
        graph = pnn.Graph(
            loss={"kind": pnn.SoftmaxWithLoss(), "size": pnn.MeanSquaredError()},
            loss_weights={"size": 0.5},
            seed=0,
            xp=half.xp,
            dtype=dtype,
        )
        hidden = pnn.Tanh()(pnn.Affine(4, 8)(graph.input("x")))
        graph.output(kind=pnn.Affine(8, 3)(hidden), size=pnn.Affine(8, 1)(hidden))
        targets = {"kind": T, "size": X[:, :1]}
        history = pnn.Trainer(graph, pnn.Adam(1e-2)).fit(X, targets, epochs=2, accumulate=accumulate, **OPTIONS)
        found[dtype] = [*history["loss"], *history["kind_loss"]]
    assert found["float16"] == pytest.approx(found["float32"], rel=2e-3)
