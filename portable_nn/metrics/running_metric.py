"""One metric over many batches."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from portable_nn.arrays import Place, is_on_cpu, namespace_of
from portable_nn.metrics.metric import Metric, host

__all__ = ["RunningMetric"]

_HOST = Place().xp
"""NumPy, where what batches told is put together, in float64."""


class RunningMetric:
    """What all batches so far told a metric. It stays on its device until it is `read`.

    Batches are put together one after the other, so that a run which goes on from a checkpoint rounds alike.

    Parameters
    ----------
    metric : Metric
    """

    def __init__(self, metric: Metric):
        self.metric = metric
        self._pending: list[tuple[bool, tuple[Any, ...]]] = []  # whether the arrays have an axis of batches
        self._parts: list[tuple[Any, ...]] = []

    def add(self, measured: Sequence[tuple[Any, ...]]) -> None:
        """Add what `Metric.measure` returned for some batches."""
        self._pending += [(False, arrays) for arrays in measured]

    def add_stacked(self, measured: tuple[Any, ...]) -> None:
        """Add the same for batches along the first axis of each array."""
        self._pending.append((True, measured))

    def read(self) -> None:
        """Bring to the CPU what batches told since the last time; this waits for the device."""
        pending, self._pending = self._pending, []
        for is_stacked, group in groupby(pending, itemgetter(0)):
            if is_stacked:
                for _, arrays in group:
                    self._take(zip(*map(host, arrays), strict=True))
            else:
                columns = zip(*(arrays for _, arrays in group), strict=True)
                self._take(zip(*(_column(c, joined=self.metric.keeps_rows) for c in columns), strict=True))

    def _take(self, parts: Iterable[tuple[Any, ...]]) -> None:
        if self.metric.keeps_rows:
            self._parts += parts
            return
        for part in parts:
            self._parts = [self.metric.merged(self._parts[0], part)] if self._parts else [part]

    def state(self) -> list[Any]:
        """Return what was added so far as NumPy arrays, for a checkpoint; this waits for the device."""
        self.read()
        if len(self._parts) > 1:
            self._parts = [tuple(_HOST.concat(column) for column in zip(*self._parts, strict=True))]
        return [_HOST.asarray(array) for part in self._parts for array in part]

    def restore(self, state: Sequence[Any]) -> None:
        """Take up again what `state` returned, and nothing else."""
        self._pending, self._parts = [], [tuple(state)] if state else []

    def result(self) -> Any:
        """Return the number so far, NaN if nothing was added; this waits for the device."""
        state = self.state()
        return self.metric.result(*state) if state else float("nan")


def _column(arrays: Sequence[Any], *, joined: bool) -> list[Any]:
    """Return arrays of batches as NumPy's, from a device all in one go: of one shape, or as rows to be joined."""
    if len(arrays) == 1 or is_on_cpu(arrays[0]):
        return [host(array) for array in arrays]
    xp = namespace_of(arrays[0])
    if joined:
        whole, ends, start = host(xp.concat(list(arrays))), list[slice](), 0
        for array in arrays:
            ends.append(slice(start, start + array.shape[0]))
            start += array.shape[0]
        return [whole[cut] for cut in ends]
    return list(host(xp.stack(list(arrays))))
