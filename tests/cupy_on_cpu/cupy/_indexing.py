"""Indices: host numbers are checked, those on the device wrap around; masks make the host wait."""

import numpy as np

from cupy import _ledger, _work


class _Key:
    """An index as NumPy takes it.

    Attributes
    ----------
    parts : tuple
        With indices on the device wrapped around as a GPU does it.
    gathers : bool
        Whether arrays are among them, so that the result is no view.
    reads : list of arrays
    """

    def __init__(self, array, slices):
        self.shape, self.reads, self.gathers = array.shape, [], False
        parts = list(slices) if isinstance(slices, tuple) else [slices]
        parts = [self._part(part) for part in parts]
        taken = sum(self._axes(part) for part in parts)
        if Ellipsis not in [part for part in parts if not isinstance(part, np.ndarray)]:
            parts.append(Ellipsis)
        axis, done = 0, []
        for part in parts:
            done.append(self._checked(part, axis))
            axis += array.ndim - taken if part is Ellipsis else self._axes(part)
        self.parts = tuple(done)

    def _part(self, part):
        """Return what NumPy takes for a part."""
        if _work.is_array(part):
            self.reads.append(part)
            self.gathers = True
            if part.dtype.kind == "b":
                self._wait()
            elif part.dtype.kind not in "iu":
                raise IndexError("arrays used as indices must be of integer (or boolean) type")
            return _work.on_this_device(part)._values
        if isinstance(part, list | np.ndarray | np.bool_ | bool):
            part = np.asarray(part) if not (isinstance(part, list) and not part) else np.zeros(0, np.intp)
            self.gathers = True
            _ledger.total.copies_in += 1
            if part.dtype.kind == "b":
                self._wait()
        return part

    def _wait(self):
        _work.launch("cupy_nonzero", self.reads, launches=3)
        _work.wait_for_value()

    @staticmethod
    def _axes(part):
        if part is None or part is Ellipsis:
            return 0
        return part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1

    def _checked(self, part, axis):
        if part is Ellipsis or part is None or isinstance(part, slice):
            if isinstance(part, slice) and any(map(_work.is_array, (part.start, part.stop, part.step))):
                raise TypeError("slice indices must be integers or None or have an __index__ method")
            return part
        if isinstance(part, np.ndarray):
            if part.dtype.kind == "b":
                return part
            size = self.shape[axis] if axis < len(self.shape) else 1
            if size == 0 and part.size:
                raise IndexError(f"Index is out of bounds for axis {axis} with size 0")
            return part % size if size else part
        if axis < len(self.shape) and isinstance(part, int | np.integer):
            size = self.shape[axis]
            if not -size <= part < size:
                raise IndexError(f"Index {part} is out of bounds for axis {axis} with size {size}")
        return part


def get(array, slices):
    """Return `array[slices]`."""
    key = _Key(array, slices)
    if not key.gathers:
        return _work.view(array, array._values[key.parts])
    _work.on_this_device(array)
    return _work.made("cupy_take", np.array(array._values[key.parts], order="C"), [array, *key.reads])


def put(array, slices, value):
    """Do `array[slices] = value`."""
    key = _Key(array, slices)
    _work.on_this_device(array)
    if not key.gathers:
        _fill(array, array._values[key.parts], value)
        return
    if isinstance(value, list | np.ndarray):
        value = np.asarray(value)
        _ledger.total.copies_in += 1
    else:
        key.reads.append(value)
        value = _work.operand(value)
    # Of several values for one place any may stay: here, unlike NumPy's, the first does.
    places = np.arange(array.size).reshape(array.shape)[key.parts]
    values = np.broadcast_to(value, places.shape)
    where = np.unravel_index(places.reshape(-1)[::-1], array.shape)
    with np.errstate(all="ignore"):
        array._values[where] = values.reshape(-1)[::-1].astype(array.dtype)
    _work.launch("cupy_scatter_update", [array, *key.reads], [array])


