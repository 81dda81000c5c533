"""Memory of the host that a device copies from by itself: to write there before the copy is done is an error."""

import weakref

import numpy as np

from cupy import _order
from cupy._errors import HostRaceError

_pinned = {}  # address -> size in bytes
_pending = []  # (stamp, the array on the host, its values when the copy was asked for)


def pin(owner, address, size):
    """Know memory as page-locked as long as its owner lives."""
    _pinned[address] = size
    weakref.finalize(owner, _pinned.pop, address, None)


def is_pinned(array):
    """Tell whether a NumPy array is in page-locked memory."""
    address = array.__array_interface__["data"][0]
    return any(start <= address < start + size for start, size in list(_pinned.items()))


def copying(array, stamp):
    """Note that page-locked memory is copied to a device, and that the host does not wait for that."""
    check()
    _pending.append((stamp, array, array.copy()))


def check():
    """Raise HostRaceError if memory has changed before the host knew that its copy is done."""
    changed = [(stamp, array) for stamp, array, values in _pending if array.tobytes() != values.tobytes()]
    if changed:
        _pending.clear()
        (stream, _), array = changed[0]
        raise HostRaceError(
            f"page-locked memory, {array.shape} of {array.dtype}, was rewritten before its copy on stream {stream} "
            "was done: synchronize with an event that was recorded behind the copy"
        )
    _pending[:] = [pending for pending in _pending if not _order.host.knows(pending[0])]


def forget():
    """Forget what is pending, without a check."""
    _pending.clear()


def page_locked(size):
    """Return page-locked memory of so many bytes, filled so that what is not written shows."""
    memory = np.full(max(512, 1 << (size - 1).bit_length()) if size else 512, 0xFF, np.uint8)
    pin(memory, memory.ctypes.data, memory.nbytes)
    return memory
