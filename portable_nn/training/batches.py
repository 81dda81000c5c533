"""Batches: every sample once an epoch, in an order that the seed and the epoch alone decide."""

from collections.abc import Iterator
from typing import Any

from portable_nn import random
from portable_nn.arrays import indices_beside, namespace_of
from portable_nn.kernels import Donating, kernels_for

__all__ = ["Batches", "cuts", "take"]


class Batches:
    """Arrays of N samples each, cut into batches along their first axis.

    Parameters
    ----------
    arrays : list of arrays or None
        Of equal length; where they live, the batches live. None stays None.
    batch_size : int
        The last batch of an epoch may be smaller.
    shuffle : bool
        Whether the order changes from epoch to epoch.
    seed : int
    reuses : bool
        Whether a batch may write over the one before: for those who are done with it when they ask for the next.
    """

    def __init__(self, arrays: list[Any], batch_size: int, *, shuffle: bool, seed: int, reuses: bool = False):
        self.arrays = arrays
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.samples: int = arrays[0].shape[0]
        rows = (None if array is None else kernels_for(namespace_of(array)).rows for array in arrays)
        self._rows = [Donating(kernel) if kernel and reuses else kernel for kernel in rows]

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def order(self, number: int) -> Any:
        """Return the order of the samples in the epoch `number`: a NumPy array of shape (N,)."""
        return random.permutation(self.seed, number, self.samples) if self.shuffle else random.ordered(self.samples)

    def epoch(self, number: int) -> Iterator[list[Any]]:
        """Yield the batches of the epoch `number`, each as the arrays cut alike."""
        slices = cuts(self.samples, self.batch_size)
        if not self.shuffle:
            for cut in slices:
                yield [None if array is None else array[cut, ...] for array in self.arrays]
            return
        order = self.order(number)
        orders: list[Any] = [None if array is None else indices_beside(array, order) for array in self.arrays]
        for cut in slices:
            yield [
                None if rows is None else rows(array, indices[cut])
                for array, indices, rows in zip(self.arrays, orders, self._rows, strict=True)
            ]


def cuts(samples: int, batch_size: int) -> list[slice]:
    """Return the slices that cut `samples` samples into batches; the last may be smaller."""
    return [slice(start, min(start + batch_size, samples)) for start in range(0, samples, batch_size)]


def take(array: Any, indices: Any) -> Any:
    """Return the samples of `array` at the NumPy `indices`, where the array lives; None for None."""
    return None if array is None else kernels_for(namespace_of(array)).rows(array, indices_beside(array, indices))
