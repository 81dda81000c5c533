"""Feeding a GPU, played on the CPU: streams run when they like, as far as events let them."""

import random

import numpy as np
import pytest

from portable_nn.kernels.fast._feeding import Feeder


class Mark:
    happened = False


class Event:
    """As CUDA has it: who waits for it, waits for what was recorded last at that time."""

    def __init__(self, machine):
        self.machine, self.mark = machine, Mark()

    def record(self, stream):
        mark = self.mark = Mark()
        stream.work.append(lambda: setattr(mark, "happened", True))

    def synchronize(self):
        self.machine.run(until=lambda: self.mark.happened)


class Stream:
    def __init__(self):
        self.work = []

    def wait_event(self, event):
        self.work.append(event.mark)


class Machine:
    """Two streams, whose next pieces of work are done in a random order, some of them late."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.stream, self.compute = Stream(), Stream()

    def run(self, until):
        while not until():
            ready = [s for s in (self.stream, self.compute) if s.work and self.may_run(s.work[0])]
            work = self.random.choice(ready).work.pop(0)
            if not isinstance(work, Mark):
                work()

    def work(self, pieces=10**9):
        """Do so many pieces, or all that there is."""
        left = max(self.waiting() - pieces, 0)
        self.run(until=lambda: self.waiting() <= left)

    def waiting(self):
        return len(self.stream.work) + len(self.compute.work)

    def may_run(self, work):
        return not isinstance(work, Mark) or work.happened

    def computing(self):
        return self.compute

    def event(self):
        return Event(self)

    def pinned(self, shape, dtype):
        memory = np.full(shape, -1, dtype)
        return memory, memory

    def empty_like(self, pinned):
        return np.full_like(pinned, -2)

    def copy(self, pinned, target):
        self.stream.work.append(lambda: np.copyto(target, pinned))


@pytest.mark.parametrize("seed", range(30))
def test_every_step_sees_its_own_batch_however_late_it_runs(seed):
    machine, seen = Machine(seed), []
    feed, x = Feeder(machine), np.arange(200).reshape(100, 2)
    orders = [np.arange(start, min(start + 8, 100)) for start in range(0, 100, 8)] * 2  # the last is smaller
    for order in orders:
        batch = feed(x, order)
        machine.compute.work.append(lambda batch=batch: seen.append(batch.copy()))
        machine.work(machine.random.randrange(6))
    machine.work()
    assert len(seen) == len(orders)
    for batch, order in zip(seen, orders, strict=True):
        np.testing.assert_array_equal(batch, x[order])


def test_other_byte_orders_are_turned_first():
    machine = Machine(0)
    x = np.arange(6, dtype=">f4").reshape(3, 2)
    batch = Feeder(machine)(x, np.array([2, 0]))
    machine.work()
    assert batch.dtype.isnative
    np.testing.assert_array_equal(batch, x[[2, 0]])


@pytest.mark.parametrize("backend", ["cupy", "torch"])
def test_on_a_gpu(backend):
    pnn = pytest.importorskip("portable_nn")
    try:
        place = pnn.Place(backend, "cuda")
    except (pnn.errors.BackendError, pnn.errors.MissingExtraError) as error:
        pytest.skip(f"needs a GPU: {error}")
    feed = pnn.kernels.kernels_for(place.xp).feeder(place.device)
    x = np.random.default_rng(0).random((1000, 50), dtype=np.float32)
    for i in range(50):
        order = np.random.default_rng(i).permutation(1000)[:300]
        np.testing.assert_array_equal(pnn.to_numpy(feed(x, order)), x[order])
