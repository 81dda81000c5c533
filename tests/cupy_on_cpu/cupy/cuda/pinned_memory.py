"""Page-locked memory of the host."""

from cupy.cuda import _host


class PinnedMemoryPointer:
    """A place in page-locked memory, which NumPy reads as a buffer."""

    def __init__(self, memory):
        self.mem, self.ptr = memory, memory.ctypes.data

    def size(self):
        """Return the number of bytes."""
        return self.mem.nbytes

    def __buffer__(self, flags):
        return memoryview(self.mem)

    @property
    def __array_interface__(self):
        return self.mem.__array_interface__


def alloc_pinned_memory(size):
    """Return page-locked memory: a power of two of bytes, and 512 at least."""
    return PinnedMemoryPointer(_host.page_locked(size))


class PinnedMemoryPool:
    """The one pool that there is."""

    def free_all_blocks(self):
        """Nothing waits here."""

    def n_free_blocks(self):
        """Return 0."""
        return 0
