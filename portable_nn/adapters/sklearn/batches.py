"""Batches in an order that somebody else decides, of dense or sparse rows."""

# SciPy declares no types, hence:
# pyright: basic

from collections.abc import Iterator
from typing import Any

import numpy as np

from portable_nn.arrays import Place
from portable_nn.training.batches import Batches, cuts, take

__all__ = ["OrderedBatches", "SparseBatches"]


class OrderedBatches(Batches):
    """Batches whose order is an attribute.

    Attributes
    ----------
    current : NumPy array of shape (N,)
        The order of the samples in the next epoch.
    """

    def __init__(self, arrays: list[Any], batch_size: int, *, shuffle: bool, place: Place):
        super().__init__(arrays, batch_size, shuffle=shuffle, seed=0, place=place)
        self.current = np.arange(self.samples)

    def order(self, number: int) -> Any:
        """Return the order, whatever the epoch."""
        return self.current


class SparseBatches(OrderedBatches):
    """Batches of which the first array is a sparse matrix, made dense batch by batch."""

    def __init__(self, arrays: list[Any], batch_size: int, *, shuffle: bool, place: Place):
        x, *self.others = arrays
        super().__init__(self.others, batch_size, shuffle=shuffle, place=place)
        self.x = x.tocsr()

    def epoch(self, number: int, skip: int = 0) -> Iterator[list[Any]]:
        """Yield the batches after the first `skip`."""
        for cut in cuts(self.samples, self.batch_size)[skip:]:
            rows = self.current[cut]
            yield [self.x[rows].toarray(), *(take(array, rows) for array in self.others)]
