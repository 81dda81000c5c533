"""NumPy: products by MKL, the BLAS of Intel, if its package is installed and the processor is Intel's.

There NumPy's own OpenBLAS takes 1.1 to 1.4 times as long for large products; on AMD's processors MKL is the slower one.
The environment variable PORTABLE_NN_MKL overrules that: 0 is never, 1 is on any processor.
"""

import contextlib
import ctypes
import os
import re
import warnings
from collections.abc import Generator
from functools import cache
from typing import Any

import numpy as np

from portable_nn.kernels.fast import _processor

__all__ = ["library", "limited_threads", "product"]

_Array = np.ndarray

_ROW_MAJOR, _AS_IT_IS, _TRANSPOSED = 101, 111, 112  # CBLAS_LAYOUT and CBLAS_TRANSPOSE of cblas.h
_CBWR_AUTO = 2  # of mkl_types.h: the same bits from run to run

_TYPES: dict[Any, tuple[str, Any]] = {
    np.dtype(np.float32): ("cblas_sgemm_64", ctypes.c_float),
    np.dtype(np.float64): ("cblas_dgemm_64", ctypes.c_double),
}


def product(a: _Array, b: _Array, out: _Array) -> bool:
    """Write a b to `out`, and return True; or do nothing and return False, without MKL or for arrays it cannot take."""
    if library() is None:
        return False
    fits = (a.shape[0], b.shape[1]) == out.shape and a.shape[1] == b.shape[0] and out.flags.writeable
    if out.strides[0] < out.strides[1]:  # it is the transpose that lies by rows
        a, b, out = b.T, a.T, out.T
    function = _gemm(out.dtype) if fits and a.dtype == b.dtype == out.dtype else None
    layouts = [_layout(matrix) for matrix in (a, b, out)]
    if function is None or None in layouts or layouts[2][0] != _AS_IT_IS:
        return False
    (how_a, lead_a), (how_b, lead_b), (_, lead) = layouts
    address_a, address_b, address = a.ctypes.data, b.ctypes.data, out.ctypes.data
    sizes = *out.shape, a.shape[1]
    function(_ROW_MAJOR, how_a, how_b, *sizes, 1.0, address_a, lead_a, address_b, lead_b, 0.0, address, lead)
    return True


@contextlib.contextmanager
def limited_threads(count: int) -> Generator[None]:
    """Within it, let MKL multiply on so many threads what this thread asks it for."""
    put = None if library.cache_info().currsize == 0 else getattr(library(), "MKL_Set_Num_Threads_Local", None)
    if put is None:
        yield
        return
    before = put(count)
    try:
        yield
    finally:
        put(before)


def _layout(matrix: _Array) -> Any:
    """Return how BLAS is to read a matrix, and the distance of its rows or columns; None if it cannot."""
    size = matrix.itemsize
    for how, along, across in ((_AS_IT_IS, 1, 0), (_TRANSPOSED, 0, 1)):
        lead, rest = divmod(matrix.strides[across], size)
        if matrix.strides[along] == size and not rest and lead >= matrix.shape[along]:
            return how, lead
    return None


@cache
def _gemm(dtype: Any) -> Any:
    """Return MKL's function for C = alpha A B + beta C of a data type, if there is one."""
    mkl = library()
    if mkl is None or dtype not in _TYPES:
        return None
    name, number = _TYPES[dtype]
    function = getattr(mkl, name, None)
    if function is None:  # an old version
        return None
    integer, matrix = ctypes.c_int64, (ctypes.c_void_p, ctypes.c_int64)
    function.restype = None
    function.argtypes = [*[ctypes.c_int] * 3, *[integer] * 3, number, *matrix, *matrix, number, *matrix]
    return function


@cache
def library() -> Any:
    """Return MKL, ready to be called; None if its package is not installed, or not wanted."""
    wanted = os.environ.get("PORTABLE_NN_MKL")
    if wanted == "0" or (wanted != "1" and not _processor.is_intel()):
        return None
    import importlib.metadata  # slow to import, and needed by large networks only

    try:
        files = importlib.metadata.files("mkl") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if re.fullmatch(r"libmkl_rt\.so\.\d+", file.name):
            try:
                mkl = ctypes.CDLL(str(file.locate()))
            except OSError as error:
                warnings.warn(f"MKL is installed but cannot be loaded: {error}", RuntimeWarning, stacklevel=2)
                return None
            mkl.MKL_CBWR_Set(_CBWR_AUTO)
            return mkl
    return None
