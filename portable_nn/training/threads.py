"""How many threads of BLAS a network is trained on, or predicts on."""

import math
from contextlib import AbstractContextManager
from typing import Any, Literal, TypeAlias

from portable_nn.kernels import kernels_for
from portable_nn.networks import Network

__all__ = ["Threads", "check_threads", "threads_for"]

Threads: TypeAlias = Literal["auto"] | int


def check_threads(threads: Any) -> None:
    """Raise ValueError if `threads` is neither "auto" nor a whole number of at least 1."""
    if isinstance(threads, str) and threads == "auto":
        return
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f'threads needs to be "auto" or a whole number of at least 1, got {threads!r}')


def threads_for(network: Network, rows: float, threads: Threads = "auto") -> AbstractContextManager[None]:
    """Return a context on whose threads batches of so many rows are multiplied with the largest weight matrix."""
    largest = max((math.prod(array.shape) for array in network.arrays() if array.ndim > 1), default=0)
    limited = kernels_for(network.place.xp).limited_threads
    return limited(rows * largest, None if threads == "auto" else threads)
