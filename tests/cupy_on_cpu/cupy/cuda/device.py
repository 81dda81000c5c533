"""Devices: two of them, so that the wrong one is found."""

import threading

from cupy import _ledger
from cupy._errors import invalid_device

COUNT = 2


class _Current(threading.local):
    number = 0


current = _Current()


class Device:
    """As CuPy's: made without looking, entered only where it exists; equal by number, and not to be hashed."""

    __hash__ = None

    def __init__(self, device=None):
        self.id = current.number if device is None else int(device)
        self._entered = []

    def __int__(self):
        return self.id

    def __enter__(self):
        self._entered.append(current.number)
        self.use()
        return self

    def __exit__(self, *_):
        current.number = self._entered.pop()

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __ne__(self, other):
        return not self == other

    def __lt__(self, other):
        return self.id < other.id if isinstance(other, Device) else NotImplemented

    def __gt__(self, other):
        return self.id > other.id if isinstance(other, Device) else NotImplemented

    def __le__(self, other):
        return self.id <= other.id if isinstance(other, Device) else NotImplemented

    def __ge__(self, other):
        return self.id >= other.id if isinstance(other, Device) else NotImplemented

    def __reduce__(self):
        return Device, (self.id,)

    def use(self):
        """Make this the current device of the thread."""
        if not 0 <= self.id < COUNT:
            raise invalid_device()
        current.number = self.id

    def synchronize(self):
        """Wait for all work of this device."""
        from cupy.cuda import stream

        with self:
            _ledger.total.waits += 1
            stream.wait_for_device(self.id)

    @property
    def compute_capability(self):
        """No GPU's: that none is there shows wherever this is printed."""
        return "00"

    @property
    def mem_info(self):
        """Free and total bytes."""
        return 8 * 2**30, 8 * 2**30

    @property
    def attributes(self):
        """Nothing that a GPU would say."""
        return {}


def get_device_id():
    """Return the number of the current device."""
    return current.number
