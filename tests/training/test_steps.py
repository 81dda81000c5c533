"""Ways of stepping: planned, compiled, many in a call; whichever it is, the run is the same."""

import importlib.util
import shutil

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.errors import MissingExtraError
from portable_nn.training.batches import Batches
from portable_nn.training.compiled_step import CompiledStep
from portable_nn.training.planned_step import PlannedStep
from portable_nn.training.step import training_step

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((130, 6)).astype("float32"), RNG.integers(0, 3, 130)
WEIGHT = RNG.uniform(0.5, 2.0, 130)


def network(backend="numpy", width=8, **options):
    layers = pnn.Affine(6, width), pnn.ReLU(), pnn.Dropout(0.2), pnn.Affine(width, 3)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(**options), seed=0).to(backend)


def needs(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"missing package {backend}")


def trained(net, compile, *, weight=None, **options):
    """Return what training leaves: losses and parameters, on NumPy."""
    trainer = pnn.Trainer(net, pnn.Adam(lr=pnn.Cosine(1e-2, steps=20)), compile=compile)
    x, t = net.place.asarray(X), net.place.asarray(T, net.place.index_dtype)
    history = trainer.fit(x, t, epochs=3, batch_size=20, sample_weight=weight, progress=False, **options)
    return history["loss"], [pnn.to_numpy(array) for array in net.parameters.values()]


def assert_same_run(run, other):
    np.testing.assert_allclose(run[0], other[0], rtol=2e-6)
    for one, two in zip(run[1], other[1], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch.compile's own imports
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize(("backend", "compiler"), [("numpy", "numba"), ("torch", "torch"), ("jax", "jax")])
def test_a_compiled_run_is_the_same_run(backend, compiler, weight):
    needs(backend)
    needs(compiler)
    if backend == "torch" and shutil.which("g++") is None:
        pytest.skip("torch.compile needs g++")
    expected = trained(network(), False, weight=weight)
    assert_same_run(trained(network(backend), True, weight=weight), expected)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("loss", [{}, {"class_weight": [1.0, 2.0, 0.5]}, {"reduction": "sum"}])
def test_steps_joined_in_one_call_are_the_same_steps(loss, shuffle, monkeypatch):
    needs("jax")
    counts = []
    take = CompiledStep.take
    monkeypatch.setattr(CompiledStep, "take", lambda *args: counts.append(len(args[2])) or take(*args))
    monkeypatch.setattr("portable_nn.training.compiled_step._STEPS", 4)
    joined = trained(network("jax", **loss), True, shuffle=shuffle)
    assert counts == 3 * [4, 1, 1, 1]  # 6 whole batches, one of 10 samples
    assert_same_run(joined, trained(network(**loss), False, shuffle=shuffle))


def test_the_portable_steps_are_steps_one_after_the_other():
    net, optimizer = network("array_api_strict"), pnn.SGD(0.1)
    step = training_step(net, optimizer)
    assert isinstance(step, CompiledStep)
    x, t = net.place.asarray(X), net.place.asarray(T, net.place.index_dtype)
    done = step.take([x, t, None], np.arange(60).reshape(3, 20))
    assert (done.rows, optimizer.steps) == ([20, 20, 20], 3)
    again = network("array_api_strict")
    one = training_step(again, pnn.SGD(0.1))
    losses = [float(one(x[i : i + 20, :], t[i : i + 20])) for i in (0, 20, 40)]
    np.testing.assert_array_equal(pnn.to_numpy(done.losses), np.asarray(losses, "float32"))
    np.testing.assert_array_equal(pnn.to_numpy(done.weights), 20.0)


def test_how_many_steps_are_joined_depends_on_the_work():
    needs("jax")
    small, large = (training_step(network("jax", width), pnn.SGD()) for width in (8, 200_000))
    assert small.steps_in_a_call(20) == 50
    assert large.steps_in_a_call(128) == 1
    assert training_step(network("jax"), pnn.SGD(), compile=False).steps_in_a_call(20) == 1


@pytest.mark.parametrize("batches", [1, 2])
def test_a_bad_loss_among_joined_steps_is_found_and_undone(batches):
    needs("jax")
    net = network("jax")
    before = [pnn.to_numpy(array) for array in net.parameters.values()]
    x, t = net.place.asarray(np.where(np.arange(130)[:, None] == 20 * batches, np.float32(3e38), X)), T
    trainer = pnn.Trainer(net, pnn.SGD(0.1))
    with pytest.raises(pnn.errors.DivergenceError, match=f"at step {batches + 1} "):
        trainer.fit(x, t, batch_size=20, epochs=1, shuffle=False, progress=False)
    for array, value in zip(net.parameters.values(), before, strict=True):
        np.testing.assert_array_equal(pnn.to_numpy(array), value)


@pytest.mark.parametrize("skip", [0, 1, 3, 4, 5, 6, 7])  # where a run stopped whose steps were not joined
def test_joined_steps_begin_anywhere(skip):
    needs("jax")
    ends = []
    for joined in (4, 1):
        net = network("jax")
        step = training_step(net, pnn.SGD(0.1))
        step.steps_in_a_call = lambda size, joined=joined: joined
        data = [net.place.asarray(X), *net.criterion.targets((130, 3), T, net.place, None)]
        batches = Batches(data, 20, shuffle=True, seed=0)
        assert sum(sum(done.rows) for done in step.over(batches, 1, skip)) == max(0, 130 - 20 * skip)
        ends.append([pnn.to_numpy(array) for array in net.arrays()])
    for one, two in zip(*ends, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("seconds", "skip", "interrupted", "told"),
    [
        (1e9, 0, False, [50, 50, 30]),
        (1e9, 20, False, [30, 50, 30]),  # of the epoch, wherever a run goes on
        (1e9, 0, True, [1] * 130),
        (-1.0, 0, False, [1] * 130),
    ],
)
def test_steps_are_told_of_at_fixed_ones_after_some_time_and_when_interrupted(
    seconds, skip, interrupted, told, monkeypatch
):
    monkeypatch.setattr("portable_nn.training.base_step._SECONDS", seconds)
    step, batches = training_step(network(), pnn.SGD(0.1)), Batches([X, T, WEIGHT], 1, shuffle=False, seed=0)
    groups = list(step.over(batches, 1, skip, lambda: interrupted))
    assert [len(done.rows) for done in groups] == told
    assert all(len(done.losses) == len(done.weights) == len(done.rows) for done in groups)
    np.testing.assert_allclose([float(w) for done in groups for w in done.weights], WEIGHT[skip:], rtol=1e-6)


def test_numpy_compiles_by_itself_only_large_networks(monkeypatch):
    needs("numba")

    def adam_of(step):
        assert isinstance(step, PlannedStep)
        return step._update_kernels.adam.__module__

    for width, compile, compiled in (
        (8, "auto", False),
        (8, True, True),
        (20_000, "auto", True),
        (20_000, False, False),
    ):
        step = training_step(network(width=width), pnn.Adam(), compile=compile)
        assert adam_of(step).endswith("_numba") == compiled
    net, find_spec = network(width=20_000), importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else find_spec(name))
    assert not adam_of(training_step(net, pnn.Adam())).endswith("_numba")


