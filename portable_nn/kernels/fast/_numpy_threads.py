"""NumPy: on how many threads its BLAS multiplies.

Two threads that share a small product wait for one another longer than either of them works, and on a busy machine much
longer. Whether they pay follows from sizes alone, so that a run rounds alike each time.
"""

import contextlib
import os
import threading
from collections.abc import Generator
from typing import Any

from portable_nn.kernels.fast import _mkl, _openblas

__all__ = ["blas_threads", "limited_threads"]

_SHARED = 28_000_000
"""Multiplications of the largest product from which on more threads than one gain."""

_lock = threading.Lock()
_limits: list[int] = []  # of all that run now, in any thread: the smallest counts for the whole process
_before = 0


@contextlib.contextmanager
def limited_threads(multiplications: float, count: int | None = None) -> Generator[None]:
    """Within it, multiply on the number of threads that suits products of up to so many multiplications.

    Parameters
    ----------
    multiplications : number
        Of the largest product.
    count : int, optional
        That many threads instead; so does the environment variable PORTABLE_NN_THREADS.
    """
    count = _chosen(multiplications, count)
    blas = None if count is None else _openblas.threads()
    if count is None or blas is None:
        yield
        return
    _enter(blas, count)
    try:
        with _mkl.limited_threads(count):
            yield
    finally:
        _leave(blas, count)


def blas_threads() -> int | None:
    """Return on how many threads NumPy's BLAS multiplies now; None if it is none that can be asked."""
    blas = _openblas.threads()
    return None if blas is None else int(blas[0]())


def _chosen(multiplications: float, count: int | None) -> int | None:
    """Return the number of threads to limit BLAS to; None to leave it as it is."""
    if count is None and (forced := os.environ.get("PORTABLE_NN_THREADS")):
        if not forced.isdecimal() or int(forced) < 1:
            raise ValueError(f"PORTABLE_NN_THREADS needs to be a whole number of at least 1, got {forced!r}")
        count = int(forced)
    if count is None and multiplications < _SHARED:
        count = 1
    return count


def _enter(blas: Any, count: int) -> None:
    global _before
    get, put = blas
    with _lock:
        if not _limits:
            _before = int(get())
        _limits.append(count)
        put(min(_limits))


def _leave(blas: Any, count: int) -> None:
    _, put = blas
    with _lock:
        _limits.remove(count)
        put(min(_limits, default=_before))
