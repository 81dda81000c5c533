"""Shapes: views where NumPy makes views, else a copy by one launch."""

import re

import numpy as np

from cupy import _work


def reshape(a, *shape, order="C", copy=None):
    """Return a view of another shape, or a copy where the layout allows none."""
    shape = shape[0] if len(shape) == 1 else shape
    if copy is not None or order not in ("C", "F", "A"):
        raise NotImplementedError("reshape takes shape and order in the stand-in")
    try:
        result = a._values.reshape(shape, order=order)
    except ValueError as error:
        raise ValueError(re.sub(r"(\d),(\d)", r"\1, \2", str(error))) from None
    if np.shares_memory(result, a._values) or not a.size:
        return _work.view(a, result)
    _work.on_this_device(a)
    return _work.made("cupy_copy", result, [a])


def without_copy(a, shape):
    """Return a view of another shape; AttributeError where that takes a copy."""
    result = a._values.reshape(shape)
    if a.size and not np.shares_memory(result, a._values):
        raise AttributeError("incompatible shape")
    return _work.view(a, result)


def reshaped(a, newshape, order="C", *, copy=None):
    """Return the same, as a function."""
    _work.array(a)
    return reshape(a, newshape, order=order, copy=copy)


def ravel(a, order="C"):
    """Return it in one dimension."""
    return reshape(a, -1, order="A" if order == "K" else order)


def flatten(a, order="C"):
    """Return a copy in one dimension."""
    return ravel(a.copy(), order)


def transpose(a, *axes):
    """Return a view with the axes in another order."""
    axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
    if axes is not None and len({axis % max(a.ndim, 1) for axis in axes}) != len(axes):
        raise ValueError("repeated axis in transpose")
    return _work.view(a, a._values.transpose(axes))


def transposed(a, axes=None):
    """Return the same, as a function."""
    return transpose(a, axes)


def swapaxes(a, axis1, axis2):
    """Return a view with two axes exchanged."""
    return _work.view(a, a._values.swapaxes(axis1, axis2))


def moveaxis(a, source, destination):
    """Return a view with axes moved."""
    return _work.view(a, np.moveaxis(a._values, source, destination))


def squeeze(a, axis=None):
    """Return a view without axes of length 1."""
    return _work.view(a, a._values.squeeze(axis))


def expand_dims(a, axis):
    """Return a view with an axis of length 1 more."""
    return _work.view(a, np.expand_dims(a._values, axis))


def broadcast_to(array, shape):
    """Return a view of a larger shape."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    try:
        values = np.broadcast_to(_work.array(array, "array")._values, shape)
    except ValueError:
        raise ValueError(
            f"operands could not be broadcast together with shape {array.shape} and requested shape {shape}"
        ) from None
    return _work.view(array, values)


def broadcast_arrays(*args):
    """Return views of one shape."""
    shape = broadcast_shapes(*(array.shape for array in args))
    return [broadcast_to(array, shape) for array in args]


def broadcast_shapes(*args):
    """Return the shape of all together."""
    return np.broadcast_shapes(*args)


def matrix_transpose(x, /):
    """Return a view with the last two axes exchanged."""
    return x.mT


def diagonal(a, offset=0, axis1=0, axis2=1):
    """Return a view of the diagonal."""
    return _work.view(a, a._values.diagonal(offset, axis1, axis2))


def flip(a, axis=None):
    """Return a view backwards."""
    return _work.view(a, np.flip(a._values, axis))


def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    """Return arrays one after the other: up to eight are joined by one launch each, more by one and their copies."""
    arrays = [_work.array(array) for array in tup]
    values = np.concatenate([a._values for a in arrays], axis, dtype=dtype, casting=casting)
    return _joined("cupy_concatenate", values, arrays, out)


def stack(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    """Return arrays one beside the other."""
    arrays = [_work.array(array) for array in tup]
    values = np.stack([a._values for a in arrays], axis, dtype=dtype, casting=casting)
    return _joined("cupy_concatenate", values, arrays, out)


def _joined(name, values, arrays, out):
    launches = len(arrays) if len(arrays) <= 8 else 1
    if out is None:
        return _work.made(name, np.ascontiguousarray(values), arrays, launches)
    if out.shape != values.shape:
        raise ValueError("Output array has an invalid size")
    return _work.written(name, out, values, arrays, launches)


def repeat(a, repeats, axis=None):
    """Return elements several times each."""
    return _work.made("cupy_repeat", np.repeat(_work.array(a)._values, repeats, axis), [a])


def tile(A, reps):
    """Return the array several times over."""
    return _work.made("cupy_tile", np.tile(_work.array(A)._values, reps), [A])


def roll(a, shift, axis=None):
    """Return elements moved in a ring."""
    return _work.made("cupy_roll", np.roll(_work.array(a)._values, shift, axis), [a])


def split(ary, indices_or_sections, axis=0):
    """Return views of parts."""
    return [_work.view(ary, part) for part in np.split(ary._values, indices_or_sections, axis)]


def atleast_1d(*arys):
    """Return arrays with a dimension at least."""
    results = [a if a.ndim else a.reshape(1) for a in arys]
    return results[0] if len(results) == 1 else results


def may_share_memory(a, b, max_work=None):
    """Tell whether two arrays' bounds overlap."""
    return bool(np.may_share_memory(a._values, b._values))


def shares_memory(a, b, max_work=None):
    """Tell whether two arrays share an element."""
    return bool(np.shares_memory(a._values, b._values))


def size(a, axis=None):
    """Return the number of elements."""
    return a.size if axis is None else a.shape[axis]


def shape(a):
    """Return the shape."""
    return a.shape


def ndim(a):
    """Return the number of dimensions."""
    return a.ndim


def astype(x, dtype, /, *, copy=True):
    """Return a copy of another data type."""
    return x.astype(dtype, copy=copy)


def copy(a, order="K"):
    """Return a copy."""
    return a.copy(order)


def ascontiguousarray(a, dtype=None):
    """Return the array, or a contiguous copy; of one dimension at least."""
    array = _work.array(a)
    result = array.astype(array.dtype if dtype is None else dtype, order="C", copy=False)
    return result if result.ndim else result.reshape(1)


def meshgrid(*xi, **kwargs):
    """Return grids of coordinates."""
    grids = np.meshgrid(*(x._values for x in xi), **kwargs)
    return [_work.made("cupy_copy", grid, xi) for grid in grids]
