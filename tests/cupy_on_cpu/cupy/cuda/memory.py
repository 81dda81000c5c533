"""Memory of the devices, and the pool that gives it out: to each stream what was given back on it.

What an array finds in memory that it did not write is NaN, never what was there.
"""

import ctypes
from collections import defaultdict

import numpy as np

from cupy import _errors, _ledger, _order
from cupy.cuda import device as _device
from cupy.cuda import stream as _stream

OutOfMemoryError = _errors.OutOfMemoryError
UNIT = 512  # bytes

_given_back = defaultdict(list)  # (device, stream, bytes) -> the histories of memory that waits to be given out again


class Memory:
    """Memory of a device, as much of it as one array asked for, and its history.

    Attributes
    ----------
    device_id : int
    values : numpy.ndarray
        The bytes, or an array that owns them.
    history : History
        Goes with the memory to whoever gets it next.
    """

    def __init__(self, values):
        self.values, self.device_id = values, _device.current.number
        self.size = values.nbytes
        self._home = []
        if not self.size:
            self.history = _order.History()
            return
        stream = _stream.get_current_stream()
        key = (self.device_id, stream.ptr, -(-self.size // UNIT))
        _ledger.total.allocations += 1
        if _given_back[key]:
            self.history = _given_back[key].pop()
        else:
            _ledger.total.blocks += 1
            self.history = _order.History()
        self._home = _given_back[key]

    def __del__(self):
        if self.size:
            self._home.append(self.history)

    @property
    def ptr(self):
        """The address; null if there is nothing."""
        return self.values.__array_interface__["data"][0] if self.size else 0

    @property
    def device(self):
        """The device."""
        return _device.Device(self.device_id)


class UnownedMemory:
    """Memory by its address."""

    def __init__(self, ptr, size, owner, device_id=-1):
        self.ptr, self.size, self._owner = ptr, size, owner
        self.device_id = _device.current.number if device_id < 0 else device_id
        self.values = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(ptr))
        self.history = _order.History()

    @property
    def device(self):
        """The device."""
        return _device.Device(self.device_id)


class MemoryPointer:
    """A place in memory."""

    def __init__(self, mem, offset):
        self.mem, self._offset = mem, offset

    @property
    def ptr(self):
        """The address."""
        return self.mem.ptr + self._offset

    @property
    def device_id(self):
        """The number of the device."""
        return self.mem.device_id

    @property
    def device(self):
        """The device."""
        return self.mem.device

    def __int__(self):
        return self.ptr

    def __add__(self, offset):
        return MemoryPointer(self.mem, self._offset + offset)


class MemoryPool:
    """The one pool that there is."""

    def __init__(self, allocator=None):
        pass

    def malloc(self, size):
        """Return memory."""
        return alloc(size)

    def free_all_blocks(self, stream=None):
        """Give back to the driver what waits."""
        _given_back.clear()

    def n_free_blocks(self):
        """Return how many blocks wait to be given out again."""
        return sum(map(len, _given_back.values()))

    def free_bytes(self):
        """Return how many bytes wait to be given out again."""
        return sum(units * UNIT * len(histories) for (_, _, units), histories in _given_back.items())


def alloc(size):
    """Return memory of so many bytes."""
    return MemoryPointer(Memory(np.full(size, 0xFF, np.uint8)), 0)


def work(name, reads=(), writes=(), stream=None):
    """Do a piece of work on a stream, by default the current one: check the order, and return its stamp.

    Parameters
    ----------
    name : str
    reads, writes : iterable of Memory
    """
    line = (_stream.get_current_stream() if stream is None else stream)._line()
    stamp = line.work()
    for memory in reads:
        memory.history.read(line, stamp, name)
    for memory in writes:
        memory.history.written(line, stamp, name)
    return stamp
