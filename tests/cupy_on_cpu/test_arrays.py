"""The stand-in's arrays: what CuPy does and NumPy does not. Expected is what CuPy's sources and wheel say."""

import copy
import operator
import os
import pickle

import numpy as np
import pytest

if os.environ.get("PORTABLE_NN_CUPY") != "stand-in":
    pytest.skip("needs PORTABLE_NN_CUPY=stand-in", allow_module_level=True)

import array_api_compat
import cupy

N = np.arange(6, dtype="float32").reshape(2, 3)


@pytest.fixture
def x():
    return cupy.asarray(N)


def same(array, values):
    """Tell whether an array holds these values, of this data type."""
    values = np.asarray(values)
    found = array.get()
    return type(array) is cupy.ndarray and found.dtype == values.dtype and np.array_equal(found, values, equal_nan=True)


REFUSED = {
    "NumPy's array on the right": (lambda x: x + N, TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "on the left": (lambda x: N + x, TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "0-d": (lambda x: x * np.asarray(2.0), TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "in place": (lambda x: x.__iadd__(N), TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "compared": (lambda x: x < N, TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "NumPy's function of both": (lambda x: np.add(N, x), TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "a list": (lambda x: operator.add(x, [1, 2, 3]), TypeError, "all returned NotImplemented"),
    "a list on the left": (lambda x: operator.add([1, 2, 3], x), TypeError, "all returned NotImplemented"),
    "a list in a function": (lambda x: cupy.add(x, [1]), TypeError, "Unsupported type <class 'list'>"),
    "nothing": (lambda x: x + None, TypeError, ""),
    "where": (lambda x: cupy.where(x > 0, N, x), TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "concatenate": (lambda x: cupy.concatenate([x, N]), TypeError, "incorrect type"),
    "clip": (lambda x: cupy.clip(x, N, None), TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "sum": (lambda x: cupy.sum(N), TypeError, "incorrect type"),
    "conversion": (lambda x: np.asarray(x), TypeError, "Implicit conversion to a NumPy array is not allowed"),
    "a keyword of NumPy's": (lambda x: cupy.add(x, x, where=x > 0), TypeError, "Wrong arguments {'where'"),
    "device": (lambda x: cupy.zeros(3, device=None), TypeError, "device"),
    "out of NumPy": (lambda x: cupy.exp(x, out=N.copy()), TypeError, "Output arguments type must be cupy.ndarray"),
    "out of another shape": (lambda x: cupy.exp(x, out=x[0]), ValueError, "Out shape is mismatched"),
    "out of another kind": (
        lambda x: cupy.exp(x, out=cupy.zeros((2, 3), int)),
        TypeError,
        "Cannot cast output operand",
    ),
    "a key out of range": (lambda x: x[2], IndexError, "Index 2 is out of bounds for axis 0 with size 2"),
    "a row to take": (lambda x: cupy.take(x, 9, 0), IndexError, "Index 9 is out of bounds for axis 0 with size 2"),
    "from an empty axis": (lambda x: x[:0][cupy.asarray([0, 1])], IndexError, ""),
    "a fill by an array": (lambda x: x.__setitem__(..., N), ValueError, "cannot be used for fill"),
    "no copy": (lambda x: cupy.asarray(N, copy=False), ValueError, "Unable to avoid copy"),
    "no copy of another dtype": (lambda x: cupy.asarray(x, "float64", copy=False), ValueError, "Unable to avoid copy"),
    "an int that does not fit": (lambda x: cupy.zeros(2, "int8") + 300, OverflowError, ""),
    "hash": (hash, TypeError, "unhashable"),
    "an index": (range, TypeError, ""),
    "maximum of nothing": (lambda x: x[:0].max(), ValueError, "zero-size array to reduction operation"),
    "a product with NumPy": (lambda x: x @ N.T, TypeError, "Argument 'b' has incorrect type"),
    "a product into another dtype": (
        lambda x: x.dot(x.T, cupy.zeros((2, 2))),
        ValueError,
        "Not supported dtype combination",
    ),
    "a product into columns": (
        lambda x: x.dot(x.T, cupy.zeros((2, 4), "float32")[:, ::2]),
        ValueError,
        "Output array must be C-contiguous",
    ),
    "bfloat of nobody": (lambda x: cupy.empty(2, "U4"), ValueError, "Unsupported dtype"),
    "kinds of sorting": (lambda x: cupy.sort(x, kind="heapsort"), ValueError, ""),
    "dlpack of the host": (lambda x: cupy.from_dlpack(N), TypeError, "CPU arrays cannot be directly imported"),
    "a copy by dlpack": (lambda x: x.__dlpack__(copy=True), BufferError, ""),
    "a slice by arrays": (lambda x: x[: cupy.asarray(1)], TypeError, ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cupy_refuses_is_refused(case, x):
    do, error, text = REFUSED[case]
    with pytest.raises(error) as raised:
        do(x)
    assert text in str(raised.value)


@pytest.mark.filterwarnings("default:__array__ implementation:DeprecationWarning")
def test_a_copy_by_numpy_warns_before_it_is_refused(x):
    with pytest.warns(DeprecationWarning, match="copy"), pytest.raises(TypeError, match="Implicit conversion"):
        np.array(x)


def test_numpys_functions_are_cupys(x):
    assert same(np.exp(x[:0]), np.zeros((0, 3), "float32"))
    assert same(np.sum(x, axis=0), N.sum(axis=0))
    assert same(np.concatenate([x, x]), np.concatenate([N, N]))


def test_promotion(x):
    i = cupy.arange(3)
    assert [(x + 1).dtype, (x * 2.5).dtype, (x + True).dtype, (i + 1.5).dtype] == ["f4", "f4", "f4", "f8"]
    assert (x * np.float64(1)).dtype == (x + cupy.ones((), "float64")).dtype == "f8"
    assert (x + i).dtype == "f8"
    assert [cupy.exp(cupy.ones(1, d)).dtype for d in ("int8", "int16", "int32", "int64")] == ["f2", "f4", "f8", "f8"]
    assert (cupy.ones(1, "int8") / cupy.ones(1, "int8")).dtype == "f8"


def test_elementwise_results_are_contiguous_whatever_the_operands_are(x):
    for made in (x.T + 1, -x.T, cupy.exp(x.T), cupy.where(x.T > 0, x.T, 0), x.T < x.T, cupy.maximum(x.T, 1)):
        assert made.flags.c_contiguous
    assert x.T.astype("float64").flags.f_contiguous
    assert cupy.zeros_like(x.T).flags.f_contiguous
    assert x.T.copy().flags.c_contiguous
    assert cupy.copy(x.T).flags.f_contiguous


def test_a_number_out_of_an_array_is_an_array_and_a_view(x):
    total, one = x.sum(), x[1, 1]
    assert type(total) is type(one) is cupy.ndarray
    assert total.shape == one.shape == ()
    x[1, 1] = 9.0
    assert float(one) == 9.0
    assert float(total) == 15.0
    assert [float(row[0]) for row in x] == [0.0, 3.0]


def test_index_arrays_wrap_around_and_gather(x):
    i = cupy.asarray([0, 5, -1, -7])
    assert same(cupy.arange(3)[i], np.asarray([0, 2, 2, 2]))
    assert same(cupy.take(x, cupy.asarray([3]), 0), N[[1]])
    assert same(x[:, cupy.asarray([4])], N[:, [1]])
    assert same(x[cupy.asarray([0, 1]), cupy.asarray([1, 1])], N[[0, 1], [1, 1]])
    assert same(x[[1, 0]], N[[1, 0]])
    assert same(x[np.asarray([1, 0])], N[[1, 0]])
    assert same(cupy.take_along_axis(x, cupy.asarray([[4, 0, 0], [0, 0, 0]]), 1), np.float32([[1, 0, 0], [3, 3, 3]]))
    picked = x[cupy.asarray(1)]
    x[1] = 0.0
    assert same(picked, N[1])


def test_of_several_values_for_one_place_it_is_not_numpys_that_stays():
    a = cupy.zeros(3)
    a[cupy.asarray([1, 1, 2])] = cupy.asarray([5.0, 6.0, 7.0])
    assert same(a, np.asarray([0.0, 5.0, 7.0]))


def test_masks(x):
    x[x > 2] = 0.0
    assert same(x, np.float32([[0, 1, 2], [0, 0, 0]]))
    assert same(x[x > 0], np.float32([1, 2]))


def test_assigning_casts_anything(x):
    x[0] = cupy.asarray([1.7, 2.7, 3.7])
    a = cupy.zeros(3, "int32")
    a[...] = x[0]
    assert same(a, np.int32([1, 2, 3]))
    x[:, [0]] = np.float32([[8], [9]])
    assert same(x[:, 0], np.float32([8, 9]))


def test_empty_memory_holds_nothing_of_use():
    assert np.isnan(cupy.empty((2, 2)).get()).all()
    assert np.isnan(cupy.empty_like(cupy.ones(3, "float32")).get()).all()
    assert cupy.empty(4, "int64").get().any()


@pytest.mark.filterwarnings("error")
def test_nothing_warns(x):
    zero = cupy.zeros(2, "float32")
    assert same(zero / zero, np.float32([np.nan] * 2))
    assert same(cupy.log(zero - 1), np.float32([np.nan] * 2))
    assert same((zero + 3e38) * 10, np.float32([np.inf] * 2))
    assert same(zero[:0].mean(), np.float32(np.nan))
    (zero + np.float32(np.nan)).astype("int32")


def test_out_may_overlap_what_is_read(x):
    cupy.add(x[:, 1:], x[:, :-1], out=x[:, 1:])
    assert same(x, np.float32([[0, 1, 3], [3, 7, 9]]))
    x.dot(cupy.ones((3, 3), "float32"), x)
    assert same(x, np.float32([[4, 4, 4], [19, 19, 19]]))


def test_a_product_goes_into_memory_of_its_size(x):
    out = cupy.empty(4, "float32")
    x.dot(x.T, out)
    assert same(out, (N @ N.T).ravel())


def test_copies_keep_what_they_copied(x):
    for copied in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.copy()):
        assert copied is not x
        assert same(copied, N)
        assert not cupy.may_share_memory(copied, x)
    host = N.copy()
    taken = cupy.asarray(host)
    host[...] = 0.0
    assert same(taken, N)
    big = cupy.asarray(N.astype(">f4"))
    assert big.dtype.isnative
    assert same(big, N)
    assert same(cupy.asarray([x, x]), np.stack([N, N]))


def test_dlpack(x):
    assert np.array_equal(np.from_dlpack(x, device="cpu"), N)
    assert cupy.may_share_memory(cupy.from_dlpack(x), x)
    assert x.__cuda_array_interface__["stream"] == 1
    assert x.T.__cuda_array_interface__["strides"] == (4, 12)
    assert x[:0].__cuda_array_interface__["data"] == (0, False)


def test_bool_and_numbers(x):
    assert bool(x[0, 1])
    for ask in (lambda: bool(x), lambda: x.item()):
        with pytest.raises(ValueError, match=r"ambiguous|size 1"):
            ask()
    with pytest.raises(TypeError, match="unsized"):
        len(x[0, 0])
    with pytest.raises(TypeError, match="0-d"):
        iter(x[0, 0])
    assert (float(x[1, 2]), int(x[1, 2]), x[1, 2].item(), x.tolist()) == (5.0, 5, 5.0, N.tolist())


def test_equal_to_what_cannot_be_compared(x):
    assert same(x == None, np.zeros((2, 3), bool))  # noqa: E711  (it is what is tested)
    assert same(x != object(), np.ones((2, 3), bool))
    assert same(x == np.asarray(1.0), N == 1.0)


def test_array_api_compat_knows_it(x):
    assert array_api_compat.is_cupy_array(x)
    assert not array_api_compat.is_numpy_array(x)
    xp = array_api_compat.array_namespace(x)
    assert xp.__name__ == "array_api_compat.cupy"
    assert same(xp.clip(x, 1.0, 3.0), N.clip(1.0, 3.0))
    assert same(xp.sign(x - 1), np.sign(N - 1))


def test_arrays_of_another_device_are_refused(x):
    with cupy.cuda.Device(1):
        other = cupy.asarray(N)
        assert other.device == cupy.cuda.Device(1)
        assert same(cupy.asarray(x), N)  # a copy, from one to the other
        assert cupy.asarray(x).device == cupy.cuda.Device(1)
    for do in (lambda: x + other, lambda: other + 1, lambda: other @ other.T, other.sum, lambda: other.astype("f8")):
        with pytest.raises(ValueError, match=r"resides \(1\) is different from the current device \(0\)"):
            do()
    with pytest.raises(RuntimeError, match="cudaErrorInvalidDevice"), cupy.cuda.Device(7):
        pass
    assert same(other, N)
