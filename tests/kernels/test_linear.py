"""Portable products with a matrix, against NumPy's einsum and the worked numbers of the notes."""

import numpy as np
import pytest

from portable_nn import to_numpy
from portable_nn.kernels import PORTABLE

N, I, O = 5, 6, 3  # noqa: E741  (inputs, outputs: the letters of the maths)
RNG = np.random.default_rng(0)
W, B = RNG.normal(size=(I, O)), RNG.normal(size=O)


def test_bias_of_the_notes(xp):
    y = PORTABLE.affine(
        xp.asarray([[0.0], [10.0]], dtype=xp.float32),
        xp.ones((1, 3), dtype=xp.float32),
        xp.asarray([1, 2, 3], dtype=xp.float32),
    )
    np.testing.assert_array_equal(to_numpy(y), [[1, 2, 3], [11, 12, 13]])
    db = PORTABLE.affine_gradient_b(xp.asarray([[1, 2, 3], [4, 5, 6]], dtype=xp.float32))
    np.testing.assert_array_equal(to_numpy(db), [5, 7, 9])
    assert db.dtype == y.dtype == xp.float32
    assert xp.place.holds(y)
    assert xp.place.holds(db)


def test_product_of_the_notes(xp):
    x, ones = xp.asarray([[1, 2], [3, 4]], dtype=xp.float32), xp.ones((2, 3), dtype=xp.float32)
    expected = [[3, 3, 3], [7, 7, 7]]
    np.testing.assert_array_equal(to_numpy(PORTABLE.affine(x, ones, xp.zeros(3, dtype=xp.float32))), expected)
    np.testing.assert_array_equal(to_numpy(PORTABLE.affine(x, ones, None)), expected)


@pytest.mark.parametrize("shape", [(N, I), (N, 2, 3), (N, 3, 1, 2), (1, I), (0, I), (0, 2, 3)])
def test_affine_of_any_number_of_axes(xp64, shape):
    x, dy = RNG.normal(size=shape), RNG.normal(size=(shape[0], O))
    rows = x.reshape(shape[0], I)
    x_, dy_, W_, b_ = (xp64.asarray(a, copy=True) for a in (x, dy, W, B))
    results = {
        "y": (PORTABLE.affine(x_, W_, b_), np.einsum("ni,io->no", rows, W) + B),
        "dx": (PORTABLE.affine_gradient_x(dy_, W_, shape), np.einsum("no,io->ni", dy, W).reshape(shape)),
        "dW": (PORTABLE.affine_gradient_W(dy_, x_), np.einsum("ni,no->io", rows, dy)),
        "db": (PORTABLE.affine_gradient_b(dy_), np.einsum("no->o", dy)),
    }
    for name, (result, expected) in results.items():
        assert tuple(result.shape) == expected.shape, name
        np.testing.assert_allclose(to_numpy(result), expected, rtol=1e-13, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("shape", [(N, I), (2, 4, I), (0, I), (I,)])
def test_matmul_keeps_all_axes_but_the_last(xp64, shape):
    x, dy = RNG.normal(size=shape), RNG.normal(size=(*shape[:-1], O))
    x_, dy_, W_ = (xp64.asarray(a, copy=True) for a in (x, dy, W))
    results = {
        "y": (PORTABLE.matmul(x_, W_), np.einsum("...i,io->...o", x, W)),
        "dx": (PORTABLE.matmul_gradient_x(dy_, W_), np.einsum("...o,io->...i", dy, W)),
        "dW": (PORTABLE.matmul_gradient_W(dy_, x_), np.einsum("ni,no->io", x.reshape(-1, I), dy.reshape(-1, O))),
    }
    for name, (result, expected) in results.items():
        assert tuple(result.shape) == expected.shape, name
        np.testing.assert_allclose(to_numpy(result), expected, rtol=1e-13, atol=1e-14, err_msg=name)


def test_strided_input(xp64):
    wide = xp64.asarray(RNG.normal(size=(N, 2, 2 * I)))
    x = wide[:, 1, ::2]
    tall = xp64.permute_dims(xp64.asarray(W.T, copy=True), (1, 0))
    y = PORTABLE.affine(x, tall, xp64.asarray(B, copy=True))
    np.testing.assert_allclose(to_numpy(y), to_numpy(x) @ W + B, rtol=1e-13)


def test_plain_operations(xp):
    a = xp.asarray([[1, 2, 3], [4, 5, 6]], dtype=xp.float32)
    np.testing.assert_array_equal(to_numpy(PORTABLE.transpose(a)), [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(to_numpy(PORTABLE.reshape(a, (3, 2))), [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(to_numpy(PORTABLE.add(a, a)), [[2, 4, 6], [8, 10, 12]])
    np.testing.assert_array_equal(to_numpy(PORTABLE.multiply(a, a)), [[1, 4, 9], [16, 25, 36]])
