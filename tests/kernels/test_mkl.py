"""Products by MKL: against NumPy's own, and how it is found, or not."""

import importlib.metadata
import itertools

import numpy as np
import pytest

from portable_nn.kernels.fast import _mkl, _numpy_products, _processor

EPSILON = {"float32": 1e-5, "float64": 1e-13}


@pytest.fixture
def mkl(unknown):
    """Use MKL, whoever made the processor; skip the test without it."""
    unknown.setenv("PORTABLE_NN_MKL", "1")
    if _mkl.library() is None:
        pytest.skip("the package mkl is not installed")


@pytest.fixture
def unknown(monkeypatch):
    """Forget what was found, before the test and after it, and what the environment says."""
    monkeypatch.delenv("PORTABLE_NN_MKL", raising=False)
    functions = _mkl.library, _mkl._gemm
    for function in functions:
        function.cache_clear()
    yield monkeypatch
    for function in functions:
        function.cache_clear()


def laid(matrix, order, offset=0):
    """Return a copy, in columns or rows, so many elements beyond the beginning of a cache line."""
    memory = np.empty(matrix.size + 64, matrix.dtype)
    first = -memory.ctypes.data % 64 // matrix.itemsize + offset
    vector = memory[first : first + matrix.size]
    copy = vector.reshape(matrix.shape) if order == "C" else vector.reshape(matrix.shape[::-1]).T
    copy[...] = matrix
    return copy


