"""NumPy."""

import numpy as np

__all__ = ["relu_gradient"]

_INTEGERS = {"float16": np.int16, "float32": np.int32, "float64": np.int64}


def relu_gradient(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return dy where y > 0, else 0: the bits of dy, kept or cleared by a mask of all ones or all zeros.

    `numpy.where` branches at every element; this does not, and unlike a product it gives 0 where dy is infinite.
    """
    integer = _INTEGERS[dy.dtype.name]
    return (dy.view(integer) & -(y > 0).astype(integer)).view(dy.dtype)
