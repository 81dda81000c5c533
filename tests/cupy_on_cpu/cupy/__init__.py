"""A stand-in for CuPy 14.2 on the CPU: it refuses what CuPy refuses, and runs CUDA sources through the harness.

It is on the path of tests alone, where PORTABLE_NN_CUPY=stand-in asks for it. Nothing that passes here is a result of a
GPU; docs/cupy.md lists what only a GPU can show. What CuPy does and this does not is missing, or NotImplementedError.
"""

import builtins as _builtins

import numpy as _numpy  # noqa: ICN001  (CuPy has no name `np` of its own)
from numpy import (
    bool_,
    can_cast,
    complex64,
    complex128,
    complexfloating,
    dtype,
    e,
    euler_gamma,
    finfo,
    float16,
    float32,
    float64,
    floating,
    iinfo,
    inexact,
    inf,
    int8,
    int16,
    int32,
    int64,
    integer,
    intp,
    isdtype,
    issubdtype,
    nan,
    newaxis,
    number,
    pi,
    promote_types,
    signedinteger,
    uint8,
    uint16,
    uint32,
    uint64,
    unsignedinteger,
)

from cupy import _ledger as _ledger
from cupy import cuda, fft, linalg
from cupy._array import ndarray
from cupy._creation import (
    arange,
    array,
    asanyarray,
    asarray,
    asnumpy,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    identity,
    linspace,
    ones,
    ones_like,
    tri,
    zeros,
    zeros_like,
)
from cupy._indexing import diag, put_along_axis, searchsorted, take, take_along_axis, tril, triu, where
from cupy._products import dot, einsum, inner, matmul, outer, tensordot, vdot
from cupy._reductions import (
    all,
    allclose,
    any,
    argmax,
    argmin,
    argsort,
    argwhere,
    array_equal,
    bincount,
    clip,
    count_nonzero,
    cumprod,
    cumsum,
    diff,
    flatnonzero,
    isclose,
    isin,
    max,
    mean,
    min,
    nan_to_num,
    nonzero,
    prod,
    ptp,
    round,
    sort,
    std,
    sum,
    unique,
    var,
)
from cupy._shapes import (
    ascontiguousarray,
    astype,
    atleast_1d,
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    concatenate,
    copy,
    diagonal,
    expand_dims,
    flip,
    matrix_transpose,
    may_share_memory,
    meshgrid,
    moveaxis,
    ndim,
    ravel,
    repeat,
    roll,
    shape,
    shares_memory,
    size,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
)
from cupy._shapes import reshaped as reshape
from cupy._shapes import transposed as transpose
from cupy._ufuncs import UFUNCS as _UFUNCS
from cupy._ufuncs import ufunc
from cupy.cuda import is_available
from cupy.cuda._raw import RawKernel, RawModule

__version__ = "14.2.0 (stand-in on the CPU)"

globals().update(_UFUNCS)
amax, amin, concat, permute_dims = max, min, concatenate, transpose


def result_type(*arrays_and_dtypes):
    """Return the data type to which all are promoted."""
    return _numpy.result_type(*(each.dtype if isinstance(each, ndarray) else each for each in arrays_and_dtypes))


def get_array_module(*args):
    """Return this module if an array of it is among the arguments, else NumPy."""
    import sys

    return sys.modules[__name__] if _builtins.any(isinstance(each, ndarray) for each in args) else _numpy


def get_default_memory_pool():
    """Return the pool."""
    return cuda.MemoryPool()


def get_default_pinned_memory_pool():
    """Return the pool of page-locked memory."""
    return cuda.PinnedMemoryPool()
