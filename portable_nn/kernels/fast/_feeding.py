"""Batches from the host to a GPU, gathered and copied while it works on the batches before."""

from typing import Any, Protocol

import numpy as np

__all__ = ["Copier", "Feeder"]

Array = Any


class Copier(Protocol):
    """What is done in a way of its own by each library. Streams and events have CUDA's names in all of them."""

    stream: Any
    """Of the copies, beside the one that computes."""

    def computing(self) -> Any:
        """Return the stream that computes."""
        ...

    def event(self) -> Any:
        """Return a new event."""
        ...

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> tuple[Array, Any]:
        """Return page-locked memory, as NumPy sees it and as the library does."""
        ...

    def empty_like(self, pinned: Any) -> Array:
        """Return memory on the device for what is in `pinned`."""
        ...

    def copy(self, pinned: Any, target: Array) -> None:
        """Begin to copy, on `stream`, and return."""
        ...


class _Slot:
    """Memory for one batch on the host and on the device, and when the one was copied to the other."""

    def __init__(self, copier: Copier, shape: tuple[int, ...], dtype: Any):
        self.host, self.pinned = copier.pinned(shape, dtype)
        self.target = copier.empty_like(self.pinned)
        self.copied = copier.event()


class Feeder:
    """The function (x, indices) -> the rows of x, both NumPy arrays, on the device; the call does not wait for it.

    Two slots take turns, for each shape and data type. A batch lives until the call after the next.
    """

    def __init__(self, copier: Copier):
        self._copier = copier
        self._slots: dict[Any, list[_Slot]] = {}
        self._launched: Any = None  # all that was launched before the last call

    def __call__(self, x: Array, indices: Array) -> Array:
        """Return the rows."""
        if not x.dtype.isnative:
            x, indices = x[indices].astype(x.dtype.newbyteorder("=")), np.arange(len(indices))
        copier, computing = self._copier, self._copier.computing()
        shape = indices.shape + x.shape[1:]
        slots = self._slots.setdefault((shape, x.dtype), [])
        if len(slots) < 2:
            slots.insert(0, _Slot(copier, shape, x.dtype))
            copier.stream.wait_event(self._now(computing))  # whoever had the memory on the device before is done
        else:
            slots[0].copied.synchronize()  # before its memory on the host is written again
            copier.stream.wait_event(self._launched)  # the step that used it; the step after that may still run
        slot = slots[0]
        slots.reverse()
        np.take(x, indices, 0, slot.host, mode="clip")
        copier.copy(slot.pinned, slot.target)
        slot.copied.record(copier.stream)
        computing.wait_event(slot.copied)
        self._launched = self._now(computing)
        return slot.target

    def _now(self, stream: Any) -> Any:
        """Return an event for all that was launched on a stream so far."""
        event = self._copier.event()
        event.record(stream)
        return event