def test_changing_how_to_compile_makes_new_steps():
    net, optimizer = network(), pnn.SGD()
    step = training_step(net, optimizer, compile=False)
    assert training_step(net, optimizer, step, compile=False) is step
    assert training_step(net, optimizer, step, compile="auto") is not step


def test_what_cannot_be_compiled_is_an_error_before_anything_happens(monkeypatch):
    def fit(net, compile):
        pnn.Trainer(net, compile=compile).fit(X, T, progress=False)

    with pytest.raises(ValueError, match="compile needs to be \"auto\", True or False, got 'yes'"):
        fit(network(), "yes")
    with pytest.raises(ValueError, match="nothing compiles steps of array_api_strict"):
        fit(network("array_api_strict"), True)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else find_spec(name))
    with pytest.raises(MissingExtraError, match=r"compiling kernels needs the package numba: .*\[numba\]"):
        fit(network(), True)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch.compile's own imports
@pytest.mark.parametrize("groups", [None, {"*.b": {"lr_scale": 0.1}}])
def test_torch_compiles_a_step_once(groups):
    needs("torch")
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs g++")
    import torch._dynamo as dynamo

    net, x = network("torch"), RNG.standard_normal((40, 6)).astype("float32")
    optimizer = pnn.AdamW(groups=groups)
    dynamo.reset()
    dynamo.utils.counters.clear()
    pnn.Trainer(net, optimizer, compile=True).fit(x, T[:40], epochs=3, batch_size=20, progress=False)
    assert optimizer.steps == 6
    assert dynamo.utils.counters["stats"]["unique_graphs"] == 1
