"""NumPy: the OpenBLAS that its wheels bring, asked what it is, and told on how many threads to multiply."""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["core", "threads"]

_NAMES = "scipy_openblas_{}64_", "openblas_{}64_", "openblas_{}"


@cache
def core() -> str | None:
    """Return for which kind of processor its kernels are; None if NumPy has another BLAS."""
    function = _function("get_corename")
    if function is None:
        return None
    function.restype, function.argtypes = ctypes.c_char_p, []
    return function().decode()


@cache
def threads() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Return the functions that get and set the number of its threads; None if NumPy has another BLAS."""
    get, put = _function("get_num_threads"), _function("set_num_threads")
    if get is None or put is None:
        return None
    get.restype, get.argtypes = ctypes.c_int, []
    put.restype, put.argtypes = None, [ctypes.c_int]
    return get, put


def _function(name: str) -> Any:
    library = _library()
    found = (getattr(library, form.format(name), None) for form in _NAMES)
    return None if library is None else next((function for function in found if function is not None), None)


@cache
def _library() -> Any:
    folder = Path(np.__file__).parent
    for path in [*folder.parent.glob("numpy.libs/*openblas*"), *folder.glob(".dylibs/*openblas*")]:
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            continue
    return None
