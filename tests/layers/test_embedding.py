"""The embedding: rows, sums of gradients, padding, ties, and what is refused."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.kernels import PORTABLE, kernels_for
from portable_nn.testing import float64_enabled

X = np.array([[3, 1, 0], [2, 0, 0], [3, 3, 5]])


def summed(dy, x, count, padding=None):
    """Return the gradient, one use after the other."""
    dW = np.zeros((count, dy.shape[-1]))
    for row, part in zip(x.ravel(), dy.reshape(-1, dy.shape[-1]), strict=True):
        if row != padding:
            dW[row] += part
    return dW


def test_rows_and_the_sums_of_their_uses(xp):
    W = np.arange(24.0).reshape(6, 4)
    layer = pnn.Embedding.from_arrays(xp.asarray(W, dtype=xp.float32), padding_index=5)
    y = layer.forward(xp.asarray(X))
    np.testing.assert_array_equal(to_numpy(y), W[X])
    dy = np.random.default_rng(0).standard_normal((3, 3, 4))
    assert layer.backward(xp.asarray(dy, dtype=xp.float32)) == ()
    np.testing.assert_allclose(to_numpy(layer.grads["W"]), summed(dy, X, 6, padding=5), atol=1e-6)


@pytest.mark.parametrize("count", [1, 6, 1000])
def test_the_gradient_is_that_of_one_use_after_the_other_and_has_the_same_bits_each_time(xp64, count):
    rng, place = np.random.default_rng(0), pnn.Place(xp64.backend.library, xp64.backend.device, "float64")
    for shape in [(0,), (1,), (700,), (30, 7)]:
        x, dy = rng.integers(0, count, shape), rng.standard_normal((*shape, 3))
        given = place.asarray(dy), place.asarray(x, place.index_dtype), count
        for kernels in PORTABLE, kernels_for(place.xp):
            for padding in None, 0:
                found = [to_numpy(kernels.embedding_gradient(*given, padding)) for _ in range(3)]
                np.testing.assert_allclose(found[0], summed(dy, x, count, padding), rtol=1e-12, atol=1e-12)
                assert {array.tobytes() for array in found} == {found[0].tobytes()}


def test_nan_stays_in_its_row(xp):
    dy = np.ones((3, 3, 4))
    dy[0, 1, 2] = np.nan
    place = xp.place
    for kernels in PORTABLE, kernels_for(place.xp):
        dW = to_numpy(kernels.embedding_gradient(place.asarray(dy), place.asarray(X, place.index_dtype), 6, None))
        assert np.argwhere(np.isnan(dW)).tolist() == [[1, 2]]


def network(**options):
    layers = pnn.Embedding(6, 4, padding_index=0), pnn.Flatten(), pnn.Tanh(), pnn.Affine(12, 3)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, **options)


OPTIMIZERS = [
    lambda: pnn.SGD(0.1, weight_decay=0.1),
    lambda: pnn.Momentum(0.1, weight_decay=0.1),
    lambda: pnn.Adam(0.1, weight_decay=0.1),
    lambda: pnn.AdamW(0.1, weight_decay=0.1),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["SGD", "Momentum", "Adam", "AdamW"])
def test_padding_is_zero_and_stays_so(optimizer, xp):
    net, before = network(xp=xp, device=xp.place.device), network().arrays()[0]
    assert not before[0].any()
    assert before[1:].all()
    pnn.Trainer(net, optimizer()).fit(X, np.array([0, 1, 2]), epochs=3, progress=False)
    after = to_numpy(net.parameters["0.W"])
    assert not after[0].any()
    assert (after[[1, 2, 3, 5]] != before[[1, 2, 3, 5]]).all()
    assert np.isfinite(after).all()


def test_gradients_equal_torchs_tied_with_the_output_as_a_transpose():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    W, x, t = rng.standard_normal((7, 4)), rng.integers(0, 7, (5, 3)), rng.integers(0, 7, 5)
    embedding = pnn.Embedding(7, 4, padding_index=2)
    output = pnn.Affine(4, 7, W=embedding.parameters["W"].T)
    graph = pnn.Graph(loss=pnn.SoftmaxWithLoss(), dtype="float64")
    graph.output(output(pnn.Tanh()(pnn.layers.Mean(1)(embedding(graph.input("x"))))))
    graph.parameters["embedding1.W"] = W
    found = graph.gradient(x, t)
    theirs = torch.tensor(W, requires_grad=True)
    rows = torch.nn.functional.embedding(torch.tensor(x), theirs, padding_idx=2)
    torch.nn.functional.cross_entropy(torch.tanh(rows.mean(1)) @ theirs.T, torch.tensor(t)).backward()
    assert list(found) == ["embedding1.W", "affine1.b"]
    np.testing.assert_allclose(found["embedding1.W"], theirs.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("compile", [False, "auto"])
def test_training_equals_torchs(xp64, compile):
    torch = pytest.importorskip("torch")
    with float64_enabled(xp64.backend.library):
        rng = np.random.default_rng(0)
        x, t = rng.integers(0, 6, (40, 3)), rng.integers(0, 3, 40)
        net = network(dtype="float64").to(xp64.backend.library, device=xp64.backend.device)
        W, V, b = (torch.tensor(to_numpy(array).copy(), requires_grad=True) for array in net.arrays())
        pnn.Trainer(net, pnn.SGD(0.5), compile=compile).fit(
            x, t, epochs=20, batch_size=40, shuffle=False, progress=False
        )
        for _ in range(20):
            rows = torch.nn.functional.embedding(torch.tensor(x), W, padding_idx=0)
            loss = torch.nn.functional.cross_entropy(torch.tanh(rows.flatten(1)) @ V + b, torch.tensor(t))
            grads = torch.autograd.grad(loss, [W, V, b])
            with torch.no_grad():
                for parameter, grad in zip((W, V, b), grads, strict=True):
                    parameter -= 0.5 * grad
        for array, wanted in zip(net.arrays(), (W, V, b), strict=True):
            np.testing.assert_allclose(to_numpy(array), wanted.detach().numpy(), rtol=1e-10, atol=1e-12)


WRONG = {
    "floats": (X.astype("float32"), pnn.errors.DTypeError, r'needs x of whole numbers, got dtype .*astype\("int64"\)'),
    "booleans": (X > 1, pnn.errors.DTypeError, "needs x of whole numbers"),
    "a negative number": (X - 1, ValueError, "from 0 to 5, got -1"),
    "a large number": (X + 1, ValueError, "from 0 to 5, got 6"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name):
    x, error, message = WRONG[name]
    layer, net, t = pnn.Embedding(6, 4, seed=0), network(), np.array([0, 1, 2])
    trainer = pnn.Trainer(net)
    for call in (
        *(lambda: layer.forward(x), lambda: net.predict(x), lambda: net.gradient(x, t), lambda: trainer.predict(x)),
        *(lambda: trainer.fit(x, t, progress=False), lambda: trainer.evaluate(x, t)),
        lambda: trainer.fit([(X, t), (x, t)], progress=False),
        lambda: trainer.fit(X, t, validation_data=(x, t), progress=False),
        lambda: pnn.testing.check_layer(layer, x),
    ):
        with pytest.raises(error, match=message):
            call()


def test_floats_are_refused_by_every_backend(xp):
    with pytest.raises(pnn.errors.DTypeError, match=r"\.(astype|long)\("):
        pnn.Embedding(6, 4, xp=xp, device=xp.place.device, seed=0).forward(xp.asarray(X, dtype=xp.float32))


@pytest.mark.parametrize("padding", [-1, 6, 1.5, "first"])
def test_padding_that_is_no_row(padding):
    with pytest.raises(ValueError, match="padding_index to be a whole number from 0 to 5"):
        pnn.Embedding(6, 4, padding_index=padding)


def test_sizes_shapes_and_initializers():
    with pytest.raises(pnn.errors.ShapeError, match="needs count"):
        pnn.Embedding(0, 4)
    with pytest.raises(TypeError, match="initializer needs to be a function"):
        pnn.Embedding(3, 4, W="normal", padding_index=1)
    with pytest.raises(pnn.errors.ShapeError, match="of shape"):
        pnn.Embedding(3, 4).forward(np.array(1))
    W = pnn.Embedding(2000, 50, seed=0).params["W"]
    assert W.mean() == pytest.approx(0.0, abs=0.02)
    assert W.std() == pytest.approx(1.0, abs=0.02)
    half = pnn.Embedding(3, 4, W=pnn.initializers.constant(0.5), padding_index=1, seed=0).params["W"]
    assert half.tolist() == [[0.5] * 4, [0.0] * 4, [0.5] * 4]


def test_files_and_checkpoints_keep_it(tmp_path):
    net, t = network(), np.array([0, 1, 2])
    pnn.Trainer(net).fit(X, t, epochs=2, checkpoint=tmp_path / "run", progress=False)
    net.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors")
    assert repr(loaded) == repr(net)
    assert "Embedding(6, 4, padding_index=0)" in repr(loaded)
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    whole, half = network(), network()
    pnn.Trainer(whole).fit(X, t, epochs=4, progress=False)
    trainer = pnn.Trainer(half)
    trainer.fit(X, t, epochs=4, checkpoint=tmp_path / "run", resume=True, progress=False)
    for array, wanted in zip(half.arrays(), whole.arrays(), strict=True):
        np.testing.assert_array_equal(array, wanted)


def test_the_shape_of_a_sample_is_not_that_of_a_later_layer():
    net = network()
    assert net.input_shape() is None
    assert "(N, 3, 4)" in net.summary((3,))
