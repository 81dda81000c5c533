"""Batches: every sample once an epoch, in an order that the seed and the epoch alone decide."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from portable_nn import random
from portable_nn.arrays import Place, backend_name, each, flat, indices_beside, is_several, namespace_of
from portable_nn.kernels import Donating, kernels_for

__all__ = ["Batches", "cuts", "take"]


class Batches:
    """Arrays of N samples each, cut into batches along their first axis.

    Parameters
    ----------
    arrays : list of arrays, tuples of arrays, or None
        Of equal length; where they live, the batches live. None stays None, also in a tuple.
    batch_size : int
        The last batch of an epoch may be smaller.
    shuffle : bool
        Whether the order changes from epoch to epoch.
    seed : int
    place : Place, optional
        Where the batches will be used, by somebody who is done with one when he asks for the next: they may write over
        one another then, and those of NumPy arrays may be on their way there already.
    among : NumPy array of indices, optional
        The samples that count, if not all do.
    accumulate : int
        How many batches of `batch_size` make one, whose gradient is computed in as many parts.

    Attributes
    ----------
    samples : int
        How many samples count.
    error : None
        Nothing can go wrong on the way; see `BatchStream`.
    """

    error: None = None

    def __init__(
        self,
        arrays: list[Any],
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        place: Place | None = None,
        among: Any = None,
        accumulate: int = 1,
    ):
        self.arrays = arrays
        self.batch_size, self.accumulate = batch_size * accumulate, accumulate
        self.shuffle = shuffle
        self.seed = seed
        self._leaves: list[Any] = [leaf for part in arrays for leaf in flat(part)]
        self._counts = [len(part) if is_several(part) else 0 for part in arrays]
        self._plain = not any(self._counts)
        self.samples: int = self._leaves[0].shape[0] if among is None else len(among)
        self.among = among
        self._here = [array is not None and place is not None and place.holds(array) for array in self._leaves]
        self._gather = Donating(kernels_for(namespace_of(self._leaves[0]) if place is None else place.xp).gather)
        self._rows = [
            None if array is None or is_here else _rows(array, place)
            for array, is_here in zip(self._leaves, self._here, strict=True)
        ]

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    @property
    def about(self) -> dict[str, Any]:
        """What must not change if a run is to go on with these batches."""
        kept = {"samples": self.samples, "shuffle": self.shuffle, "accumulate": self.accumulate}
        return {"batch_size": self.rows_at_once} | kept

    @property
    def targets(self) -> Any:
        """The second of the arrays, of the samples that count."""
        return self.arrays[1] if self.among is None else each(lambda t: take(t, self.among), self.arrays[1])

    @property
    def rows_at_once(self) -> int:
        """How many samples are computed with at a time, at most."""
        return self.batch_size // self.accumulate

    def lie_at(self, place: Place) -> bool:
        """Tell whether all arrays, whole, are at `place`."""
        return all(map(place.holds, flat(self.arrays[0])))

    def order(self, number: int) -> Any:
        """Return the order of the samples in the epoch `number`: a NumPy array of shape (N,)."""
        order = random.permutation(self.seed, number, self.samples) if self.shuffle else random.ordered(self.samples)
        return order if self.among is None else self.among[order]

    def epoch(self, number: int, skip: int = 0) -> Iterator[list[Any]]:
        """Yield the batches of the epoch `number` after the first `skip`, each as the arrays cut alike."""
        slices = cuts(self.samples, self.batch_size)[skip:]
        if not self.shuffle and self.among is None:
            for cut in slices:
                yield self._grouped([None if array is None else array[cut, ...] for array in self._leaves])
            return
        order = self.order(number)
        here = [array for array, is_here in zip(self._leaves, self._here, strict=True) if is_here]
        order_here: Any = indices_beside(here[0], order) if here else None
        orders: list[Any] = [
            None if array is None or is_here else indices_beside(array, order)
            for array, is_here in zip(self._leaves, self._here, strict=True)
        ]
        for cut in slices:
            gathered = iter(self._gather(here, order_here[cut]) if here else [])
            batch = [
                next(gathered) if is_here else None if rows is None else rows(array, indices[cut])
                for array, is_here, indices, rows in zip(self._leaves, self._here, orders, self._rows, strict=True)
            ]
            yield batch if self._plain else self._grouped(batch)

    def _grouped(self, batch: list[Any]) -> list[Any]:
        """Return arrays in a row as those that they were cut from are given."""
        left = iter(batch)
        return [tuple(islice(left, count)) if count else next(left) for count in self._counts]


def _rows(array: Any, place: Place | None) -> Callable[[Any, Any], Any]:
    """Return the function (array, indices) -> its rows that suits who uses them at `place`."""
    rows = kernels_for(namespace_of(array)).rows
    if place is None:
        return rows
    # Not written over: arrays that are moved later may still be read when the next batch is made (JAX).
    return kernels_for(place.xp).feeder(place.device) if backend_name(namespace_of(array)) == "numpy" else rows


def cuts(samples: int, batch_size: int) -> list[slice]:
    """Return the slices that cut `samples` samples into batches; the last may be smaller."""
    return [slice(start, min(start + batch_size, samples)) for start in range(0, samples, batch_size)]


def take(array: Any, indices: Any) -> Any:
    """Return the samples of `array` at the NumPy `indices`, where the array lives; None for None."""
    return None if array is None else kernels_for(namespace_of(array)).rows(array, indices_beside(array, indices))
