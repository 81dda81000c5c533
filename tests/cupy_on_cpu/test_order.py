"""Streams and events of the stand-in: what a GPU might do in another order is an error, what it is bound to is none."""

import os
import threading

import numpy as np
import pytest

if os.environ.get("PORTABLE_NN_CUPY") != "stand-in":
    pytest.skip("needs PORTABLE_NN_CUPY=stand-in", allow_module_level=True)

import cupy
import cupyx
from cupy._errors import HostRaceError, StreamRaceError
from cupy.cuda import _host


@pytest.fixture(autouse=True)
def nothing_left_to_do():
    """Wait at the end of a test for what it left running, so that the next can use the memory."""
    yield
    _host.forget()
    cupy.cuda.Device().synchronize()


@pytest.fixture
def stream():
    return cupy.cuda.Stream(non_blocking=True)


@pytest.fixture
def host():
    memory = cupyx.empty_pinned((1000,), "float32")
    memory[...] = 1.0
    return memory


def test_memory_written_on_another_stream_needs_an_event(stream):
    x = cupy.ones(10)
    with stream, pytest.raises(StreamRaceError, match="reads memory that cupy_fill writes"):
        x + 1
    event = cupy.cuda.Event(disable_timing=True)
    event.record()
    stream.wait_event(event)
    with stream:
        y = x + 1
    with pytest.raises(StreamRaceError):
        y + 1
    stream.synchronize()
    assert float((y + 1).sum()) == 30.0


def test_memory_read_on_another_stream_must_not_be_written(stream):
    x = cupy.ones(10)
    cupy.cuda.Device().synchronize()
    with stream:
        x + 1
    with pytest.raises(StreamRaceError, match="in use on stream"):
        x += 1
    event = cupy.cuda.Event()
    event.record(stream)
    event.synchronize()
    x += 1


def test_an_event_covers_what_was_launched_before_it_alone(stream):
    x, event = cupy.ones(10), cupy.cuda.Event()
    event.record()
    x += 1
    stream.wait_event(event)
    with stream, pytest.raises(StreamRaceError):
        x.sum()


def test_an_event_that_was_never_recorded_covers_nothing(stream):
    x = cupy.ones(10)
    stream.wait_event(cupy.cuda.Event())
    with stream, pytest.raises(StreamRaceError):
        x.sum()


def test_streams_that_block_wait_for_the_null_stream_and_it_for_them():
    x, blocking = cupy.ones(10), cupy.cuda.Stream()
    with blocking:
        y = x + 1
    assert float((y + 1).sum()) == 30.0


def test_waits_are_passed_on(stream):
    x, other = cupy.ones(10), cupy.cuda.Stream(non_blocking=True)
    first, second = cupy.cuda.Event(), cupy.cuda.Event()
    first.record()
    stream.wait_event(first)
    second.record(stream)
    other.wait_event(second)
    with other:
        x.sum()


def test_memory_that_was_given_back_may_still_be_in_use(stream):
    x = cupy.ones(12_345)
    cupy.cuda.Device().synchronize()
    with stream:
        x.sum()
    del x
    with pytest.raises(StreamRaceError, match="in use on stream"):
        cupy.ones(12_345)


def test_reading_on_the_host_waits_for_the_stream(stream):
    with stream:
        x = cupy.ones(3)
        x.get()
    assert x.get().tolist() == [1.0, 1.0, 1.0]


def test_page_locked_memory_rewritten_too_early(stream, host):
    x = cupy.empty(host.shape, host.dtype)
    x.set(host, stream=stream)
    host[...] = 2.0
    with pytest.raises(HostRaceError, match="rewritten before its copy"):
        stream.synchronize()


def test_it_is_found_at_the_next_copy(stream, host):
    x, y = (cupy.empty(host.shape, host.dtype) for _ in range(2))
    x.set(host, stream=stream)
    host[0] = 2.0
    with pytest.raises(HostRaceError):
        y.set(host, stream=stream)


def test_page_locked_memory_rewritten_when_its_copy_is_done(stream, host):
    x, copied = cupy.empty(host.shape, host.dtype), cupy.cuda.Event()
    x.set(host, stream=stream)
    copied.record(stream)
    copied.synchronize()
    host[...] = 2.0
    stream.synchronize()
    cupy.cuda.get_current_stream().wait_event(copied)
    assert float(x.sum()) == 1000.0


def test_an_event_before_the_copy_is_not_enough(stream, host):
    x, early = cupy.empty(host.shape, host.dtype), cupy.cuda.Event()
    early.record(stream)
    x.set(host, stream=stream)
    early.synchronize()
    host[...] = 2.0
    with pytest.raises(HostRaceError):
        stream.synchronize()


def test_plain_memory_may_be_rewritten_at_once(stream):
    host = np.ones(10)
    x = cupy.empty(10)
    x.set(host, stream=stream)
    host[...] = 2.0
    stream.synchronize()
    assert float(x.sum()) == 10.0


def test_page_locked_memory_is_asked_for_in_powers_of_two():
    assert cupy.cuda.alloc_pinned_memory(700).size() == 1024
    assert cupy.cuda.alloc_pinned_memory(1).size() == 512
    assert type(cupyx.zeros_pinned((2, 3), "int32")) is np.ndarray


def test_streams_and_events_belong_to_devices():
    with cupy.cuda.Device(1):
        stream, event = cupy.cuda.Stream(), cupy.cuda.Event()
    with pytest.raises(RuntimeError, match="not created on the device"), stream:
        pass
    with pytest.raises(RuntimeError, match="cudaErrorInvalidResourceHandle"):
        event.record()
    x = cupy.ones(3)
    with pytest.raises(RuntimeError, match="device 0 on a stream of device 1"):
        x.set(np.ones(3), stream=stream)


def test_streams_are_equal_by_their_address():
    one, other = cupy.cuda.Stream(), cupy.cuda.Stream()
    assert one != other
    assert cupy.cuda.Stream.null == cupy.cuda.get_current_stream()
    assert hash(one) == hash(one.ptr)
    with one:
        assert cupy.cuda.get_current_stream() is one
    assert cupy.cuda.get_current_stream().ptr == 0


def test_default_streams_of_threads_are_streams_of_their_own():
    with cupy.cuda.Stream.ptds as stream:
        x = cupy.ones(10)
    found = []

    def read():
        with cupy.cuda.Stream.ptds, pytest.raises(StreamRaceError):
            found.append(x + 1)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert not found
    with stream:
        assert float((x + 1).sum()) == 20.0
