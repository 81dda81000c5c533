"""The ledger: what a GPU would have been asked to do. Tests read it; nothing else does.

`cupy._ledger.counting()` gives the counts of a block of code:

    with cupy._ledger.counting() as counts:
        step()
    assert counts.reads == 0
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields


@dataclass
class Counts:
    """What was asked of the devices.

    Attributes
    ----------
    kernels : Counter
        Launches of the program's own kernels (RawKernel), by name.
    functions : Counter
        Launches of CuPy's own kernels, by the name of its function.
    products : Counter
        Calls of cuBLAS, by name.
    memory_operations : Counter
        Fills with zeros and copies within a device, which are no launches ("memset", "memcpy").
    copies_in : int
        Copies from the host to a device.
    reads : int
        Copies from a device to the host for which the host waits, and other waits for values.
    waits : int
        Calls of `synchronize` of a device, a stream or an event.
    allocations : int
        Arrays for which the pool was asked.
    blocks : int
        Of these, the ones for which the pool had no memory that was given back, and asked the driver.
    """

    kernels: Counter = field(default_factory=Counter)
    functions: Counter = field(default_factory=Counter)
    products: Counter = field(default_factory=Counter)
    memory_operations: Counter = field(default_factory=Counter)
    copies_in: int = 0
    reads: int = 0
    waits: int = 0
    allocations: int = 0
    blocks: int = 0

    @property
    def launches(self) -> int:
        """Kernels and functions together; products apart."""
        return self.kernels.total() + self.functions.total()

    def copy(self) -> "Counts":
        """Return the counts as they are now."""
        return Counts(**{f.name: _copied(getattr(self, f.name)) for f in fields(self)})

    def since(self, before: "Counts") -> "Counts":
        """Return what was added to the counts `before`."""
        return Counts(**{f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self)})


def _copied(count):
    return count.copy() if isinstance(count, Counter) else count


total = Counts()
"""Everything since the process began, or the last `reset`."""


def reset() -> None:
    """Begin to count anew."""
    for f in fields(Counts):
        setattr(total, f.name, getattr(Counts(), f.name))


def counts() -> Counts:
    """Return the counts since the last `reset`."""
    return total.copy()


@contextmanager
def counting() -> Iterator[Counts]:
    """Count what a block of code asks for; the counts are complete when it ends."""
    before, during = counts(), Counts()
    try:
        yield during
    finally:
        for f in fields(Counts):
            setattr(during, f.name, getattr(total.since(before), f.name))
