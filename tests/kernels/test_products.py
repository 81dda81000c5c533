"""NumPy's products with weights: whole, cut, or of a copy, in every layout the same as `@` in float64."""

import itertools

import numpy as np
import pytest

from portable_nn.kernels.fast import _mkl, _numpy_products

SHAPES = {
    "tiny": (8, 16, 8),
    "none": (0, 16, 8),
    "cut along rows": (100, 784, 50),
    "cut along columns": (50, 784, 100),
    "cut even of dots": (30, 400, 100),
    "dots with a copy": (100, 100, 50),
    "dots that are wide": (50, 100, 100),
    "not worth a cut": (128, 128, 128),
    "a few columns": (128, 512, 10),
}


@pytest.mark.parametrize("orders", list(itertools.product("CF", repeat=3)))
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-13)])
def test_products_are_right_in_all_layouts(dtype, tolerance, shape, orders, monkeypatch):
    monkeypatch.setattr(_mkl, "product", lambda *matrices: False)
    (rows, inner, columns), rng = shape, np.random.default_rng(0)
    a = np.asarray(rng.standard_normal((rows, inner)), dtype, order=orders[0])
    b = np.asarray(rng.standard_normal((inner, columns)), dtype, order=orders[1])
    out = np.full((rows, columns), np.nan, dtype, order=orders[2])
    assert _numpy_products._product(a, b, out) is out
    due = a.astype("float64") @ b.astype("float64")
    np.testing.assert_allclose(out, due, rtol=tolerance, atol=tolerance * inner)