def _fill(array, target, value):
    if isinstance(value, list | np.ndarray) and np.ndim(value):
        raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
    if not _work.is_array(value):
        _work.written("cupy_fill", _work.view(array, target), _number(value))
        return
    same = value.dtype == target.dtype and value.shape == target.shape and value.strides == target.strides
    if same and target.flags.forc and target.size:
        _ledger.total.memory_operations["memcpy"] += 1
        _work.written("cupy_copy", _work.view(array, target), _work.operand(value).copy(), [value], launches=0)
    else:
        _work.written("cupy_copy", _work.view(array, target), np.array(_work.operand(value)), [value])


def _number(value):
    return np.asarray(value)[()] if isinstance(value, list | np.ndarray) else _work.operand(value)


def take(a, indices, axis=None, out=None):
    """Return elements by indices, which wrap around; a single index is checked."""
    if isinstance(indices, int | np.integer):
        size = a.size if axis is None else a.shape[axis]
        if not -size <= indices < size:
            raise IndexError(f"Index {indices} is out of bounds for axis {axis or 0} with size {size}")
    elif not _work.is_array(indices):
        indices = np.asarray(indices)
        _ledger.total.copies_in += 1
    positions = indices._values if _work.is_array(indices) else np.asarray(indices)
    if positions.dtype.kind not in "iub":
        raise TypeError("take requires integer indices")
    size = a.size if axis is None else a.shape[axis]
    if positions.size and not size:
        raise IndexError("cannot do a non-empty take from an empty axes.")
    values = np.take(_work.array(a)._values, positions % max(size, 1), axis)
    if out is None:
        return _work.made("cupy_take", values, [a, indices])
    if out.dtype != a.dtype:
        raise TypeError("Output dtype mismatch")
    if out.shape != np.shape(values):
        raise ValueError("Output shape mismatch")
    return _work.written("cupy_take", out, values, [a, indices])


def take_along_axis(a, indices, axis):
    """Return elements by indices of the same number of dimensions, which wrap around: several launches."""
    if axis is None:
        a, axis = a.ravel(), 0
    if indices.ndim != a.ndim:
        raise ValueError("`indices` and `a` must have the same number of dimensions")
    values = np.take_along_axis(_work.array(a)._values, _work.array(indices)._values % a.shape[axis], axis)
    return _work.made("cupy_take_along_axis", values, [a, indices], launches=a.ndim + 1)


def where(condition, x=None, y=None):
    """Return elements of x where the condition holds, else of y."""
    if x is None and y is None:
        return condition.nonzero()
    if x is None or y is None:
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    values = np.where(_work.operand(condition), _work.operand(x), _work.operand(y))
    return _work.made("cupy_where", np.asarray(values, order="C"), [condition, x, y])


def put_along_axis(arr, indices, values, axis):
    """Write elements by indices."""
    result = arr._values.copy()
    np.put_along_axis(result, _work.array(indices)._values % arr.shape[axis], _work.operand(values), axis)
    _work.written("cupy_put_along_axis", arr, result, [arr, indices, values], launches=arr.ndim + 1)


def tri(a, k, keep):
    """Return one triangle of matrices."""
    return _work.made(f"cupy_{keep.__name__}", keep(_work.array(a)._values, k), [a])


def tril(m, k=0):
    """Return the lower triangle."""
    return tri(m, k, np.tril)


def triu(m, k=0):
    """Return the upper triangle."""
    return tri(m, k, np.triu)


def diag(v, k=0):
    """Return a diagonal, or a matrix that has one."""
    return _work.made("cupy_diag", np.diag(_work.array(v)._values, k), [v])


def trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    """Return the sum of a diagonal."""
    return a.diagonal(offset, axis1, axis2).sum(-1, dtype, out)


def searchsorted(a, v, side="left", sorter=None):
    """Return where values belong."""
    sorter = None if sorter is None else sorter._values
    return _work.made("cupy_searchsorted", np.searchsorted(a._values, _work.operand(v), side, sorter), [a, v])


def compress(a, condition, axis=None, out=None):
    """Return parts where a condition holds: the host waits."""
    _work.wait_for_value()
    return _work.made("cupy_take", np.compress(_work.operand(condition), a._values, axis), [a, condition])
