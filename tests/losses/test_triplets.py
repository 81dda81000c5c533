"""The triplet loss, beside its formula written anchor by anchor for torch's autograd."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.kernels.portable import losses_of_triplets

RNG = np.random.default_rng(0)
Y, T = RNG.standard_normal((12, 4)), np.array([3, 1, 3, -5, 1, 1, 3, 800, 1, 3, 2, 2])
REDUCTIONS, MININGS = ["mean", "sum", "none"], ["hardest", "all"]


def reference(y, t, margin, mining, reduction):
    """Return the loss of the paper, from a tensor y."""
    torch = pytest.importorskip("torch")
    losses, count = [], 0
    for a in range(len(t)):
        one = [(y[a] - y[p]).norm() for p in range(len(t)) if t[p] == t[a] and p != a]
        other = [(y[a] - y[n]).norm() for n in range(len(t)) if t[n] != t[a]]
        if not one or not other:
            losses.append(y[a].sum() * 0)
        elif mining == "hardest":
            losses.append((margin + max(one) - min(other)).clamp(min=0))
            count += 1
        else:
            losses.append(sum((margin + p - n).clamp(min=0) for p in one for n in other))
            count += len(one) * len(other)
    losses = torch.stack(losses)
    return losses if reduction == "none" else losses.sum() / (count if reduction == "mean" else 1)


@pytest.mark.parametrize("at_once", [1 << 22, 100])
@pytest.mark.parametrize("margin", [0.2, 1.5])
@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_as_the_formula_has_it(reduction, mining, margin, at_once, xp64, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(losses_of_triplets, "_AT_ONCE", at_once)
    y = torch.tensor(Y, requires_grad=True)
    expected = reference(y, T, margin, mining, reduction)
    dout = RNG.standard_normal(expected.shape)
    (expected * torch.tensor(dout)).sum().backward()
    loss = pnn.TripletLoss(reduction, margin=margin, mining=mining)
    np.testing.assert_allclose(to_numpy(loss.forward(xp64.asarray(Y), T)), expected.detach().numpy(), rtol=1e-12)
    found = to_numpy(loss.backward(xp64.asarray(dout)))
    np.testing.assert_allclose(found, y.grad.numpy(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("t", [[7, 7, 7], [1, 2, 3], [5]])
def test_without_triplets_there_is_nothing_to_learn(t, mining):
    for reduction in REDUCTIONS:
        loss = pnn.TripletLoss(reduction, mining=mining)
        assert not np.any(loss.forward(Y[: len(t)], t))
        np.testing.assert_array_equal(loss.backward(), np.zeros((len(t), 4)))


@pytest.mark.parametrize("mining", MININGS)
def test_equal_embeddings_have_no_gradient_and_nan_stays(mining):
    loss = pnn.TripletLoss(margin=0.5, mining=mining)
    assert float(loss.forward(np.zeros((4, 2)), [0, 0, 1, 1])) == 0.5
    np.testing.assert_array_equal(loss.backward(), np.zeros((4, 2)))
    y = np.array([[np.nan, 0.0], [1.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    assert np.isnan(loss.forward(y, [0, 0, 1, 1]))
    assert np.isnan(loss.backward()).any()


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("size", [1e-25, 1.0, 1e30])
def test_neither_large_nor_small_distances_are_lost(size, mining, xp):
    torch = pytest.importorskip("torch")
    y = (Y * size).astype("float32")
    expected = float(reference(torch.tensor(y.astype("float64")), T, 0.5 * size, mining, "mean"))
    loss = pnn.TripletLoss(margin=0.5 * size, mining=mining)
    assert float(loss.forward(xp.asarray(y), T)) == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(to_numpy(loss.backward())).all()


def test_far_from_the_origin_no_digits_cancel():
    y = np.concatenate([Y, Y], axis=1)
    y[:, :4] = 1e8
    near, far = (pnn.TripletLoss("none").forward(values, T) for values in (Y, y))
    np.testing.assert_allclose(far, near, rtol=1e-12)


@pytest.mark.parametrize("mining", MININGS)
def test_training_brings_labels_together(mining, xp):
    place = {"xp": xp.place.xp, "device": xp.place.device}
    (x, t), (x2, t2) = pnn.datasets.load_digits()
    x, t = x[:600], t[:600]
    net = pnn.Sequential(
        pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 8), loss=pnn.TripletLoss(mining=mining), seed=0, **place
    )
    history = pnn.Trainer(net, pnn.Adam(3e-3)).fit(
        x, t, epochs=4, batch_size=50, validation_data=(x2, t2), progress=False
    )
    assert history["loss"][-1] < history["loss"][0]
    known, new = to_numpy(net.predict(x)), to_numpy(net.predict(x2))
    nearest = ((new[:, None] - known[None]) ** 2).sum(axis=-1).argmin(axis=1)
    assert (t[nearest] == t2).mean() > 0.85


def test_the_loss_of_an_epoch_is_over_all_its_anchors():
    torch = pytest.importorskip("torch")
    cuts = [slice(0, 7), slice(7, 12)]
    net = pnn.Sequential(pnn.Identity(), loss=pnn.TripletLoss())
    found = pnn.Trainer(net).evaluate(Y, T, batch_size=7)["loss"]
    parts = [reference(torch.tensor(Y[cut]), T[cut], 1.0, "hardest", "sum") for cut in cuts]
    count = sum((T[cut] == label).sum() > 1 for cut in cuts for label in T[cut])
    assert found == pytest.approx(float(sum(parts)) / count, rel=1e-6)


def test_what_does_not_fit_is_refused():
    loss, net = pnn.TripletLoss(), pnn.Sequential(pnn.Affine(4, 2), loss=pnn.TripletLoss(), seed=0)
    for y, t, error, message in (
        (Y[0], T[:4], pnn.ShapeError, r"y of shape \(N, E\)"),
        (Y, T[:5], pnn.ShapeError, r"t of shape \(12,\)"),
        (Y, T * 0.5, pnn.DTypeError, "integer labels"),
    ):
        with pytest.raises(error, match=message):
            loss.forward(y, t)
    with pytest.raises(ValueError, match="no sample weights"):
        loss.forward(Y, T, sample_weight=np.ones(12))
    with pytest.raises(ValueError, match="no sample weights"):
        pnn.Trainer(net).fit(Y, T, sample_weight=np.ones(12), progress=False)
    with pytest.raises(ValueError, match="accumulate needs a loss that is a mean or sum over samples, got TripletLoss"):
        pnn.Trainer(net).fit(Y, T, accumulate=2, progress=False)
    for options in ({"margin": 0.0}, {"margin": float("nan")}, {"mining": "semi-hard"}):
        with pytest.raises(ValueError, match="TripletLoss needs"):
            pnn.TripletLoss(**options)
    with pytest.raises(AttributeError, match="TripletLoss"):
        _ = pnn.TripletMarginLoss


def test_rows_of_varying_batches_are_not_padded():
    batches = [(Y[:n].astype("float32"), T[:n]) for n in (12, 9, 5, 11, 7)]
    losses = []
    for pad in (True, False):
        net = pnn.Sequential(pnn.Affine(4, 2), loss=pnn.TripletLoss(), seed=0)
        history = pnn.Trainer(net, pnn.SGD(0.1), pad=pad).fit(lambda epoch: iter(batches), epochs=3, progress=False)
        losses.append(history["loss"])
    assert losses[0] == losses[1]
