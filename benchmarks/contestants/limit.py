"""What a step on NumPy's BLAS cannot do without: its matrix products, and one pass over what the optimizer needs.

Each product goes into an array that is there already, in the fastest of all layouts of its three matrices and of some
cuts into blocks of rows or columns, which are tried out first. Only the batches are read as they lie, and where: in the
data. The pass is a copy.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
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
    """Makes the calls of each step."""

    stride = 1

    def __init__(self, steps: list[list[Call]]):
        self.steps = itertools.cycle(steps)

    @np.errstate(invalid="ignore")
    def run(self, steps: int) -> None:
        """Take steps."""
        for calls in itertools.islice(self.steps, steps):
            for call in calls:
                call()

    def curve(self, steps: int) -> list[float]:
        """Return nothing: there is no loss."""
        return []


def prepare(workload: Workload) -> Calls:
    """Return the runner."""
    data = workload.data()[0]
    batches = [data[cut] for cut in itertools.islice(workload.cuts(), workload.batches)]
    steps: list[list[Call]] = [[] for _ in batches]
    matrices = Matrices()
    for product in _products(workload):
        a, b = product.left(batches[0]), product.right
        way = _fastest(a, b, product.orders)
        a, b, out = matrices.laid(a, way.orders[0]), matrices.laid(b, way.orders[1]), way.room(a, b)
        for step, batch in zip(steps, batches, strict=True):
            step.append(way.call(product.left(batch) if product.of_batch else a, b, out))
    if workload.optimizer:
        words = _WORDS[workload.optimizer] * workload.parameters // 2  # a copy reads and writes each
        source, target = np.ones(words, np.float32), np.ones(words, np.float32)
        for step in steps:
            step.append(lambda: np.copyto(target, source))
    return Calls(steps)


class Matrices:
    """Copies of matrices by rows and by columns, one of each: products that share a factor find it in the cache."""

    def __init__(self):
        self._copies: dict[tuple[int, str], tuple[np.ndarray, np.ndarray]] = {}

    def laid(self, matrix: np.ndarray, order: str) -> np.ndarray:
        """Return the matrix by rows ("C") or columns ("F"), which its transpose shares; for "K" itself."""
        if order == "K":
            return matrix
        if matrix.base is not None:  # the transpose of a matrix
            return self.laid(matrix.base, {"C": "F", "F": "C"}[order]).T
        key = id(matrix), order
        if key not in self._copies:
            self._copies[key] = matrix, _laid(matrix, order)  # the matrix too: its id shall stay its own
        return self._copies[key][1]


@dataclass(frozen=True)
class Product:
    """A product of two matrices: the left one a function of the batch, which lies as it lies, if it depends on it."""

    left: Callable[[np.ndarray], np.ndarray]
    right: np.ndarray
    of_batch: bool = False

    @property
    def orders(self) -> str:
        """The layouts that the left factor may have."""
        return "K" if self.of_batch else "CF"


@dataclass(frozen=True)
class Way:
    """How to multiply: the layouts of the factors and the result, and in how many blocks of its rows or columns."""

    orders: tuple[str, ...]
    blocks: int
    by_rows: bool

    def room(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return an array for the result."""
        return _laid(np.zeros((a.shape[0], b.shape[1]), np.float32), self.orders[2])

    def call(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Call:
        """Return the call that multiplies them."""
        if self.by_rows:
            return _all([(a[cut], b, out[cut]) for cut in _cuts(len(a), self.blocks)])
        return _all([(a, b[:, cut], out[:, cut]) for cut in _cuts(b.shape[1], self.blocks)])


def _products(workload: Workload) -> list[Product]:
    """Return the products of a step: forwards x W; backwards x^T dy, and dy W^T but for the first layer."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    weights = [normal(*shape) for shape in workload.layers]
    hidden = [normal(workload.batch, size) for size in workload.sizes[1:]]  # and, backwards, their gradients
    products = [Product(lambda x: x, weights[0], of_batch=True)]
    products += [Product(lambda _, x=x: x, W) for x, W in zip(hidden[:-1], weights[1:], strict=True)]
    if workload.optimizer:
        products.append(Product(lambda x: x.T, hidden[0], of_batch=True))
        products += [Product(lambda _, x=x: x.T, dy) for x, dy in itertools.pairwise(hidden)]
        products += [Product(lambda _, dy=dy: dy, W.T) for dy, W in zip(hidden[1:], weights[1:], strict=True)]
    return products


def _fastest(a: np.ndarray, b: np.ndarray, orders_of_a: str) -> Way:
    """Return the fastest way to multiply the two."""
    counts = _BLOCKS if a.shape[0] * a.shape[1] * b.shape[1] <= _LARGEST_CUT else (1,)
    ways = [
        Way(orders, blocks, by_rows)
        for orders in itertools.product(orders_of_a, "CF", "CF")
        for by_rows in (True, False)
        for blocks in counts
        if (by_rows or blocks > 1) and len(_cuts(len(a) if by_rows else b.shape[1], blocks)) == blocks
    ]
    matrices = Matrices()

    def seconds(way: Way, rounds: int) -> float:
        factors = matrices.laid(a, way.orders[0]), matrices.laid(b, way.orders[1])
        return _seconds(way.call(*factors, way.room(a, b)), rounds)

    times = {way: seconds(way, 2) for way in ways}
    return min(sorted(ways, key=times.__getitem__)[:5], key=lambda way: seconds(way, 5))


def _laid(matrix: np.ndarray, order: str) -> np.ndarray:
    """Return a copy by rows or by columns that begins at a cache line, where products are fastest."""
    line = 64 // matrix.itemsize
    memory = np.empty(matrix.size + line, matrix.dtype)
    first = -memory.ctypes.data % 64 // matrix.itemsize
    vector = memory[first : first + matrix.size]
    laid = vector.reshape(matrix.shape) if order == "C" else vector.reshape(matrix.shape[::-1]).T
    laid[...] = matrix
    return laid


def _cuts(length: int, blocks: int) -> list[slice]:
    size = -(-length // blocks)
    return [slice(start, start + size) for start in range(0, length, size)]


def _all(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Call:
    calls = [_product(*part) for part in parts]
    if len(calls) == 1:
        product, a, b, out = calls[0]
        return lambda: product(a, b, out)

    def call() -> None:
        for product, a, b, out in calls:
            product(a, b, out)

    return call


def _product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> tuple[Callable[..., Any], np.ndarray, Any, Any]:
    """Return what to call, and with what: `numpy.dot` costs less than `numpy.matmul`, but wants memory without gaps."""
    if out.flags.c_contiguous:
        return np.dot, a, b, out
    return (np.dot, b.T, a.T, out.T) if out.flags.f_contiguous else (np.matmul, a, b, out)


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
