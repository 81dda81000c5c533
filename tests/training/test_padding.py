"""Batches of many lengths: few plans, and the losses of the batches as they come."""

import warnings

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.training import planned_step
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.samples import count

LENGTHS, MOST = 37, 8


def batches(count, labels="each", rows=(6, 6), weighted=False, dtype="float64", features=5, seed=1):
    """Return batches of sequences of 1 to 37 positions, with a label at each position or one for a sequence."""
    rng, made = np.random.default_rng(seed), []
    for k in range(count):
        n, t = int(rng.integers(rows[0], rows[1] + 1)), k % LENGTHS + 1 if k < LENGTHS else int(rng.integers(1, 38))
        shape = (n,) if labels == "one" else (n, t)
        x = rng.integers(0, 9, (n, t)) if labels == "words" else rng.standard_normal((n, t, features)).astype(dtype)
        batch = x, rng.integers(0, 3, shape)
        made.append((*batch, rng.random(shape).astype(dtype)) if weighted else batch)
    rng.shuffle(order := list(range(count)))
    return [made[i] for i in order]


def network(labels="each", xp="numpy", dtype="float64", loss=None):
    layers = [pnn.Embedding(9, 5)] if labels == "words" else []
    layers += [pnn.Affine(5, 8), pnn.ReLU(), pnn.Dropout(0.3)] + ([pnn.Mean(axis=1)] if labels == "one" else [])
    return pnn.Sequential(*layers, pnn.Affine(8, 3), loss=loss or pnn.SoftmaxWithLoss(), seed=0, dtype=dtype, xp=xp)


class Losses(pnn.Callback):
    """Keeps the loss of each step."""

    def __init__(self):
        self.losses = []

    def on_batch(self, trainer, step, record):
        self.losses.append(float(record["loss"]))


def fit(net, source, *, pad=True, compile=False, **options):
    """Return the losses of all steps, the record, and the trainer."""
    losses, trainer = Losses(), pnn.Trainer(net, pnn.Adam(0.01), compile=compile, pad=pad)
    history = trainer.fit(source, progress=False, callbacks=[losses], **{"epochs": 1} | options)
    return np.array(losses.losses), history, trainer


def arrays(net):
    return [to_numpy(array) for array in net.arrays()]


@pytest.fixture
def recordings(monkeypatch):
    made = []

    class Counted(planned_step.Recorder):
        def __init__(self, *args, **options):
            made.append(self)
            super().__init__(*args, **options)

    monkeypatch.setattr(planned_step, "Recorder", Counted)
    return made


ROWS = [(6, 6), (3, 11)]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("labels", ["words", "one"])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_400_batches_of_37_lengths_make_few_recordings_and_the_same_losses(backend, labels, rows, recordings):
    if backend != "numpy":
        pytest.importorskip(backend)
    source, net, plain = batches(400, labels, rows), network(labels, backend), network(labels)
    losses, history, _ = fit(net, source)
    assert len(recordings) <= MOST
    recordings.clear()
    expected, record, _ = fit(plain, source, pad=False)
    assert len(recordings) > 300
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-12)
    assert abs(history["loss"][0] - record["loss"][0]) < 1e-12
    for ours, theirs in zip(arrays(net), arrays(plain), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("labels", "count"), [("words", 100), ("one", 400)])
def test_batches_of_37_lengths_make_few_compilations(labels, count):
    jax = pytest.importorskip("jax")
    source, plain = batches(count, labels, (3, 11)), network(labels)
    with jax.enable_x64(True):
        net = network(labels, "jax")
        losses, _, trainer = fit(net, source, compile="auto")
        assert trainer._step._step._cache_size() <= MOST
    expected, _, _ = fit(plain, source, pad=False)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-12)


