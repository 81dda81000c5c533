"""Products of matrices: calls of cuBLAS, and what has to happen before and after them."""

import numpy as np

from cupy import _ledger, _work


def dot(a, b, out=None):
    """Return the product of two arrays, as NumPy's `dot`; `out` is written without a copy."""
    if not _work.is_array(a):
        return a.dot(b, out)  # as CuPy, whoever's method that is
    a, b = _work.array(a), _work.array(b, "b")
    if out is not None:
        _check_out(out, np.result_type(a.dtype, b.dtype))
    if a.ndim and b.ndim and a.shape[-1] != b.shape[-2 if b.ndim > 1 else -1]:
        raise ValueError("Axis dimension mismatch")
    with np.errstate(all="ignore"):
        values = np.asarray(np.dot(a._values, b._values), order="C")
    return _product("cupy_dot", values, a, b, out)


def matmul(a, b, /, out=None):
    """Return products of matrices; above two dimensions what is not C-contiguous is copied first."""
    if not _work.is_array(a) and not isinstance(a, np.ndarray):
        raise TypeError(f"Cannot convert {type(a).__name__} to cupy._core.core._ndarray_base")
    a, b = _work.array(a), _work.array(b, "b")
    if not a.ndim or not b.ndim:
        raise ValueError("matmul: Input operand does not have enough dimensions")
    with np.errstate(all="ignore"):
        values = np.asarray(np.matmul(a._values, b._values), order="C")
    if out is None:
        return _product("cupy_matmul", values, a, b, None)
    if not _work.is_array(out):
        raise TypeError("Output arguments type must be cupy.ndarray")
    if out.shape != values.shape:
        raise ValueError("Output array has an invalid shape")
    return _work.written("cupy_copy", out, values, [_product("cupy_matmul", values, a, b, None)])


def _check_out(out, dtype):
    _work.array(out, "out")
    if out.dtype != dtype:
        raise ValueError("Not supported dtype combination.")
    if not out.flags.c_contiguous:
        raise ValueError("Output array must be C-contiguous")


def _product(name, values, a, b, out):
    """Return a product, or write it into `out`, which is of its size."""
    if out is not None and out.size != values.size:
        raise ValueError("Output array has an invalid size")
    launches = _count(name, values, a, b)
    if out is None:
        return _work.made(name, values, [a, b], launches)
    if any(np.may_share_memory(out._values, each._values) for each in (a, b)):
        launches += 1  # through a copy
    _work.written(name, out, values.reshape(out.shape), [a, b], launches)
    return out


def _count(name, values, a, b):
    """Count cuBLAS calls, copies of operands whose layout it does not take, and fills; return the launches besides."""
    if not values.size:
        return 0
    if not a.size:
        _ledger.total.memory_operations["memset"] += 1
        return 0
    if values.dtype.kind not in "fc":
        return 1  # a kernel of CuPy's own
    if values.size == 1 and max(a.ndim, b.ndim) <= 2:
        return 2  # multiplied and summed up
    copied = [each for each in (a, b) if not (each.flags.forc if each.ndim <= 2 else each.flags.c_contiguous)]
    for each in copied:
        _work.launch("cupy_copy", [each])
    _ledger.total.products["gemm" if max(a.ndim, b.ndim) <= 2 else "gemm_batched"] += 1
    return 0


def tensordot(a, b, axes=2):
    """Return a product over several axes."""
    with np.errstate(all="ignore"):
        values = np.asarray(np.tensordot(_work.array(a)._values, _work.array(b)._values, axes), order="C")
    return _product("cupy_tensordot", values, a, b, None)


def vdot(a, b):
    """Return the product of two vectors."""
    return _product("cupy_vdot", np.asarray(np.vdot(_work.array(a)._values, _work.array(b)._values)), a, b, None)


def inner(a, b):
    """Return products over the last axes."""
    return _product("cupy_inner", np.asarray(np.inner(_work.array(a)._values, _work.array(b)._values)), a, b, None)


def outer(a, b, out=None):
    """Return the products of all pairs."""
    values = np.outer(_work.array(a)._values, _work.array(b)._values)
    return _work.made("cupy_multiply", values, [a, b]) if out is None else _work.written("cupy_multiply", out, values)


def einsum(*operands, **kwargs):
    """Return a sum of products."""
    subscripts, *arrays = operands
    values = np.einsum(subscripts, *(_work.array(each)._values for each in arrays), **kwargs)
    return _work.made("cupy_einsum", np.array(values, order="C"), arrays)