def matrices(dtype, *shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.mark.usefixtures("mkl")
@pytest.mark.parametrize("orders", list(itertools.product("CF", repeat=3)))
@pytest.mark.parametrize("dtype", EPSILON)
def test_products_are_right_in_all_layouts(dtype, orders):
    a, b = matrices(dtype, (70, 50), (50, 30))
    due = a.astype("float64") @ b.astype("float64")
    out = laid(np.full((70, 30), np.nan, dtype), orders[2])  # what was there does not count
    assert _mkl.product(laid(a, orders[0]), laid(b, orders[1]), out)
    np.testing.assert_allclose(out, due, rtol=EPSILON[dtype], atol=50 * EPSILON[dtype])


@pytest.mark.usefixtures("mkl")
@pytest.mark.parametrize("order", "CF")
def test_products_of_parts_are_right_and_stay_within_them(order):
    a, b = matrices("float32", (40, 40), (40, 40))
    out = laid(np.zeros((40, 40), "float32"), order)
    assert _mkl.product(laid(a, order)[10:30, 5:25], laid(b, order)[:20, :10], out[3:23, 4:14])
    due = np.zeros((40, 40))
    due[3:23, 4:14] = a[10:30, 5:25].astype("float64") @ b[:20, :10].astype("float64")
    np.testing.assert_allclose(out, due, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("mkl")
@pytest.mark.parametrize("dtype", EPSILON)
def test_products_round_alike_wherever_the_matrices_begin(dtype):
    assert _mkl.library().MKL_CBWR_Get(1) == 2  # MKL_CBWR_AUTO, of the branch: what promises it
    a, b = matrices(dtype, (131, 333), (333, 257))
    for orders in itertools.product("CF", repeat=3):
        results = []
        for offsets in ((0, 0, 0), (4, 0, 2), (0, 2, 6), (6, 4, 0)):
            out = laid(np.zeros((131, 257), dtype), orders[2], offsets[2])
            assert _mkl.product(laid(a, orders[0], offsets[0]), laid(b, orders[1], offsets[1]), out)
            results.append(out.tobytes("K"))
        assert len(set(results)) == 1


@pytest.mark.usefixtures("mkl")
@pytest.mark.parametrize(
    ("a", "b", "out"),
    [
        pytest.param(np.ones((4, 6))[:, ::2], np.ones((3, 5)), np.zeros((4, 5)), id="steps along rows and columns"),
        pytest.param(np.ones((4, 3)), np.ones((3, 5)), np.zeros((4, 10))[:, ::2], id="a result with steps"),
        pytest.param(np.ones((4, 3)), np.ones((3, 5), "float32"), np.zeros((4, 5)), id="two data types"),
        pytest.param(np.ones((4, 3), int), np.ones((3, 5), int), np.zeros((4, 5), int), id="integers"),
        pytest.param(np.ones((4, 3))[::-1], np.ones((3, 5)), np.zeros((4, 5)), id="backwards"),
        pytest.param(np.broadcast_to(1.0, (4, 3)), np.ones((3, 5)), np.zeros((4, 5)), id="one element again and again"),
        pytest.param(np.ones((4, 3), ">f8"), np.ones((3, 5), ">f8"), np.zeros((4, 5), ">f8"), id="other byte order"),
    ],
)
def test_what_mkl_cannot_take_is_left_alone(a, b, out):
    assert not _mkl.product(a, b, out)
    assert not out.any()


@pytest.mark.parametrize(
    ("shape", "asked"),
    [
        ((8, 16, 8), 0),
        ((100, 50, 100), 0),  # 500,000 multiplications: dy W^T, along rows of both, gets a copy of one
        ((128, 128, 128), 1),  # 2,097,152: it is not worth a cut
        ((300, 784, 1000), 4),
    ],
)
def test_large_products_are_left_to_mkl_and_small_ones_are_not(shape, asked, monkeypatch):
    monkeypatch.setattr(_numpy_products, "_cuts_pay", lambda: True)
    seen = []
    monkeypatch.setattr(_mkl, "product", lambda a, b, out: seen.append(out.shape))
    samples, inputs, outputs = shape
    x, W, dy = matrices("float32", (samples, inputs), (inputs, outputs), (samples, outputs))
    for given, due in (  # which are right without MKL, too
        (_numpy_products.affine(x, W, None), x @ W),
        (_numpy_products.affine_gradient_W(dy, x), x.T @ dy),
        (_numpy_products.affine_gradient_x(dy, W, x.shape), dy @ W.T),
        (_numpy_products.affine_gradient_b(dy), dy.sum(axis=0)),
    ):
        np.testing.assert_allclose(given, due, rtol=1e-3, atol=1e-2)
    assert len(seen) == asked


@pytest.mark.usefixtures("mkl")
def test_what_does_not_fit_is_numpys_error():
    x, W = matrices("float32", (100, 600), (300, 300))
    with pytest.raises(ValueError, match="not aligned"):
        _numpy_products.affine(x, W, None)
    a, b, out = matrices("float32", (40, 30), (30, 20), (40, 20))
    assert not _mkl.product(a, b, out[:39])
    assert not _mkl.product(a[:, :29], b, out)
    out.flags.writeable = False
    before = out.copy()
    assert not _mkl.product(a, b, out)
    np.testing.assert_array_equal(out, before)


def test_a_version_without_the_functions_is_done_without(unknown):
    unknown.setattr(_mkl, "library", lambda: object())
    assert not _mkl.product(*matrices("float32", (4, 3), (3, 5), (4, 5)))


def test_without_its_package_or_with_the_variable_there_is_no_mkl(unknown):
    def files(name):
        raise importlib.metadata.PackageNotFoundError(name)

    unknown.setattr(importlib.metadata, "files", files)
    assert _mkl.library() is None
    _mkl.library.cache_clear()
    unknown.undo()
    unknown.setenv("PORTABLE_NN_MKL", "0")
    assert _mkl.library() is None
    assert not _mkl.product(*matrices("float32", (4, 3), (3, 5), (4, 5)))


def test_a_library_that_cannot_be_loaded_is_told_once_and_done_without(unknown, tmp_path):
    broken = tmp_path / "libmkl_rt.so.3"
    broken.write_bytes(b"no library")
    path = importlib.metadata.PackagePath(broken.name)
    path.dist = type("Distribution", (), {"locate_file": lambda self, name: tmp_path / name})()
    unknown.setattr(importlib.metadata, "files", lambda name: [path])
    unknown.setenv("PORTABLE_NN_MKL", "1")
    with pytest.warns(RuntimeWarning, match="cannot be loaded"):
        assert _mkl.library() is None
    assert _mkl.library() is None


@pytest.mark.parametrize(
    ("vendor", "variable", "used"),
    [
        ("GenuineIntel", None, True),
        ("GenuineIntel", "0", False),
        ("AuthenticAMD", None, False),
        ("AuthenticAMD", "1", True),
        (None, None, False),
    ],
)
def test_it_is_used_on_intels_processors(unknown, vendor, variable, used):
    looked = []
    unknown.setattr(importlib.metadata, "files", lambda name: looked.append(name) or [])
    unknown.setattr(_processor, "_fields", lambda: {} if vendor is None else {"vendor_id": vendor})
    if variable is not None:
        unknown.setenv("PORTABLE_NN_MKL", variable)
    assert _mkl.library() is None  # no file was found
    assert bool(looked) == used