LOSSES = {
    "smoothed": lambda: pnn.SoftmaxWithLoss(label_smoothing=0.1),
    "weighted classes": lambda: pnn.SoftmaxWithLoss(class_weight=[0.2, 1.0, 3.0]),
    "ignoring": lambda: pnn.SoftmaxWithLoss(ignore_label=2),
    "sum": lambda: pnn.SoftmaxWithLoss("sum"),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels", ["each", "one"])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_and_weights_are_those_of_the_batches(loss, labels, weighted):
    source = batches(20, labels, (3, 11), weighted=weighted)
    pair = [fit(network(labels, loss=LOSSES[loss]()), source, pad=pad) for pad in (True, False)]
    np.testing.assert_allclose(pair[0][0], pair[1][0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(pair[0][1]["loss"], pair[1][1]["loss"], rtol=1e-13)


@pytest.mark.parametrize("kind", [pnn.MeanSquaredError, pnn.MeanAbsoluteError, pnn.Huber, pnn.SigmoidWithLoss])
@pytest.mark.parametrize("weights", [None, "samples", "outputs"])
def test_losses_of_numbers_do_not_see_padding(kind, weights):
    rng = np.random.default_rng(0)
    source = [(x, rng.random((*t.shape, 3))) for x, t in batches(20, rows=(3, 11))]
    if weights:
        source = [(x, t, rng.random(t.shape if weights == "outputs" else t.shape[:1])) for x, t in source]
    pair = [fit(network(loss=kind()), source, pad=pad) for pad in (True, False)]
    np.testing.assert_allclose(pair[0][0], pair[1][0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(pair[0][1]["loss"], pair[1][1]["loss"], rtol=1e-13)


@pytest.mark.parametrize("labels", ["words", "each", "one"])
def test_every_backend_pads_alike(labels, xp64):
    source = batches(12, labels, (3, 11))
    expected, _, _ = fit(network(labels), source, pad=False)
    losses, _, _ = fit(network(labels, xp64.place.xp), source)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-12)


def test_float32_is_as_exact_as_it_can_be(xp):
    source = batches(12, "one", (3, 11), dtype="float32")
    expected, _, _ = fit(network("one", dtype="float32"), source, pad=False)
    losses, _, _ = fit(network("one", xp.place.xp, dtype="float32"), source)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=2e-6)


def test_accumulated_batches_are_padded_together(recordings):
    rng = np.random.default_rng(0)
    source = [
        (rng.standard_normal((5, length, 5)), rng.integers(0, 3, (5, length)))
        for length in range(1, 18)
        for _ in range(3)
    ]
    pair = [fit(network(), source, pad=pad, accumulate=3) for pad in (True, False)]
    np.testing.assert_allclose(pair[0][0], pair[1][0], rtol=0, atol=1e-12)


class Scale(pnn.Layer):
    """2 x, of a class that says nothing of axes."""

    def forward_pass(self, run, params, x):
        return 2.0 * x, None

    def backward_pass(self, run, params, kept, dy):
        return 2.0 * dy, {}


class Positionwise(Scale):
    """2 x, at each position by itself."""

    positionwise = True


class Heir(Positionwise):
    """A subclass that does something else, at all positions."""

    def forward_pass(self, run, params, x):
        return x - run.place.xp.mean(x, axis=1, keepdims=True), None

    def backward_pass(self, run, params, kept, dy):
        return dy - run.place.xp.mean(dy, axis=1, keepdims=True), {}


def shapes(layer, source, labels="each"):
    """Return the shapes of batches as a network with a layer first gets them."""
    net = pnn.Sequential(layer, *network(labels).layers, loss=pnn.SoftmaxWithLoss(), seed=0, dtype="float64")
    stream = BatchStream(source, net, again=True, pad=True)
    found = {x[0].shape if isinstance(x, tuple) else x.shape for x, _, _ in stream.epoch(1)}
    assert stream.error is None
    return found, net


@pytest.mark.parametrize(
    ("layer", "is_padded"),
    [
        (Scale(), False),
        (Positionwise(), True),
        (Heir(), False),
        (pnn.Softmax(), True),
        (pnn.Transpose([0, 2, 1]), False),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_mixes_positions_or_says_nothing_is_not_padded(layer, is_padded):
    source = batches(7)
    if isinstance(layer, pnn.Transpose):
        layer = pnn.Sequential(layer, pnn.Softmax(), pnn.Transpose([0, 2, 1]))
    found, net = shapes(layer, source)
    assert (found != {x.shape for x, _ in source}) == is_padded
    losses, _, _ = fit(net, source)
    twin = shapes(layer, source)[1]
    expected, _, _ = fit(twin, source, pad=False)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-12)


def test_flatten_is_right_and_not_padded():
    rng = np.random.default_rng(0)
    source = [
        (rng.standard_normal((4, 3, 2)), rng.integers(0, 2, 4)),
        (rng.standard_normal((9, 3, 2)), rng.integers(0, 2, 9)),
        (rng.standard_normal((5, 3, 2)), rng.integers(0, 2, 5)),
    ]
    net = pnn.Sequential(pnn.Flatten(), pnn.Affine(6, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    stream = BatchStream(source, net, again=True, pad=True)
    assert [x.shape for x, _, _ in stream.epoch(1)] == [(4, 3, 2), (9, 3, 2), (8, 3, 2)]  # rows alone


def test_many_shapes_that_cannot_be_padded_are_named_once():
    source = batches(40)
    net = pnn.Sequential(Scale(), *network().layers, loss=pnn.SoftmaxWithLoss(), seed=0, dtype="float64")
    with pytest.warns(UserWarning, match=r"more than 8 shapes.* seen by Scale\(\).*positionwise = True") as caught:
        fit(net, source)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(network(), source)


def test_batches_of_one_shape_and_a_last_one_of_another_are_left_as_they_are():
    sizes = [5, 5, 5, 3]
    source = [(np.ones((n, 11, 5)), np.zeros((n, 11), int)) for n in sizes]
    stream = BatchStream(source, network(), again=True, pad=True)
    for epoch in (1, 2):
        assert [(x.shape, weight) for x, _, weight in stream.epoch(epoch)] == [((n, 11, 5), None) for n in sizes]


class MaskedMax(pnn.Layer):
    """The largest of the real positions: one that heeds the mask itself."""

    def padded_axes(self, axes, shapes):
        return () if axes[0] == (1,) else None

    def output_shape(self, shape):
        return shape[0], shape[2]

    def forward_pass(self, run, params, x):
        xp = run.place.xp
        if run.mask is not None:
            x = xp.where(run.mask[:, :, None], x, -xp.inf)
        y = xp.max(x, axis=1)
        return y, x == y[:, None, :]

    def backward_pass(self, run, params, kept, dy):
        return kept * dy[:, None, :], {}


def test_a_layer_of_ones_own_gets_the_mask(recordings):
    source = batches(30, "one")

    def made():
        return pnn.Sequential(
            pnn.Affine(5, 8), MaskedMax(), pnn.Affine(8, 3), loss=pnn.SoftmaxWithLoss(), seed=0, dtype="float64"
        )

    losses, _, _ = fit(made(), source)
    assert len(recordings) <= MOST
    expected, _, _ = fit(made(), source, pad=False)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-12)


def padded_by_hand(source, length=40):
    """Return batches with masks, of one length, with NaN-free nonsense behind."""
    made = []
    for x, t in source:
        n, real = x.shape[:2]
        whole, mask = np.full((n, length, x.shape[2]), 1e3), np.zeros((n, length), bool)
        whole[:, :real], mask[:, :real] = x, True
        made.append(({"x": whole, "mask": mask}, t))
    return made


def test_a_mask_comes_with_the_inputs_by_name(xp64):
    source = batches(6, "one")
    nets = [network("one", xp64.place.xp) for _ in range(2)]
    losses, _, _ = fit(nets[0], padded_by_hand(source))
    expected, _, _ = fit(nets[1], source, pad=False)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-12)
    (x, t), (given, _) = source[0], padded_by_hand(source)[0]
    for name, options in (("predict", ()), ("loss", (t,)), ("gradient", (t,)), ("accuracy", (t,))):
        masked, plain = getattr(nets[1], name)(given, *options), getattr(nets[1], name)(x, *options)
        if name == "gradient":
            continue  # with other dropout masks
        np.testing.assert_allclose(to_numpy(masked), to_numpy(plain), rtol=0, atol=1e-12)
    assert pnn.Trainer(nets[1]).evaluate(given, t) == pytest.approx(pnn.Trainer(nets[1]).evaluate(x, t), abs=1e-12)


def test_arrays_have_masks_too(xp):
    mask = np.arange(7) < np.random.default_rng(1).integers(1, 8, 64)[:, None]
    x, t = np.random.default_rng(0).standard_normal((64, 7, 5)).astype("float32"), np.arange(64) % 3
    other = np.where(mask[:, :, None], x, np.float32(7.0))
    ends = []
    for given in (x, other):
        net = network("one", xp.place.xp, dtype="float32")
        pnn.Trainer(net, pnn.SGD(0.1)).fit({"x": given, "mask": mask}, t, batch_size=16, epochs=2, progress=False)
        ends.append(arrays(net))
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    net = network("one", xp.place.xp, dtype="float32")
    pnn.Trainer(net, pnn.SGD(0.1)).fit(x, t, batch_size=16, epochs=2, progress=False)
    assert not np.allclose(arrays(net)[0], ends[0][0], atol=1e-5)


@pytest.mark.parametrize(
    ("mask", "error", "said"),
    [
        (np.ones((4, 6), bool), pnn.ShapeError, r"the mask needs the shape \(N, T\) of an input: \(4, 7\) of x"),
        (np.ones((4, 7)), pnn.DTypeError, "the mask needs booleans"),
    ],
)
def test_masks_that_are_none_are_refused(mask, error, said):
    with pytest.raises(error, match=said):
        network("one").predict({"x": np.ones((4, 7, 5)), "mask": mask})


def test_a_mask_is_padded_with_its_batch():
    source = [
        ({"x": x, "mask": np.arange(x.shape[1])[None, :] < np.arange(1, len(x) + 1)[:, None]}, t)
        for x, t in batches(20, "one", (3, 11))
    ]
    pair = [fit(network("one"), source, pad=pad) for pad in (True, False)]
    np.testing.assert_allclose(pair[0][0], pair[1][0], rtol=0, atol=1e-12)


class Stop(pnn.Callback):
    def on_batch(self, trainer, step, record):
        if step == 23:
            raise RuntimeError("stop")


def test_a_resumed_run_pads_as_it_would_have(tmp_path):
    def source(epoch):
        return batches(40, "each", (3, 11), seed=epoch)

    whole = network()
    pnn.Trainer(whole, pnn.Adam(0.01)).fit(source, epochs=3, progress=False)
    for _ in range(1):
        with pytest.raises(RuntimeError, match="stop"):
            pnn.Trainer(network(), pnn.Adam(0.01)).fit(
                source, epochs=3, progress=False, checkpoint=tmp_path / "run", callbacks=[Stop()], resume=True
            )
    net = network()
    pnn.Trainer(net, pnn.Adam(0.01)).fit(source, epochs=3, progress=False, checkpoint=tmp_path / "run", resume=True)
    assert [a.tobytes() for a in arrays(net)] == [a.tobytes() for a in arrays(whole)]


def test_pad_is_true_or_false():
    with pytest.raises(TypeError, match="pad needs True or False, got 8"):
        pnn.Trainer(network(), pad=8)


class Center(pnn.Layer):
    """x less its mean over the batch: rows are seen, positions are not."""

    recordable = True

    def padded_axes(self, axes, shapes):
        return axes[0] if axes[0] != (0,) else None

    def forward_pass(self, run, params, x):
        mean = run.kernels.mean_along(x, (0,), True)
        return run.kernels.subtract(x, mean), x.shape

    def backward_pass(self, run, params, kept, dy):
        return run.kernels.subtract(dy, run.kernels.mean_along(dy, (0,), True)), {}


def test_what_sees_rows_has_its_positions_padded_alone():
    source = batches(30, rows=(6, 7))
    found, net = shapes(Center(), source)
    assert {shape[0] for shape in found} == {6, 7}
    assert {shape[1] for shape in found} <= {8, 16, 32, 64, source[0][0].shape[1], source[1][0].shape[1]}
    losses, _, _ = fit(net, source)
    expected, _, _ = fit(shapes(Center(), source)[1], source, pad=False)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-12)


def graph():
    """Return a network of words and a table, with a label for each word and a number for each sequence."""
    g = pnn.Graph(loss={"tags": pnn.SoftmaxWithLoss(), "age": pnn.MeanSquaredError()}, seed=0, dtype="float64")
    words, table = g.input("words"), g.input("table")
    h = pnn.ReLU()(pnn.Affine(5, 8)(words))
    both = pnn.Concat()(pnn.Mean(1)(h), table)
    g.output(tags=pnn.Affine(8, 3)(h), age=pnn.Affine(12, 1)(both))
    return g


@pytest.mark.parametrize("weighted", [False, True])
def test_several_inputs_and_outputs_are_padded_where_they_are_sequences(weighted, recordings):
    rng, source = np.random.default_rng(0), []
    for x, t in batches(60, rows=(3, 11)):
        n = len(x)
        batch = {"words": x, "table": rng.standard_normal((n, 4))}, {"tags": t, "age": rng.standard_normal((n, 1))}
        source.append((*batch, {"age": rng.random(n)}) if weighted else batch)
    losses, history, _ = fit(graph(), source)
    assert len(recordings) <= MOST
    expected, record, _ = fit(graph(), source, pad=False)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-12)
    for name in ("loss", "tags_loss", "age_loss"):
        assert history[name] == pytest.approx(record[name], rel=1e-13)


def test_statistics_of_batches_are_those_of_real_rows(recordings):
    def made():
        # A bias before the norm has the gradient 0, of which Adam makes something else by rounding.
        layers = pnn.Affine(5, 8, bias=False), pnn.Mean(axis=1), pnn.BatchNorm(8), pnn.Affine(8, 3)
        return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, dtype="float64")

    source = batches(60, "one")
    nets = [made(), made()]
    losses, _, _ = fit(nets[0], source)
    assert len(recordings) <= MOST
    expected, _, _ = fit(nets[1], source, pad=False)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-12)
    for name, state in nets[0].states.items():
        np.testing.assert_allclose(state, nets[1].states[name], rtol=0, atol=1e-12)
    stream = BatchStream([(np.ones((n, 4, 5)), np.zeros(n, int)) for n in (4, 5, 6)], made(), again=True, pad=True)
    assert [count(x) for x, _, _ in stream.epoch(1)] == [4, 5, 6]


