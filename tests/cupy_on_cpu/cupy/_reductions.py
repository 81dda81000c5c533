"""Sums, maxima and what else goes over whole axes: 0-d arrays where NumPy gives scalars."""

import numpy as np

from cupy import _work


def _put(name, values, a, out, launches):
    if out is None:
        return _work.made(name, np.asarray(values, order="C"), [a], launches)
    if not _work.is_array(out):
        raise TypeError("Output arguments type must be cupy.ndarray")
    if out.shape != np.shape(values):
        raise ValueError("Output array has an invalid shape")
    return _work.written(name, out, values, [a], launches)


def _reduced(name, a, axis, out, keepdims, launches=None, **options):
    """Reduce by NumPy's function of this name: one launch, two where all axes go at once."""
    with np.errstate(all="ignore"):
        values = getattr(np, name)(_work.array(a)._values, axis=axis, keepdims=keepdims, **options)
    whole = axis is None and a.size > 1
    return _put(f"cupy_{name}", values, a, out, launches or 1 + whole)


def sum(a, axis=None, dtype=None, out=None, keepdims=False):
    """Return sums."""
    return _reduced("sum", a, axis, out, keepdims, dtype=dtype)


def prod(a, axis=None, dtype=None, out=None, keepdims=False):
    """Return products."""
    return _reduced("prod", a, axis, out, keepdims, dtype=dtype)


def max(a, axis=None, out=None, keepdims=False):
    """Return maxima."""
    return _reduced("max", a, axis, out, keepdims)


def min(a, axis=None, out=None, keepdims=False):
    """Return minima."""
    return _reduced("min", a, axis, out, keepdims)


def mean(a, axis=None, dtype=None, out=None, keepdims=False):
    """Return means; NaN of nothing."""
    total = sum_of(a, axis, dtype or _floating(a), keepdims)
    count = a.size // np.maximum(total.size, 1) if a.size else 0
    with np.errstate(all="ignore"):
        return _put("cupy_mean", np.asarray(np.divide(total, total.dtype.type(count))), a, out, 1 + (axis is None))


def sum_of(a, axis, dtype, keepdims):
    """Return sums as NumPy has them."""
    with np.errstate(all="ignore"):
        return np.asarray(np.sum(_work.array(a)._values, axis=axis, dtype=dtype, keepdims=keepdims))


def _floating(a):
    return a.dtype if a.dtype.kind in "fc" else np.dtype(float)


def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    """Return variances."""
    if not a.size:
        raise NotImplementedError("var of nothing is not in the stand-in")
    return _reduced("var", a, axis, out, keepdims, launches=3, dtype=dtype, ddof=ddof)


def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    """Return standard deviations."""
    if not a.size:
        raise NotImplementedError("std of nothing is not in the stand-in")
    return _reduced("std", a, axis, out, keepdims, launches=4, dtype=dtype, ddof=ddof)


def argmax(a, axis=None, dtype=None, out=None, keepdims=False):
    """Return where the maxima are."""
    return _where("argmax", a, axis, dtype, out, keepdims)


def argmin(a, axis=None, dtype=None, out=None, keepdims=False):
    """Return where the minima are."""
    return _where("argmin", a, axis, dtype, out, keepdims)


def _where(name, a, axis, dtype, out, keepdims):
    values = getattr(np, name)(_work.array(a)._values, axis, keepdims=keepdims)
    values = np.asarray(values, dtype=np.int64 if dtype is None else dtype)
    return _put(f"cupy_{name}", values, a, out, 1)


def all(a, axis=None, out=None, keepdims=False):
    """Tell whether all are true."""
    return _reduced("all", a, axis, out, keepdims)


def any(a, axis=None, out=None, keepdims=False):
    """Tell whether any is true."""
    return _reduced("any", a, axis, out, keepdims)


def ptp(a, axis=None, out=None, keepdims=False):
    """Return maximum less minimum."""
    return _reduced("ptp", a, axis, out, keepdims, launches=3)


def cumsum(a, axis=None, dtype=None, out=None):
    """Return running sums."""
    with np.errstate(all="ignore"):
        return _put("cupy_cumsum", np.cumsum(_work.array(a)._values, axis, dtype), a, out, 2)


def cumprod(a, axis=None, dtype=None, out=None):
    """Return running products."""
    with np.errstate(all="ignore"):
        return _put("cupy_cumprod", np.cumprod(_work.array(a)._values, axis, dtype), a, out, 2)


