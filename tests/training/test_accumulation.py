"""Small batches whose gradients are added up: the run is that of the large batch."""

import signal
import threading
import tracemalloc

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import to_numpy
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.planned_step import PlannedStep

RNG = np.random.default_rng(0)
N = 1030  # 11 batches of 100, the last of 30; in batches of 25, the last group has 2, the last of 5
X = RNG.standard_normal((N, 6)).astype("float32")
T = RNG.integers(0, 3, N)
WEIGHT = RNG.uniform(0.0, 2.0, N)
WEIGHT[:60] = 0.0


def network(xp=None, loss=None, outputs=3):
    layers = pnn.Affine(6, 10), pnn.ReLU(), pnn.Dropout(0.3), pnn.Affine(10, 8), pnn.Tanh(), pnn.Dropout(0.2)
    place = {} if xp is None else {"xp": xp.place.xp, "device": xp.place.device}
    return pnn.Sequential(*layers, pnn.Affine(8, outputs), loss=loss or pnn.SoftmaxWithLoss(), seed=0, **place)


def trained(net, optimizer=None, *, x=X, t=T, epochs=10, callbacks=(), **options):
    trainer = pnn.Trainer(net, optimizer or pnn.Momentum(0.05))
    history = trainer.fit(x, t, epochs=epochs, callbacks=callbacks, progress=False, **options)
    return history["loss"], {name: to_numpy(p).copy() for name, p in net.parameters.items()}


def assert_same(run, expected, atol=1e-6):
    np.testing.assert_allclose(run[0], expected[0], rtol=1e-5)
    for name, p in expected[1].items():
        np.testing.assert_allclose(run[1][name], p, rtol=0, atol=atol, err_msg=name)


def test_four_small_batches_are_a_large_one(xp):
    # 110 steps, with dropout, partial last batches and a partial last group
    expected = trained(network(xp), batch_size=100)
    assert_same(trained(network(xp), batch_size=25, accumulate=4), expected)
    start = network(xp).parameters
    assert max(np.max(np.abs(p - to_numpy(start[name]))) for name, p in expected[1].items()) > 0.1


LOSSES = {
    "class weights": lambda: pnn.SoftmaxWithLoss(class_weight=[0.2, 1.0, 3.0]),
    "balanced": lambda: pnn.SoftmaxWithLoss(class_weight="balanced"),
    "sum": lambda: pnn.SoftmaxWithLoss("sum"),
}


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("loss", LOSSES)
def test_it_is_weighted_exactly(xp, loss, weight):
    options = {"sample_weight": weight, "epochs": 2, "shuffle": False}  # in the first batch some parts weigh nothing
    optimizer = lambda: pnn.SGD(1e-3 if loss == "sum" else 0.1)  # noqa: E731  (one of its own for each run)
    expected = trained(network(xp, LOSSES[loss]()), optimizer(), batch_size=100, **options)
    assert_same(trained(network(xp, LOSSES[loss]()), optimizer(), batch_size=25, accumulate=4, **options), expected)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_losses_of_several_outputs(xp, weight):
    # The last batch has 7 rows, in micro-batches of 3, 3 and 1.
    few, t = slice(295), RNG.standard_normal((295, 2)).astype("float32")
    weight = None if weight is None else weight[few]
    runs = [
        trained(network(xp, pnn.Huber(), 2), x=X[few], t=t, sample_weight=weight, epochs=2, **options)
        for options in ({"batch_size": 12}, {"batch_size": 4, "accumulate": 3}, {"batch_size": 1, "accumulate": 12})
    ]
    assert_same(runs[1], runs[0])
    assert_same(runs[2], runs[0])


def test_a_batch_that_weighs_nothing_changes_nothing(xp):
    net = network(xp)
    before = {name: to_numpy(p).copy() for name, p in net.parameters.items()}
    weight = np.zeros(N)
    run = trained(net, pnn.SGD(0.1), sample_weight=weight, batch_size=25, accumulate=4, epochs=1)
    assert run[0] == [0.0]
    for name, p in before.items():
        np.testing.assert_array_equal(run[1][name], p)