class Shapes(pnn.Layer):
    """Notes the shapes that it sees outside training, and changes nothing."""

    recordable = positionwise = True
    seen = frozenset()

    def forward_pass(self, run, params, x):
        if not run.training:
            Shapes.seen.add(tuple(x.shape))
        return x, None

    def backward_pass(self, run, params, kept, dy):
        return dy, {}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels", ["each", "one", "words"])
def test_jax_evaluates_few_shapes_alike(labels, weighted):
    jax = pytest.importorskip("jax")
    source, results = batches(60, labels, (3, 11), weighted), {}
    with jax.enable_x64(True):
        for backend in ("numpy", "jax"):
            first, *others = network(labels, backend).layers
            net = pnn.Sequential(first, Shapes(), *others, loss=pnn.SoftmaxWithLoss())
            Shapes.seen, trainer = set(), pnn.Trainer(net, pnn.SGD(1e-30))
            results[backend] = trainer.evaluate(source)
            history = trainer.fit(source[:2], epochs=1, validation_data=source, progress=False)
            assert (len(Shapes.seen) <= MOST) == (backend == "jax")
            assert abs(history["val_loss"][0] - results[backend]["loss"]) < 1e-12
    assert results["jax"].keys() == results["numpy"].keys() >= {"loss", "accuracy"}
    for name, value in results["numpy"].items():
        assert abs(results["jax"][name] - value) < 1e-12


def test_a_mask_is_for_its_own_batch_alone():
    source, net = batches(3, "one"), network("one")
    mixed = [*padded_by_hand(source[:1]), *source[1:]]
    scores, expected = (pnn.Trainer(net).evaluate(given) for given in (mixed, source))
    assert abs(scores["loss"] - expected["loss"]) < 1e-12


def test_evaluating_does_not_warn_of_shapes():
    pytest.importorskip("jax")
    layers = pnn.Affine(5, 8), pnn.Transpose(), pnn.Transpose(), pnn.Affine(8, 3)
    net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp="jax")
    source = [(np.ones((n, 5), np.float32), np.zeros(n, int)) for n in range(1, 14)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pnn.Trainer(net).evaluate(source)["loss"] > 0
