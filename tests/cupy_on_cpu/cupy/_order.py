"""What happens before what: streams, events and the host, by vector clocks.

Everything is computed at once here, in the order of the program. Whether a GPU would be bound to the same order is
another question, and this file answers it. Each piece of work on a stream has a number; a stream knows of every other
up to which number its own next piece of work comes later (it waited for an event, or the host did). Memory knows who
wrote it last and who has read it since. Work that touches memory without knowing of those is a race, and an error.

The host counts as one, whatever its threads: a wait of one thread is known to all.
Source: Lamport (1978) and Mattern (1989) for the clocks; the CUDA programming guide, "Implicit synchronization", for
the null stream, which waits for the blocking streams of its device, and they for it.
"""

import weakref
from collections import defaultdict
from functools import cache

from cupy._errors import StreamRaceError


class Clock(dict):
    """Of each stream (by its key) the last piece of work that is known to be done first."""

    version = 0

    def join(self, other):
        """Know what `other` knows, too."""
        for stream, number in list(other.items()):
            if number > self.get(stream, 0):
                self[stream] = number
                self.version += 1

    def knows(self, stamp):
        """Tell whether a piece of work, (stream, number), is known to be done first."""
        stream, number = stamp
        return self.get(stream, 0) >= number


host = Clock()
"""What the host has waited for."""


class Line:
    """A stream as the order sees it."""

    all = weakref.WeakSet()
    _blocking = defaultdict(weakref.WeakSet)  # device -> the lines of its blocking streams
    _gone = defaultdict(Clock)  # device -> what was launched on streams that are no more

    def __init__(self, key, device, blocking, null=False):
        self.key, self.device, self.blocking, self.null = key, device, blocking, null
        self.clock, self._met = Clock(), -1
        self.all.add(self)
        if blocking:
            self._blocking[device].add(self)

    def work(self):
        """Begin the next piece of work; return its stamp."""
        if self._met != host.version:
            self.clock.join(host)
            self._met = host.version
        if self.null:
            for other in self._blocking[self.device]:
                self.clock.join(other.clock)
        elif self.blocking:
            self.clock.join(null_line(self.device).clock)
        number = self.clock.get(self.key, 0) + 1
        self.clock[self.key] = number
        return self.key, number

    def __del__(self):
        self._gone[self.device].join(self.clock)

    @classmethod
    def wait_for_all(cls, device):
        """Let the host wait for all work of a device: of streams that are gone, too."""
        for line in list(cls.all):
            if line.device == device:
                host.join(line.clock)
        host.join(cls._gone.pop(device, {}))

    def wait(self):
        """Let the host wait for all work so far."""
        host.join(self.clock)
        if self.null:
            for other in self._blocking[self.device]:
                host.join(other.clock)


@cache
def null_line(device):
    """Return the line of the null stream of a device."""
    return Line(f"null of device {device}", device, blocking=False, null=True)


class History:
    """Who wrote memory last, and who has read it since."""

    __slots__ = ("name", "reads", "write")

    def __init__(self):
        self.write, self.reads, self.name = None, {}, "nothing"

    def read(self, line, stamp, name):
        """Note that a piece of work reads."""
        if self.write and not line.clock.knows(self.write):
            raise StreamRaceError(
                f"{name} on stream {stamp[0]} reads memory that {self.name} writes on stream {self.write[0]}, "
                "and does not wait for that"
            )
        self.reads[stamp[0]] = stamp[1]

    def written(self, line, stamp, name):
        """Note that a piece of work writes."""
        others = [*([self.write] if self.write else []), *self.reads.items()]
        for other in others:
            if not line.clock.knows(other):
                raise StreamRaceError(
                    f"{name} on stream {stamp[0]} writes memory that is in use on stream {other[0]}, "
                    "and does not wait for that"
                )
        self.write, self.name = stamp, name
        self.reads.clear()
