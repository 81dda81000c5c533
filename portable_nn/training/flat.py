"""Arrays that lie in one array."""

from collections.abc import Sequence
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any, NamedTuple

from portable_nn.arrays import namespace_of
from portable_nn.kernels import kernels_for
from portable_nn.optimizers.groups import Part, taken

__all__ = ["Flat", "Layout"]


class Layout(NamedTuple):
    """Where arrays lie in one array: part by part.

    Attributes
    ----------
    order : tuple of int
        Which array is the first one there, which the second.
    runs : dict of tuples of positions to slices
        Where each part lies; without them all is one part.
    unit : int
        As of `kernels.pack`.
    """

    order: tuple[int, ...]
    runs: dict[tuple[int, ...], slice]
    unit: int = 0

    @classmethod
    def of(cls, parts: Sequence[Part], arrays: list[Any], unit: int = 0) -> "Layout":
        """Return the layout of arrays in these parts."""
        order = tuple(chain(*(part.positions for part in parts)))
        if len(parts) == 1:
            return cls(order, {}, unit)
        pack = kernels_for(namespace_of(arrays[0])).pack
        sizes = [pack(taken(part, arrays), unit)[0].shape[0] for part in parts]
        ends = list(accumulate(sizes))
        runs = {p.positions: slice(end - n, end) for p, n, end in zip(parts, sizes, ends, strict=True)}
        return cls(order, runs, unit)


class Flat:
    """Copies of arrays in one array.

    Attributes
    ----------
    whole : array of shape (size,)
    views : list of arrays
        Its parts, in the shapes and the order of the arrays.
    """

    def __init__(self, arrays: list[Any], layout: Layout):
        self._runs = layout.runs
        self.whole, packed = kernels_for(namespace_of(arrays[0])).pack([arrays[i] for i in layout.order], layout.unit)
        self.views: list[Any] = [view for _, view in sorted(zip(layout.order, packed, strict=True), key=itemgetter(0))]

    def run(self, part: Part) -> Any:
        """Return the run of it in which a part lies."""
        return self.whole[self._runs[part.positions]] if self._runs else self.whole