def stream(size, weights=None):
    def batches(epoch):
        order = np.random.default_rng(epoch).permutation(N)
        for number, start in enumerate(range(0, N, size)):
            rows = order[start : start + size]
            extra = () if weights is None or (weights == "some" and number % 2) else (np.ones(len(rows)),)
            yield (X[rows], T[rows], *extra)

    return batches


@pytest.mark.parametrize("weights", [None, "some"])
def test_streams_are_accumulated_too(xp, weights):
    expected = trained(network(xp), x=stream(100), t=None, epochs=3)
    assert_same(trained(network(xp), x=stream(25, weights), t=None, epochs=3, accumulate=4), expected)


def test_streams_of_other_shapes_are_refused():
    flat = pnn.Sequential(pnn.Flatten(), pnn.Affine(6, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    batches = [(X[:5], T[:5]), (X[:5].reshape(5, 2, 3), T[:5])]
    trained(flat, x=batches, t=None, epochs=1)
    with pytest.raises(pnn.ShapeError, match=r"samples of one shape, got x \(5, 6\) with t \(5,\), x \(5, 2, 3\)"):
        trained(flat, x=batches, t=None, epochs=1, accumulate=2)


class Watch(pnn.Callback):
    def __init__(self):
        self.steps, self.gradients = [], []

    def on_batch(self, trainer, step, record):
        self.steps.append((step, float(record["loss"])))

    def on_gradients(self, trainer, gradients):
        self.gradients.append({name: to_numpy(g).copy() for name, g in gradients.items()})


def test_callbacks_are_told_once_an_update(xp):
    seen = [Watch(), Watch()]
    trained(network(xp), callbacks=[seen[0]], batch_size=100, epochs=1)
    trained(network(xp), callbacks=[seen[1]], batch_size=25, accumulate=4, epochs=1)
    assert [step for step, _ in seen[1].steps] == list(range(1, 12))
    np.testing.assert_allclose([loss for _, loss in seen[1].steps], [loss for _, loss in seen[0].steps], rtol=1e-5)
    assert len(seen[1].gradients) == 11
    for one, two in zip(seen[0].gradients, seen[1].gradients, strict=True):
        for name, g in one.items():
            np.testing.assert_allclose(two[name], g, atol=1e-6)


@pytest.mark.parametrize("source", ["arrays", "stream"])
def test_a_run_goes_on_within_an_epoch_with_the_same_bits(tmp_path, source):
    data = {"x": X, "t": T, "batch_size": 25} if source == "arrays" else {"x": stream(25), "t": None}
    options = data | {"accumulate": 4, "epochs": 3}
    whole = trained(network(), pnn.Adam(0.01), **options)

    class Broken(pnn.Callback):
        def on_batch(self, trainer, step, record):
            if (trainer.epochs, step) == (2, 5):
                signal.raise_signal(signal.SIGINT)

    trainer = pnn.Trainer(network(), pnn.Adam(0.01))
    trainer.fit(**options, progress=False, callbacks=[Broken()], checkpoint=tmp_path)
    assert trainer.history.stopped == "interrupted in epoch 2"
    again = trained(network(), pnn.Adam(0.01), checkpoint=tmp_path, resume=True, **options)
    for name, p in whole[1].items():
        np.testing.assert_array_equal(again[1][name], p)


def test_another_number_is_another_run(tmp_path):
    trained(network(), epochs=1, batch_size=25, accumulate=4, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="accumulate was 4, now it is 1"):
        trained(network(), epochs=2, batch_size=25, checkpoint=tmp_path, resume=True)
    with pytest.raises(ValueError, match="batch_size was 25, now it is 100"):
        trained(network(), epochs=2, batch_size=100, checkpoint=tmp_path, resume=True)


@pytest.mark.parametrize("number", [0, -1, 1.5, "4"])
def test_wrong_numbers_are_refused(number):
    with pytest.raises(ValueError, match="fit needs accumulate to be a whole number of at least 1"):
        trained(network(), accumulate=number)


def test_one_micro_batch_is_the_plain_step():
    one, other = trained(network(), batch_size=100), trained(network(), batch_size=100, accumulate=1)
    for name, p in one[1].items():
        np.testing.assert_array_equal(other[1][name], p)


class Counted(pnn.Layer):
    """Counts how often its passes run: on JAX, how often they are traced."""

    recordable = True
    passes = 0

    def forward_pass(self, run, params, x):
        Counted.passes += 1
        return x, None

    def backward_pass(self, run, params, saved, dy):
        Counted.passes += 1
        return dy, {}


@pytest.mark.parametrize("rows", [64, 65])
def test_compiling_does_not_grow_with_the_number_of_micro_batches(rows):
    pytest.importorskip("jax")
    counts = []
    for accumulate in (4, 32):
        layers = pnn.Affine(6, 4), pnn.BatchNorm(4), pnn.Dropout(0.2), Counted(), pnn.Affine(4, 3)
        net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp="jax")
        Counted.passes = 0
        trained(net, x=X[:rows], t=T[:rows], batch_size=-(-rows // accumulate), accumulate=accumulate, epochs=2)
        counts.append(Counted.passes)
    assert counts[0] == counts[1] <= 6  # what the results are like, all micro-batches but the last, and the last


def test_a_batch_is_summed_up_in_turn(xp):
    kernels = pnn.kernels.kernels_for(xp.place.xp)
    x, y = (xp.asarray(RNG.standard_normal((7, 2)), dtype=xp.float32) for _ in range(2))

    def function(state, first, batch):
        (x, y), nothing = batch
        assert nothing is None
        return [state[0] * 0.5 + xp.sum(x)], (xp.sum(y), [first + 1, x.shape[0]]), (2.0 * x, y)

    for rows in (1, 3, 7):
        state, (total, numbers), outputs = kernels.accumulate(function, [xp.sum(x) * 0.0], ((x, y), None), rows)
        expected = 0.0
        for first in range(0, 7, rows):
            expected = expected * 0.5 + to_numpy(x)[first : first + rows].sum()
        np.testing.assert_allclose(float(state[0]), expected, rtol=1e-5)
        np.testing.assert_allclose(float(total), to_numpy(y).sum(), rtol=1e-5)
        np.testing.assert_array_equal(to_numpy(outputs[0]), 2.0 * to_numpy(x))
        np.testing.assert_array_equal(to_numpy(outputs[1]), to_numpy(y))
        assert [int(number) for number in numbers] == [sum(first + 1 for first in range(0, 7, rows)), 7]


def test_the_sum_takes_no_new_memory_a_step():
    wide = pnn.Sequential(pnn.Affine(6, 40_000), pnn.Affine(40_000, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    trainer = pnn.Trainer(wide, pnn.SGD(0.01), compile=False, threads=1)
    options = {"batch_size": 2, "accumulate": 3, "epochs": 1, "progress": False}
    trainer.fit(X[:12], T[:12], **options)
    step = trainer._step
    assert isinstance(step, PlannedStep)
    x, t, _ = wide.batch(X[:6], T[:6])
    step(x, t)
    memory = [array.ctypes.data for array in (step.vector, step.slope, step._total)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    step(x, t)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert memory == [array.ctypes.data for array in (step.vector, step.slope, step._total)]
    assert peak < step.vector.nbytes / 4


DRAWS = {
    "channel_mask": lambda kernels, x, key: kernels.channel_mask(x, 0.5, x.ndim - 1, key, 3),
    "gaussian_noise": lambda kernels, x, key: kernels.gaussian_noise(x, 0.5, key, 3),
}


@pytest.mark.parametrize("draw", DRAWS)
def test_what_is_drawn_for_rows_is_a_part_of_the_whole(xp, draw):
    kernels, key = pnn.kernels.kernels_for(xp.place.xp), (123, -456)
    for shape in ((12, 5), (12, 5, 2), (60, 2)):
        whole = to_numpy(DRAWS[draw](kernels, xp.zeros(shape, dtype=xp.float32), key))
        assert np.unique(whole, axis=0).shape[0] > 2
        each = shape[0] // 12
        for start, stop in ((0, 4), (4, 8), (3, 4)):
            x = xp.zeros((each * (stop - start), *shape[1:]), dtype=xp.float32)
            part = to_numpy(DRAWS[draw](kernels, x, (*key, start, stop - start)))
            np.testing.assert_allclose(part, whole[each * start : each * stop], rtol=1e-6)


def test_random_layers_draw_for_micro_batches_what_they_draw_for_the_batch(xp):
    def net():
        layers = pnn.Affine(6, 8), pnn.SELU(), pnn.AlphaDropout(0.3), pnn.GaussianNoise(0.2), pnn.Reshape([2, 4])
        place = {"xp": xp.place.xp, "device": xp.place.device}
        more = pnn.SpatialDropout(0.3), pnn.Flatten(), pnn.Affine(8, 3)
        return pnn.Sequential(*layers, *more, loss=pnn.SoftmaxWithLoss(), seed=0, **place)

    expected = trained(net(), batch_size=100, epochs=3)
    assert_same(trained(net(), batch_size=25, accumulate=4, epochs=3), expected)


def test_masks_of_rows_are_rows_of_the_whole_mask(xp):
    kernels = pnn.kernels.kernels_for(xp.place.xp)
    key = (123, -456)
    whole = to_numpy(kernels.dropout_mask(xp.zeros((12, 5, 2), dtype=xp.float32), 0.5, key, 3))
    for start, stop in ((0, 4), (4, 8), (8, 12), (3, 4)):
        part = xp.zeros((stop - start, 5, 2), dtype=xp.float32)
        mask = to_numpy(kernels.dropout_mask(part, 0.5, (*key, start, stop - start), 3))
        np.testing.assert_array_equal(mask, whole[start:stop])
        # also where a layer has put the axes of a sample into the rows
        whole_flat = to_numpy(kernels.dropout_mask(xp.zeros((60, 2), dtype=xp.float32), 0.5, key, 3))
        flat = xp.zeros((5 * (stop - start), 2), dtype=xp.float32)
        mask = to_numpy(kernels.dropout_mask(flat, 0.5, (*key, start, stop - start), 3))
        np.testing.assert_array_equal(mask, whole_flat[5 * start : 5 * stop])


class Noise(pnn.Layer):
    """Adds what a hash of the row's number says: a random layer that draws otherwise than by the kernel."""

    is_random = True

    def forward_pass(self, run, params, x):
        rows = np.arange(x.shape[0]) + run.first_row
        noise = run.place.asarray(((rows * 2654435761 + run.next_key()[0][0]) % 1000 / 1000)[:, None])
        return x + noise, None

    def backward_pass(self, run, params, saved, dy):
        return dy, {}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_layers_of_one_s_own_find_their_rows(backend):
    pytest.importorskip(backend)

    def net():
        layers = pnn.Affine(6, 4), Noise(), pnn.Affine(4, 3)
        return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=backend)

    expected = trained(net(), batch_size=100, epochs=2)
    assert_same(trained(net(), batch_size=25, accumulate=4, epochs=2), expected)


def test_an_interrupted_stream_leaves_no_half_group():
    ended = threading.Event()

    def batches(epoch):
        for start in range(0, 150, 25):
            yield X[start : start + 25], T[start : start + 25]
        ended.wait(10)  # the next batch takes its time

    stream = BatchStream(batches, network(), again=False, accumulate=4)
    stream.interrupted = lambda: True
    groups = list(stream.epoch(1))
    ended.set()
    assert [x.shape[0] for x, _, _ in groups] == [100]
    stream.interrupted = lambda: False
    assert [x.shape[0] for x, _, _ in stream.epoch(1)] == [100, 50]
    assert [x.shape[0] for x, _, _ in stream.epoch(1, skip=1)] == [50]
