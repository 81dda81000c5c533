"""What layers say of padded axes, against what they do with padding; sums and means with masks; Affine by position."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import Place, to_numpy
from portable_nn.layers import Run
from portable_nn.layers.padding import padded_axes
from portable_nn.testing import check_layer

RNG = np.random.default_rng(0)
N, T, F, ROWS, LENGTH = 3, 4, 5, 7, 6
SAME, GONE, SEEN = "same", (), None

LAYERS = {
    # layer: what the axes 0 and 1 of (N, T, F) become
    "ReLU": (pnn.ReLU(), (0,), (1,)),
    "Identity": (pnn.Identity(), (0,), (1,)),
    "GELU": (pnn.GELU(), (0,), (1,)),
    "Power": (pnn.Power(2), (0,), (1,)),
    "Dropout": (pnn.Dropout(0.5), (0,), (1,)),
    "AlphaDropout": (pnn.AlphaDropout(0.5), (0,), (1,)),
    "SpatialDropout": (pnn.SpatialDropout(0.5, axis=-1), (0,), (1,)),
    "SpatialDropout in time": (pnn.SpatialDropout(0.5), (0,), (1,)),
    "GaussianNoise": (pnn.GaussianNoise(0.5), (0,), (1,)),
    "Softmax": (pnn.Softmax(), (0,), (1,)),
    "Softmax over time": (pnn.Softmax(axis=1), (0,), SEEN),
    "LogSoftmax": (pnn.LogSoftmax(), (0,), (1,)),
    "PReLU": (pnn.PReLU(), (0,), (1,)),
    "PReLU by position": (pnn.PReLU(T), (0,), SEEN),
    "Maxout": (pnn.Maxout(F), (0,), (1,)),
    "Maxout over time": (pnn.Maxout(2, axis=1), (0,), SEEN),
    "GLU over time": (pnn.GLU(axis=1), (0,), SEEN),
    "Affine": (pnn.Affine(F, 2, seed=0, dtype="float64"), (0,), (1,)),
    "MatMul": (pnn.MatMul(F, 2, seed=0, dtype="float64"), (0,), (1,)),
    "Flatten": (pnn.Flatten(), (0,), SEEN),
    "Reshape": (pnn.Reshape([T * F]), (0,), SEEN),
    "Transpose": (pnn.Transpose(), (0,), (2,)),
    "Transpose, batch last": (pnn.Transpose([1, 2, 0]), (2,), (0,)),
    "Mean over features": (pnn.Mean(2), (0,), (1,)),
    "Mean over time": (pnn.Mean(1), (0,), GONE),
    "Sum over time, kept": (pnn.Sum(1, keepdims=True), (0,), GONE),
    "Mean over both": (pnn.Mean([1, 2]), (0,), GONE),
    "Mean of all": (pnn.Mean(), SEEN, GONE),
    "Sum over the batch": (pnn.Sum(0), SEEN, (0,)),
    "Repeat": (pnn.Repeat(2, axis=2), (0,), (1,)),
    "Repeat in time": (pnn.Repeat(2, axis=1), (0,), SEEN),
}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_do_with_padding_what_they_say(name, axis):
    layer, *expected = LAYERS[name]
    place, x = Place("numpy", None, "float64"), RNG.standard_normal((N, T, F))
    found = padded_axes(layer, [(axis,)], [x.shape])
    assert found == expected[axis]
    if found is None:
        return
    behind = RNG.standard_normal((ROWS - N, T, F) if axis == 0 else (N, LENGTH - T, F))
    padded = np.concatenate([x, behind], axis=axis)
    mask = np.broadcast_to(np.arange(padded.shape[1]) < T, padded.shape[:2])

    def passes(x, mask, dy=None):
        run = Run(place, training=True, key=(3, 4))
        run.mask = mask
        y, kept = layer.forward_pass(run, layer.pass_arrays(), x)
        dy = np.ones(y.shape) if dy is None else dy(y)
        return y, *layer.backward_pass(run, layer.pass_arrays(), kept, dy)

    def real(y):
        return y[(slice(None),) * found[0] + (slice((N, T)[axis]),)] if found else y

    def zero_behind(y):
        dy = np.zeros(y.shape)
        real(dy)[...] = 1.0
        return dy

    y, dx, grads = passes(x, None)
    more, dx_more, grads_more = passes(padded, mask if axis == 1 else None, zero_behind)
    np.testing.assert_allclose(real(more), y, rtol=0, atol=1e-13)
    cut = (slice(N),) if axis == 0 else (slice(None), slice(T))
    np.testing.assert_allclose(dx_more[cut], dx, rtol=0, atol=1e-13)
    assert not np.any(np.delete(dx_more, np.arange((N, T)[axis]), axis=axis))
    for parameter, gradient in grads.items():
        np.testing.assert_allclose(grads_more[parameter], gradient, rtol=0, atol=1e-12)


TWO = {
    # two inputs, and the padded axis of each
    "Add": (pnn.Add(), [(N, T, F), (N, T, F)], [(1,), (1,)], (1,)),
    "Add, one padded": (pnn.Add(), [(N, T, F), (N, T, F)], [(1,), ()], SEEN),
    "Add, broadcast": (pnn.Add(), [(N, T, F), (N, 1, F)], [(1,), ()], (1,)),
    "Mul, fewer axes": (pnn.Mul(), [(N, T, F), (F,)], [(1,), ()], (1,)),
    "Mul, of another axis": (pnn.Mul(), [(N, T, 1), (N, 1, T)], [(1,), (2,)], SEEN),
    "Concat": (pnn.Concat(), [(N, T, F), (N, T, 2)], [(1,), (1,)], (1,)),
    "Concat in time": (pnn.Concat(1), [(N, T, F), (N, T, F)], [(1,), (1,)], SEEN),
    "Concat, one padded": (pnn.Concat(), [(N, T, F), (N, T, F)], [(1,), ()], SEEN),
    "Split": (pnn.Split([2, 3]), [(N, T, F)], [(1,)], (1,)),
    "Split in time": (pnn.Split(2, axis=1), [(N, T, F)], [(1,)], SEEN),
    "Branch": (pnn.Branch(), [(N, T, F)], [(1,)], (1,)),
    "MatMul": (pnn.MatMul(), [(N, T, F), (N, F, T)], [(1,), ()], SEEN),
    "MatMul of stacks": (pnn.MatMul(), [(N, T, 2, F), (N, T, F, 2)], [(1,), (1,)], (1,)),
    "Softmax over it": (pnn.Softmax(), [(N, T)], [(1,)], SEEN),
    "Affine over it": (pnn.Affine(T, 2), [(N, T)], [(1,)], SEEN),
    "Affine, axes as one": (pnn.Affine(T * F, 2), [(N, T, F)], [(1,)], SEEN),
    "Affine, last is one": (pnn.Affine(F, 2), [(N, F, F)], [(2,)], SEEN),
    "a loss": (pnn.SoftmaxWithLoss(), [(N, T, F), (N, T)], [(1,), (1,)], SEEN),
    "nothing padded": (pnn.Flatten(), [(N, T, F)], [()], ()),
}


@pytest.mark.parametrize("name", TWO)
def test_layers_with_several_inputs_say_where_padding_is(name):
    layer, shapes, axes, expected = TWO[name]
    assert padded_axes(layer, axes, shapes) == expected


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [1, [1, 2], [0, 1], None])
@pytest.mark.parametrize("kind", [pnn.Sum, pnn.Mean])
def test_sums_and_means_of_what_is_real(kind, axis, keepdims, xp64):
    x = RNG.standard_normal((N, T, F))
    lengths = np.array([4, 0, 2])
    mask = np.arange(T) < lengths[:, None]
    x[~mask] = np.nan
    axes = tuple(range(3)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    run = Run(xp64.place, training=True)
    run.mask = xp64.asarray(mask)
    y, kept = kind(axis, keepdims).forward_pass(run, {}, xp64.asarray(x))
    total = np.sum(np.nan_to_num(x), axis=axes, keepdims=keepdims)
    counts = np.sum(np.broadcast_to(mask[:, :, None], x.shape), axis=axes, keepdims=keepdims)
    expected = total if kind is pnn.Sum else total / np.maximum(counts, 1)
    np.testing.assert_allclose(to_numpy(y), expected, rtol=1e-13, atol=1e-14)
    dy = RNG.standard_normal(expected.shape)
    dx, _ = kind(axis, keepdims).backward_pass(run, {}, kept, xp64.asarray(dy))
    spread = dy if kind is pnn.Sum else dy / np.maximum(counts, 1)
    spread = spread if keepdims else np.expand_dims(spread, axes)
    expected = np.broadcast_to(spread, x.shape) * mask[:, :, None]
    np.testing.assert_allclose(to_numpy(dx), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 1, 4), (1, 1, 4), (2, 3, 2, 4), (0, 3, 4), (3, 0, 4)])
def test_affine_multiplies_the_last_axis_at_each_position(shape, xp64):
    layer = pnn.Affine(4, 3, seed=0, xp=xp64.place.xp, dtype="float64")
    x, (W, b) = RNG.standard_normal(shape), (to_numpy(layer.params[name]) for name in ("W", "b"))
    dy = RNG.standard_normal((*shape[:-1], 3))
    y = layer.forward(xp64.asarray(x))
    np.testing.assert_allclose(to_numpy(y), x @ W + b, rtol=1e-12, atol=1e-13)
    assert y.shape == layer.output_shape(shape)
    np.testing.assert_allclose(to_numpy(layer.backward(xp64.asarray(dy))), dy @ W.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        to_numpy(layer.grads["W"]), np.tensordot(x.reshape(-1, 4).T, dy.reshape(-1, 3), 1), atol=1e-12
    )
    np.testing.assert_allclose(to_numpy(layer.grads["b"]), dy.reshape(-1, 3).sum(axis=0), atol=1e-12)


def test_affine_by_position_has_the_right_gradient():
    check_layer(pnn.Affine(4, 3), RNG.standard_normal((2, 3, 4)))


def test_affine_takes_axes_that_multiply_to_its_inputs_as_one():
    assert pnn.Affine(12, 2).output_shape((5, 3, 4)) == (5, 2)
    with pytest.raises(pnn.ShapeError, match=r"needs x of shape \(N, 12\)"):
        pnn.Affine(12, 2).output_shape((5, 3, 5))
