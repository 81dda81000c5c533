"""The one check that every table's numbers pass."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_nn.errors import DataFileError

__all__ = ["finite_float32"]


def finite_float32(array: NDArray[Any], place: Callable[[int, int], str]) -> NDArray[np.float32]:
    """Return a 2-D array as float32, in row-major order, if that is finite; `place` names row and column in errors."""
    with np.errstate(over="ignore", invalid="ignore"):  # a NaN that signals is refused below like any other
        numbers = np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(numbers)
    if not finite.all():
        row, column = divmod(int(finite.argmin()), finite.shape[1])
        needed = "a finite number in the range of float32"
        raise DataFileError(f"{place(row, column)}: needed {needed}, got {array[row, column]}")
    return numbers