def count_nonzero(a, axis=None):
    """Return how many are not zero."""
    return _put("cupy_count_nonzero", np.count_nonzero(_work.array(a)._values, axis), a, None, 1)


def sort(a, axis=-1, kind=None):
    """Return a sorted copy."""
    _check_kind(kind)
    return _put("cupy_sort", np.sort(_work.array(a)._values, axis, kind="stable"), a, None, 2)


def argsort(a, axis=-1, kind=None):
    """Return the order that sorts."""
    _check_kind(kind)
    return _put("cupy_argsort", np.argsort(_work.array(a)._values, axis, kind="stable"), a, None, 2)


def sort_in_place(a, axis=-1, kind=None):
    """Sort the array itself."""
    _check_kind(kind)
    _work.written("cupy_sort", a, np.sort(a._values, axis, kind="stable"), [a], 2)


def _check_kind(kind):
    if kind not in (None, "stable"):
        raise ValueError(f"unknown sort kind: {kind}")


def nonzero(a):
    """Return where it is not zero: the host waits for how many there are."""
    found = np.nonzero(_work.array(a)._values)
    _work.launch("cupy_nonzero", [a], launches=3)
    _work.wait_for_value()
    return tuple(_work.made("cupy_nonzero", indices, launches=0) for indices in found)


def argwhere(a):
    """Return where it is not zero, row by row: the host waits."""
    _work.wait_for_value()
    return _work.made("cupy_nonzero", np.argwhere(_work.array(a)._values), [a], 3)


def flatnonzero(a):
    """Return the flat indices of what is not zero: the host waits."""
    return a.ravel().nonzero()[0]


def unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True):
    """Return the distinct values: the host waits for how many there are."""
    found = np.unique(
        _work.array(ar)._values, return_index, return_inverse, return_counts, axis=axis, equal_nan=equal_nan
    )
    _work.launch("cupy_unique", [ar], launches=4)
    _work.wait_for_value()
    if isinstance(found, tuple):
        return tuple(_work.made("cupy_unique", each, launches=0) for each in found)
    return _work.made("cupy_unique", found, launches=0)


def clip(a, a_min, a_max, out=None):
    """Return the values within limits."""
    with np.errstate(all="ignore"):
        low, high = (None if limit is None else _work.operand(limit) for limit in (a_min, a_max))
        values = np.clip(_work.operand(a), low, high)
    return _put("cupy_clip", values, a, out, 1)


def round(a, decimals=0, out=None):
    """Return rounded values."""
    return _put("cupy_round", np.round(_work.operand(a), decimals), a, out, 1)


def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """Return the values with numbers for NaN and infinities."""
    return _put("cupy_nan_to_num", np.nan_to_num(_work.operand(x), True, nan, posinf, neginf), x, None, 1)


def diff(a, n=1, axis=-1, prepend=None, append=None):
    """Return differences of neighbours."""
    if prepend is not None or append is not None:
        raise NotImplementedError("diff takes n and axis in the stand-in")
    return _put("cupy_subtract", np.diff(_work.operand(a), n, axis), a, None, n)


def bincount(x, weights=None, minlength=None):
    """Return how often each number is there: the host waits for the largest."""
    _work.wait_for_value()
    weights = None if weights is None else _work.operand(weights)
    return _put("cupy_bincount", np.bincount(_work.operand(x), weights, minlength or 0), x, None, 3)


def isin(element, test_elements, assume_unique=False, invert=False):
    """Tell which are among others."""
    values = np.isin(_work.operand(element), _work.operand(test_elements), invert=invert)
    return _put("cupy_isin", values, element, None, 2)


def isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Tell which are close."""
    with np.errstate(all="ignore"):
        values = np.isclose(_work.operand(a), _work.operand(b), rtol, atol, equal_nan)
    return _put("cupy_isclose", values, a, None, 1)


def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Tell, on the device, whether all are close."""
    return all(isclose(a, b, rtol, atol, equal_nan))


def array_equal(a1, a2, equal_nan=False):
    """Tell, on the device, whether two arrays are equal."""
    values = np.array_equal(_work.array(a1)._values, _work.array(a2)._values, equal_nan)
    return _put("cupy_array_equal", values, a1, None, 2)
