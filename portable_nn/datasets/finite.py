"""The one check that every table's numbers pass."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from portable_nn.errors import DataFileError

__all__ = ["Precision", "finite"]

Precision: TypeAlias = Literal["float32", "float64"]


def finite(array: NDArray[Any], place: Callable[[int, int], str], dtype: Precision) -> NDArray[Any]:
    """Return a 2-D array as `dtype`, in row-major order, if that is finite; `place` names row and column in errors."""
    with np.errstate(over="ignore", invalid="ignore"):  # a NaN that signals is refused below like any other
        numbers = np.ascontiguousarray(array, dtype=dtype)
    finite = np.isfinite(numbers)
    if not finite.all():
        row, column = divmod(int(finite.argmin()), finite.shape[1])
        needed = f"a finite number in the range of {dtype}"
        raise DataFileError(f"{place(row, column)}: needed {needed}, got {array[row, column]}")
    return numbers
