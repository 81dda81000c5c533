"""NumPy's products with weights: whole, cut, or of a copy, in every layout the same as `@` in float64."""

import itertools
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from portable_nn.kernels.fast import _mkl, _numpy_products, _openblas

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


@pytest.mark.parametrize("cuts", [True, False])
@pytest.mark.parametrize("orders", list(itertools.product("CF", repeat=3)))
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-13)])
def test_products_are_right_in_all_layouts(dtype, tolerance, shape, orders, cuts, monkeypatch):
    monkeypatch.setattr(_numpy_products, "_cuts_pay", lambda: cuts)
    monkeypatch.setattr(_mkl, "product", lambda *matrices: False)
    (rows, inner, columns), rng = shape, np.random.default_rng(0)
    a = np.asarray(rng.standard_normal((rows, inner)), dtype, order=orders[0])
    b = np.asarray(rng.standard_normal((inner, columns)), dtype, order=orders[1])
    out = np.full((rows, columns), np.nan, dtype, order=orders[2])
    assert _numpy_products._product(a, b, out) is out
    due = a.astype("float64") @ b.astype("float64")
    np.testing.assert_allclose(out, due, rtol=tolerance, atol=tolerance * inner)


@pytest.fixture
def of_core(monkeypatch):
    """Return the function that lets OpenBLAS be of some kind."""

    def of(core):
        monkeypatch.setattr(_openblas, "core", lambda: core)
        _numpy_products._cuts_pay.cache_clear()

    yield of
    monkeypatch.undo()
    _numpy_products._cuts_pay.cache_clear()


@pytest.mark.parametrize(
    ("core", "cuts"),
    [
        ("SkylakeX", True),
        ("SapphireRapids", True),
        ("Haswell", False),
        ("Zen", False),
        ("NeoverseN1", False),
        (None, False),
    ],
)
def test_products_are_cut_only_where_openblas_has_kernels_for_small_ones(core, cuts, of_core, monkeypatch):
    of_core(core)
    calls, whole = [], _numpy_products._whole_product
    monkeypatch.setattr(
        _numpy_products, "_whole_product", lambda a, b, out: calls.append(out.shape) or whole(a, b, out)
    )
    x, dy = np.ones((100, 784), "float32"), np.ones((100, 50), "float32")
    np.testing.assert_array_equal(_numpy_products.affine_gradient_W(dy, x), np.full((784, 50), 100.0))
    assert (len(calls) > 1) == cuts


def test_numpys_openblas_tells_its_kind():
    if _openblas.core() is None:
        pytest.skip("NumPy has another BLAS here")
    program = "from portable_nn.kernels.fast import _openblas; print(_openblas.core())"
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell"}
    if platform.machine() in ("x86_64", "AMD64"):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "Haswell"
