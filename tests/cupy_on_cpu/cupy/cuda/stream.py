"""Streams and events. All work is done at once; what is kept is who would have waited for whom (`_order`)."""

import threading
from itertools import count

from cupy import _ledger, _order
from cupy._errors import CUDARuntimeError
from cupy.cuda import _host
from cupy.cuda import device as _device

_addresses = count(0x1000, 0x10)


_PER_THREAD = 2  # cudaStreamPerThread


class _Current(threading.local):
    def __init__(self):
        self.streams = {}  # by device
        self.lines = {}  # of the default stream of this thread, by device


_current = _Current()


class _BaseStream:
    def _line(self):
        raise NotImplementedError

    def __eq__(self, other):
        return isinstance(other, _BaseStream) and self.ptr == other.ptr

    def __hash__(self):
        return hash(self.ptr)

    def __repr__(self):
        return f"<{type(self).__name__} {self.ptr} (device {self.device_id})>"

    def __enter__(self):
        self._check_device()
        self._entered.append(_current.streams.get(_device.current.number))
        _current.streams[_device.current.number] = self
        return self

    def __exit__(self, *_):
        _current.streams[_device.current.number] = self._entered.pop()

    def _check_device(self):
        if self.device_id not in (-1, _device.current.number):
            raise RuntimeError(
                f"This stream was not created on the device that you are trying to use it on (stream device: "
                f"{self.device_id}, current device: {_device.current.number})"
            )

    def use(self):
        """Make this the current stream of its device."""
        self._check_device()
        _current.streams[_device.current.number] = self
        return self

    @property
    def done(self):
        """Tell whether all work is done: only if the host has waited for it, for nothing else is sure."""
        return all(_order.host.knows(stamp) for stamp in self._line().clock.items())

    @property
    def is_non_blocking(self):
        """Tell whether the null stream goes its own way."""
        return not (self._line().blocking or self._line().null)

    def synchronize(self):
        """Wait for all work of this stream."""
        _ledger.total.waits += 1
        wait_for(self._line())

    def record(self, event=None):
        """Record an event."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        """Let what is launched from now on wait for an event; the host goes on."""
        self._line().clock.join(event.clock)


class Stream(_BaseStream):
    """As CuPy's: made on the current device."""

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self._entered = []
        self.null = null or ptds
        self.ptds = ptds
        if self.null:
            self.ptr, self.device_id = _PER_THREAD if ptds else 0, -1
        else:
            self.ptr, self.device_id = next(_addresses), _device.current.number
            self._own = _order.Line(hex(self.ptr), self.device_id, blocking=not non_blocking)

    def _line(self):
        number = _device.current.number
        if self.ptds:  # one address, and a stream of its own in each thread
            if number not in _current.lines:
                name = f"{hex(self.ptr)} of thread {threading.get_ident()}"
                _current.lines[number] = _order.Line(name, number, blocking=True)
            return _current.lines[number]
        return _order.null_line(number) if self.null else self._own


Stream.null = Stream(null=True)
Stream.ptds = Stream(ptds=True)


class ExternalStream(_BaseStream):
    """A stream by its address, which knows of nobody's work: it must be a stream that was made here."""

    def __init__(self, ptr, device_id=-1):
        self.ptr, self.device_id, self._entered = ptr, device_id, []

    def _line(self):
        return line_of(self.ptr)


def line_of(address):
    """Return the line of the stream with this address, on the current device if it is the null stream."""
    if address == 0:
        return _order.null_line(_device.current.number)
    for line in _order.Line.all:
        if line.key == hex(address):
            return line
    raise CUDARuntimeError(400, "cudaErrorInvalidResourceHandle", "invalid resource handle")


class Event:
    """As CuPy's: made on the current device."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.clock, self.device = _order.Clock(), _device.current.number
        self.ptr = next(_addresses)

    def record(self, stream=None):
        """Mark what was launched on a stream so far."""
        stream = get_current_stream() if stream is None else stream
        line = stream._line()
        if line.device != self.device:
            raise CUDARuntimeError(400, "cudaErrorInvalidResourceHandle", "invalid resource handle")
        stamp = line.work()
        self.clock = _order.Clock(line.clock)
        return stamp

    @property
    def done(self):
        """Tell whether the host has waited for what was recorded."""
        return all(_order.host.knows(stamp) for stamp in self.clock.items())

    def synchronize(self):
        """Let the host wait for what was recorded."""
        _ledger.total.waits += 1
        _order.host.join(self.clock)
        _host.check()


def get_elapsed_time(start_event, end_event):
    """Nothing here has a time that means anything."""
    raise NotImplementedError("the stand-in measures no times")


def get_current_stream(device_id=-1):
    """Return the current stream of a device, by default of the current one."""
    number = _device.current.number if device_id == -1 else device_id
    return _current.streams.get(number) or Stream.null


def wait_for(line):
    """Let the host wait for a line."""
    line.wait()
    _host.check()


def wait_for_device(number):
    """Let the host wait for all lines of a device, the non-blocking ones too."""
    _order.Line.wait_for_all(number)
    _host.check()
