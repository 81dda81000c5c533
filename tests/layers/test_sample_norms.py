"""Normalization of each sample: beside torch's layers, on what has no batch, and what it refuses."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.layers.padding import padded_axes

RNG = np.random.default_rng(0)
PLACE = pnn.Place("numpy", dtype="float64")

# Ours, the shape of x, and torch's layer of the same options.
LAYERS = {
    "LayerNorm": (lambda: pnn.LayerNorm(5, epsilon=1e-3), (4, 5), lambda nn: nn.LayerNorm(5, eps=1e-3)),
    "LayerNorm of sequences": (lambda: pnn.LayerNorm(5), (4, 3, 5), lambda nn: nn.LayerNorm(5)),
    "LayerNorm over two axes": (lambda: pnn.LayerNorm((3, 5)), (4, 2, 3, 5), lambda nn: nn.LayerNorm((3, 5))),
    "RMSNorm": (lambda: pnn.RMSNorm(5), (4, 3, 5), lambda nn: nn.RMSNorm(5, eps=1e-6)),
    "RMSNorm over two axes": (lambda: pnn.RMSNorm([3, 5]), (4, 3, 5), lambda nn: nn.RMSNorm((3, 5), eps=1e-6)),
    "GroupNorm": (lambda: pnn.GroupNorm(2, 6), (4, 6), lambda nn: nn.GroupNorm(2, 6)),
    "GroupNorm of images": (
        lambda: pnn.GroupNorm(3, 6, epsilon=0.1),
        (4, 6, 3, 2),
        lambda nn: nn.GroupNorm(3, 6, eps=0.1),
    ),
    "GroupNorm, one group": (lambda: pnn.GroupNorm(1, 6), (4, 6, 3), lambda nn: nn.GroupNorm(1, 6)),
    "InstanceNorm": (lambda: pnn.InstanceNorm(6), (4, 6, 3), lambda nn: nn.InstanceNorm1d(6, affine=True)),
    "InstanceNorm of images": (lambda: pnn.InstanceNorm(6), (4, 6, 3, 2), lambda nn: nn.InstanceNorm2d(6, affine=True)),
    "LocalResponseNorm": (lambda: pnn.LocalResponseNorm(5), (4, 7, 3, 2), lambda nn: nn.LocalResponseNorm(5)),
    "LocalResponseNorm, even": (
        lambda: pnn.LocalResponseNorm(4, alpha=0.5, beta=0.6, k=2.0),
        (4, 7, 3),
        lambda nn: nn.LocalResponseNorm(4, alpha=0.5, beta=0.6, k=2.0),
    ),
    "LocalResponseNorm, wider than all": (
        lambda: pnn.LocalResponseNorm(9, alpha=0.5),
        (4, 3, 2),
        lambda nn: nn.LocalResponseNorm(9, alpha=0.5),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients_are_torchs(name):
    torch = pytest.importorskip("torch")
    make, shape, others = LAYERS[name]
    ours, theirs = make(), others(torch.nn).double()
    for box, there in zip(ours.parameters.values(), theirs.parameters(), strict=True):
        values = RNG.uniform(0.5, 1.5, box.shape)
        box.set(values, PLACE, "p")
        with torch.no_grad():
            there[...] = torch.tensor(values)
    x, dy = RNG.normal(2.0, 3.0, shape), RNG.standard_normal(shape)
    there = torch.tensor(x, requires_grad=True)
    expected = theirs(there)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(ours.forward(x), expected.detach(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.backward(dy), there.grad, rtol=1e-12, atol=1e-12)
    for gradient, parameter in zip(ours.grads.values(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(gradient, parameter.grad, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(ours.forward(x, training=False), ours.forward(x))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(pnn.GroupNorm(2, 4), (3, 4, 0)), (pnn.InstanceNorm(4), (3, 4, 0, 2)), (pnn.LocalResponseNorm(3), (3, 0, 2)),
     (pnn.LayerNorm(4), (3, 0, 4)), (pnn.RMSNorm(4), (0, 2, 4))],
)  # fmt: skip
def test_nothing_to_normalize_gives_nothing(layer, shape, xp):
    layer = pnn.Sequential(layer).to(xp).layers[0]
    x = xp.asarray(np.zeros(shape, "float32"))
    assert layer.forward(x).shape == shape
    assert layer.backward(x).shape == shape
    for gradient in layer.grads.values():
        np.testing.assert_array_equal(to_numpy(gradient), 0.0)


REFUSED = [
    (lambda: pnn.LayerNorm(0), "LayerNorm needs normalized_shape to be a positive integer, got 0"),
    (lambda: pnn.LayerNorm(()), r"LayerNorm needs a normalized_shape of one axis at least, got \(\)"),
    (lambda: pnn.RMSNorm((3, 2.5)), "RMSNorm needs normalized_shape"),
    (lambda: pnn.RMSNorm(3, epsilon=0.0), "RMSNorm needs epsilon of more than 0, got 0.0"),
    (lambda: pnn.GroupNorm(2, 5), "GroupNorm needs channels that are a multiple of groups=2, got 5"),
    (lambda: pnn.GroupNorm(0, 5), "GroupNorm needs groups to be a positive integer"),
    (lambda: pnn.InstanceNorm(3, epsilon=float("nan")), "InstanceNorm needs epsilon of more than 0"),
    (lambda: pnn.LocalResponseNorm(0), "LocalResponseNorm needs size to be a positive integer"),
    (lambda: pnn.LocalResponseNorm(3, k=0.0), "LocalResponseNorm needs k of more than 0, got 0.0"),
    (lambda: pnn.LocalResponseNorm(3, alpha=-1.0), "LocalResponseNorm needs an alpha of 0 or more, got -1.0"),
    (lambda: pnn.LocalResponseNorm(3, beta=float("inf")), "LocalResponseNorm needs a finite beta, got inf"),
    (lambda: pnn.LayerNorm((2, 3)).forward(np.ones((2, 3))), r"x of shape \(N, ..., 2, 3\), got \(2, 3\)"),
    (lambda: pnn.RMSNorm(3).forward(np.ones((2, 4))), r"x of shape \(N, ..., 3\), got \(2, 4\)"),
    (lambda: pnn.GroupNorm(1, 3).forward(np.ones((2, 4))), r"x of shape \(N, 3\) or \(N, 3, ...\), got \(2, 4\)"),
    (lambda: pnn.InstanceNorm(3).forward(np.ones((2, 3))), r"more than one value in each channel, got \(2, 3\)"),
    (lambda: pnn.InstanceNorm(3).forward(np.ones((2, 3, 1))), r"more than one value in each channel, got \(2, 3, 1\)"),
    (lambda: pnn.LocalResponseNorm(3).forward(np.ones(3)), r"x of shape \(N, C\) or \(N, C, ...\), got \(3,\)"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_what_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("layer", "shape", "seen"),
    [(pnn.LayerNorm(5), (2, 3, 5), [2]), (pnn.LayerNorm((3, 5)), (2, 4, 3, 5), [2, 3]),
     (pnn.RMSNorm(5), (2, 3, 5), [2]), (pnn.GroupNorm(1, 3), (2, 3, 5), [1, 2]),
     (pnn.LocalResponseNorm(3), (2, 3, 5), [1])],
)  # fmt: skip
def test_padding_is_seen_along_the_axes_that_are_normalized(layer, shape, seen):
    for axis in range(1, len(shape)):
        assert padded_axes(layer, [(axis,)], [shape]) == (None if axis in seen else (axis,))


@pytest.mark.parametrize("layer", [pnn.LayerNorm(4), pnn.RMSNorm(4), pnn.GroupNorm(2, 4), pnn.InstanceNorm(4)])
def test_parameters_with_one_axis_are_not_decayed_with_the_weights(layer):
    net = pnn.Sequential(pnn.MatMul(3, 4), layer, loss=pnn.MeanSquaredError(), seed=0)
    names = list(net.trainable())
    parts = pnn.SGD(0.1, weight_decay=0.5, decay="weights").parts(names, net.arrays()[: len(names)], names)
    spared = {names[i] for part in parts if part.weight_decay == 0.0 for i in part.positions}
    assert spared == set(names) - {"0.W"}


def test_a_network_with_layer_norms_learns_from_sequences_of_many_lengths():
    def batches(epoch):
        rng = np.random.default_rng(epoch)
        for _ in range(40):
            x = rng.standard_normal((16, int(rng.integers(1, 20)), 4)).astype("float32")
            yield 1e3 + x, (x[..., 0] > x[..., 1]).astype(int)

    def run(pad):
        layers = pnn.LayerNorm(4), pnn.Affine(4, 16), pnn.RMSNorm(16), pnn.GELU(), pnn.Affine(16, 2)
        net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0)
        return pnn.Trainer(net, pnn.Adam(1e-2), pad=pad).fit(batches, epochs=2, progress=False)["loss"]

    losses = run(True)
    assert losses[-1] < 0.3
    np.testing.assert_allclose(losses, run(False), rtol=1e-3)
