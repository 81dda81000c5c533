"""NumPy: what the compiled kernels of normalization share. N = batch, C = channels, S = positions."""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numba as _numba
import numpy as np

__all__ = ["channels", "loop", "memory", "whole"]

_Array = np.ndarray

numba: Any = _numba  # it declares no types

# Sums are of float64: that they are added in several lanes changes nothing that could be seen.
loop = numba.njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"}, nogil=True)


def whole(portable: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what lets a kernel see whole arrays without gaps alone, and leaves half precision to another."""

    def decorate(kernel: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(kernel)
        def call(*arguments: Any, out: Any = None) -> Any:
            if arguments[0].dtype.itemsize == 2:
                return portable(*arguments)
            given: list[Any] = [np.ascontiguousarray(a) if hasattr(a, "dtype") else a for a in arguments]
            return kernel(*given, out=out)

        return call

    return decorate


def memory(out: Any, like: _Array) -> _Array:
    """Return memory for a result of the shape of an array: what was given, if it lies without gaps."""
    return np.empty_like(like) if out is None or not out.flags.c_contiguous else out


def channels(x: _Array) -> tuple[int, ...]:
    """Return the shape (N, C, S) of x (N, C, ...)."""
    return *x.shape[:2], math.prod(x.shape[2:])
