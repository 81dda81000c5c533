"""What steps that write make of the states of a network, until it is written with the weights."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from portable_nn.layers import State
from portable_nn.training.flat import Flat, Layout

__all__ = ["StateMemory"]


class StateMemory:
    """The states of a network in one array, and what the running step makes of them in another.

    Parameters
    ----------
    boxes : sequence of State
        At least one.
    arrays : list of arrays
        Their values, which are copied.

    Attributes
    ----------
    views : list of arrays
        The states as they are before a step.
    new : dict of State to array
        What becomes of them, to be written into.
    """

    def __init__(self, boxes: Sequence[State], arrays: list[Any]):
        self._boxes = boxes
        self._layout = Layout(tuple(range(len(arrays))), {})
        self._next = Flat(arrays, self._layout)
        self.new = dict(zip(boxes, self._next.views, strict=True))
        self.take(arrays)

    def take(self, arrays: list[Any]) -> None:
        """Go on with copies of these arrays."""
        self._flat = Flat(arrays, self._layout)
        self._next.whole[...] = self._flat.whole
        self.views = self._flat.views

    @property
    def whole(self) -> Any:
        """The states in one array."""
        return self._flat.whole

    def are_replaced(self) -> bool:
        """Tell whether somebody has assigned a state."""
        return any(box.value is not view for box, view in zip(self._boxes, self.views, strict=True))

    def write(self) -> None:
        """Make what the step has made of the states their values."""
        self._flat.whole[...] = self._next.whole

    def between(self) -> list[Any]:
        """Return what the step has made of them so far, for the next micro-batch to begin with."""
        self._between.whole[...] = self._next.whole
        return self._between.views

    @cached_property
    def _between(self) -> Flat:
        return Flat(self.views, self._layout)
