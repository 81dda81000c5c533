"""What no step on this BLAS goes below: its matrix products, and one pass over what the optimizer reads and writes.

Each product goes into an array that is there already, in the fastest of all layouts of its three matrices and of some
cuts into blocks of rows or columns, which are tried out first. The pass is a copy.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workloads import Workload

__all__ = ["prepare"]

Call = Callable[[], Any]

_BLOCKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_LARGEST_CUT = 20_000_000  # multiplications of a product beyond which blocks were never faster
_SECONDS = 0.002  # the least that one measurement takes
_WORDS = {"sgd": 3, "adam": 7}  # read and written a parameter: p, g and p; p, g, m, v and p, m, v


class Calls:
    """Makes the calls of a step."""

    stride = 1

    def __init__(self, calls: list[Call]):
        self.calls = calls

    @np.errstate(invalid="ignore")
    def run(self, steps: int) -> None:
        """Take steps."""
        calls = self.calls
        for _ in range(steps):
            for call in calls:
                call()

    def curve(self, steps: int) -> list[float]:
        """Return nothing: there is no loss."""
        return []


def prepare(workload: Workload) -> Calls:
    """Return the runner."""
    calls = [_fastest(*product) for product in _products(workload)]
    if workload.optimizer:
        words = _WORDS[workload.optimizer] * workload.parameters // 2  # a copy reads and writes each
        source, target = np.ones(words, np.float32), np.ones(words, np.float32)
        calls.append(lambda: np.copyto(target, source))
    return Calls(calls)


def _products(workload: Workload) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the factors of each product: forwards x W; backwards x^T dy, and dy W^T but for the first layer."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    inputs = [normal(workload.batch, size) for size in workload.sizes]  # and, in the backward pass, their gradients
    weights = [normal(*shape) for shape in workload.layers]
    products = list(zip(inputs[:-1], weights, strict=True))
    if workload.optimizer:
        products += [(x.T, dy) for x, dy in itertools.pairwise(inputs)]
        products += [(dy, W.T) for dy, W in zip(inputs[2:], weights[1:], strict=True)]
    return products


def _fastest(a: np.ndarray, b: np.ndarray) -> Call:
    """Return the fastest way to multiply the two."""
    cut = a.shape[0] * a.shape[1] * b.shape[1] <= _LARGEST_CUT
    ways = [
        call
        for orders in itertools.product("CF", repeat=3)
        for blocks in (_BLOCKS if cut else (1,))
        for call in _ways(a, b, orders, blocks)
    ]
    times = {way: _seconds(way, 2) for way in ways}
    best = sorted(ways, key=times.__getitem__)[:5]
    return min(best, key=lambda way: _seconds(way, 5))


def _ways(a: np.ndarray, b: np.ndarray, orders: tuple[str, ...], blocks: int) -> list[Call]:
    """Return the ways to multiply in these layouts: as many blocks of rows, or of columns."""
    a, b = np.asarray(a, order=orders[0]), np.asarray(b, order=orders[1])
    out = np.empty((a.shape[0], b.shape[1]), np.float32, order=orders[2])
    rows = [(a[cut], b, out[cut]) for cut in _cuts(len(a), blocks)]
    columns = [(a, b[:, cut], out[:, cut]) for cut in _cuts(b.shape[1], blocks)]
    return [_all(parts) for parts in ((rows,) if blocks == 1 else (rows, columns)) if len(parts) == blocks]


def _cuts(length: int, blocks: int) -> list[slice]:
    size = -(-length // blocks)
    return [slice(start, start + size) for start in range(0, length, size)]


def _all(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Call:
    if len(parts) == 1 and _takes(*parts[0]):
        a, b, out = parts[0]
        return lambda: np.dot(a, b, out)
    pairs = [(np.dot if _takes(*part) else np.matmul, *part) for part in parts]

    def call() -> None:
        for product, a, b, out in pairs:
            product(a, b, out)

    return call


def _takes(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> bool:
    """Tell whether `numpy.dot`, which costs less a call than `numpy.matmul`, writes into `out`: only in C order."""
    return out.flags.c_contiguous


@np.errstate(invalid="ignore")  # some kernels of OpenBLAS look at what lies beyond the arrays
def _seconds(call: Call, rounds: int) -> float:
    """Return the least seconds of a call in some measurements."""
    call()
    started = time.perf_counter()
    call()
    repeats = max(1, int(_SECONDS / (time.perf_counter() - started)))
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(repeats):
            call()
        best = min(best, (time.perf_counter() - started) / repeats)
    return best
