"""CuPy: batches of rows, of several arrays in one launch."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from portable_nn.kernels.fast import _cuda
from portable_nn.kernels.portable import memory

__all__ = ["gather"]

_REALS, _INTEGERS = 3, 1
"""Arrays that the kernel takes."""


def gather(device: _cuda.Launcher, arrays: Sequence[Any], indices: Any, out: Sequence[Any] | None = None) -> list[Any]:
    """Return the rows of each array (N, ...) at integer indices (n,): those of floats of one kind, and of integers."""
    out = [None] * len(arrays) if out is None else out
    dtype = next((array.dtype for array in arrays if array.dtype.char in "fd"), np.dtype("float32"))
    reals = [k for k, array in enumerate(arrays) if array.dtype == dtype and array.flags.c_contiguous][:_REALS]
    integers = [k for k, array in enumerate(arrays) if array.dtype == "int64" and array.flags.c_contiguous][:_INTEGERS]
    together = {*reals, *integers}
    rows = [
        device.memory(old, (indices.shape[0], *array.shape[1:]), array.dtype)
        if k in together
        else memory.rows(array, indices)
        for k, (array, old) in enumerate(zip(arrays, out, strict=True))
    ]
    widths = [math.prod(array.shape[1:]) for array in arrays]
    arguments = [device.contiguous(indices, "int64"), indices.shape[0]]
    for places, most in ((reals, _REALS), (integers, _INTEGERS)):
        for k in places:
            arguments += [arrays[k], rows[k], widths[k]]
        arguments += [None, None, 0] * (most - len(places))
    launch = _cuda.matrix_launch(indices.shape[0], max((widths[k] for k in together), default=0))
    if together:
        device.launch("gather", launch, dtype, *arguments)
    return rows
