"""Kernels on the stand-in: what CuPy leaves unchecked is checked, and what it launches is counted."""

import os

import numpy as np
import pytest

if os.environ.get("PORTABLE_NN_CUPY") != "stand-in":
    pytest.skip("needs PORTABLE_NN_CUPY=stand-in", allow_module_level=True)

import cupy
from cupy import _ledger
from cupy._errors import CUDADriverError, KernelArgumentError

CODE = r"""
typedef float real;

template <class T>
__device__ T twice(T x) { return x + x; }

__device__ void meet() { __syncthreads(); }

extern "C" __global__ void kernel_double(const real* xs, real* ys, long long size, double more)  // int is no size
{
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x)
        ys[i] = twice(xs[i]) + real(more);
}

extern "C" __global__ void kernel_reverse(real* xs)
{
    real x = xs[blockDim.x - 1 - threadIdx.x];
    meet();
    xs[threadIdx.x] = x;
}

extern "C" __global__ void kernel_overrun(const real* xs, real* ys, int past, bool writes)
{
    if (writes)
        ys[past] = 0;
    else
        ys[0] = xs[past];
}
"""


@pytest.fixture(scope="module")
def module():
    return cupy.RawModule(code=CODE)


@pytest.fixture
def x():
    return cupy.arange(6, dtype="float32")


def test_a_kernel_runs(module, x):
    y = cupy.empty(6, "float32")
    module.get_function("kernel_double")((2,), (32,), (x, y, 6, 0.5))
    assert y.tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]


def test_barriers_are_found_where_they_are_called(module, x):
    module.get_function("kernel_reverse")((1,), (6,), (x,))
    assert x.tolist() == [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]


def in_place(module, x):
    module.get_function("kernel_double")((1,), (32,), (x, x, 6, 0.0))


def test_arrays_may_be_the_same(module, x):
    in_place(module, x)
    assert x.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]


ARGUMENTS = {
    "too few": (lambda x: (x, x, 6), "takes 4 arguments, got 3"),
    "another dtype": (lambda x: (x.astype("float64"), x, 6, 0.0), "got an array of float64"),
    "NumPy's array": (lambda x: (np.ones(6, "float32"), x, 6, 0.0), "got <class 'numpy.ndarray'>"),
    "not contiguous": (lambda x: (cupy.ones((6, 2), "float32")[:, 0], x, 6, 0.0), "not C-contiguous"),
    "nowhere to write": (lambda x: (x, None, 6, 0.0), "a null pointer to write to"),
    "a float for a size": (lambda x: (x, x, 6.0, 0.0), "a Python float, passed as float64"),
    "an int for a number": (lambda x: (x, x, 6, 0), "a Python int, passed as int64"),
    "NumPy's int of 4 bytes": (lambda x: (x, x, np.int32(6), 0.0), "got <class 'numpy.int32'>"),
    "another device": (lambda x: (on_device_1(), x, 6, 0.0), "an array on <CUDA Device 1>"),
}


def on_device_1():
    with cupy.cuda.Device(1):
        return cupy.ones(6, "float32")


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_are_held_to_the_text(module, x, case):
    arguments, text = ARGUMENTS[case]
    with pytest.raises(KernelArgumentError, match=text):
        module.get_function("kernel_double")((1,), (32,), arguments(x))


@pytest.mark.parametrize("past", [-1, 6, 500])
def test_writing_outside_is_found(module, x, past):
    with pytest.raises(AssertionError, match="kernel_overrun writes outside of its arrays"):
        module.get_function("kernel_overrun")((1,), (1,), (x, x, np.int32(past), True))


@pytest.mark.parametrize("past", [-1, 6, 500])
def test_what_is_read_outside_shows(module, x, past):
    y = cupy.zeros(6, "float32")
    module.get_function("kernel_overrun")((1,), (1,), (x, y, np.int32(past), False))
    assert y.get()[0] > 1e38


@pytest.mark.parametrize(
    ("grid", "block"), [((1,), (1025,)), ((1,), (32, 33)), ((1, 65_536), (32,)), ((2**31,), (1,)), ((1,), (1, 1, 65))]
)
def test_launches_are_limited(module, x, grid, block):
    with pytest.raises(CUDADriverError, match="CUDA_ERROR_INVALID_VALUE"):
        module.get_function("kernel_double")(grid, block, (x, x, 6, 0.0))


def test_what_is_not_there(module):
    with pytest.raises(CUDADriverError, match="CUDA_ERROR_NOT_FOUND"):
        module.get_function("kernel_triple")
    with pytest.raises(cupy.cuda.compiler.CompileException, match="error"):
        cupy.RawModule(code='extern "C" __global__ void kernel_a(float* x) { y; }').get_function("kernel_a")


COUNTED = {
    "nothing for views": (lambda x: x.reshape(2, 3).T[None, ..., 0], {}),
    "one an operation": (lambda x: x + x * 2, {"launches": 2, "allocations": 2}),
    "a mask written": (lambda x: x.__setitem__(x > 2, 0.0), {"launches": 5, "reads": 1}),
    "a number read": (lambda x: float(x[0]), {"reads": 1}),
    "an array printed": (repr, {"reads": 1}),
    "zeros": (lambda x: cupy.zeros(5), {"launches": 0, "memory_operations": 1}),
    "a batch from the host": (lambda x: cupy.asarray(np.ones(5)), {"copies_in": 1, "launches": 0}),
    "a number from the host": (lambda x: cupy.asarray(2.0), {"copies_in": 0, "launches": 1}),
    "a product": (lambda x: x.reshape(2, 3) @ x.reshape(3, 2), {"products": 1, "launches": 0}),
    "a transposed product": (lambda x: x.reshape(2, 3).T @ x.reshape(2, 3), {"products": 1, "launches": 0}),
    "a product of columns": (lambda x: x.reshape(2, 3)[:, :2] @ x[:4].reshape(2, 2), {"products": 1, "launches": 1}),
    "a product to a number": (lambda x: x.reshape(1, 6) @ x.reshape(6, 1), {"products": 0, "launches": 2}),
    "a product of nothing": (lambda x: x.reshape(6, 1)[:, :0] @ x[:0].reshape(0, 2), {"products": 0, "launches": 0}),
    "a wait": (lambda x: cupy.cuda.Device().synchronize(), {"waits": 1, "reads": 0}),
    "a kernel": (lambda x: in_place(cupy.RawModule(code=CODE), x), {"kernels": 1, "launches": 1}),
}


@pytest.mark.parametrize("case", COUNTED)
def test_what_is_asked_of_a_gpu_is_counted(case, x):
    do, expected = COUNTED[case]
    with _ledger.counting() as counts:
        do(x)
    expected = {"launches": 0, "reads": 0, "products": 0, "copies_in": 0} | expected
    for name, count in expected.items():
        found = getattr(counts, name)
        assert (found if isinstance(found, int) else found.total()) == count, name


def test_memory_that_was_given_back_is_no_new_block():
    def step():
        return cupy.ones(4_321, "float32") + 1

    step()
    with _ledger.counting() as counts:
        step()
    assert (counts.allocations, counts.blocks) == (2, 0)


def test_counts_can_be_set_to_zero(x):
    x + 1
    _ledger.reset()
    assert _ledger.counts().launches == 0
    x + 1
    assert _ledger.counts().functions == {"cupy_add": 1}
