"""Batches from anything that yields them, read ahead by a thread."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from portable_nn.arrays import is_array
from portable_nn.networks import Network
from portable_nn.training.samples import check_finite, checked, parts

__all__ = ["Stream", "read_ahead"]

T = TypeVar("T")

_AHEAD = 2
"""Batches that wait to be used: one to hide the time it takes to read the next, one for when that time varies."""


class Stream:
    """The batches of an iterable.

    Parameters
    ----------
    source : iterable of (x, t) or (x, t, sample_weight), or a function of the epoch that returns one
        Gone through from its beginning every epoch.
    network : Network
        Each batch is checked for it when it comes.
    epochs : int
        How often `source` will be gone through.

    Attributes
    ----------
    samples : int or None
        Of an epoch; known when one has ended.
    error : Exception or None
        What ended the last epoch too early: raised by `source`, or because of what it gave.

    Raises
    ------
    TypeError
        If `source` is neither.
    ValueError
        If it can be gone through only once, and that is not enough.
    """

    def __init__(self, source: Any, network: Network, epochs: int = 1):
        self._begin = _beginning(source, epochs)
        self._network = network
        self.samples: int | None = None
        self.error: Exception | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What must not change if a run is to go on with these batches."""
        return {"batch_size": None, "samples": None, "shuffle": None}

    def epoch(self, number: int, skip: int = 0) -> Iterator[list[Any]]:
        """Yield the batches of the epoch `number` after the first `skip`, each checked: [x, t, weight].

        An error ends the epoch, as if that were all, and is kept in `error`.
        """
        self.error, count, samples = None, 0, 0
        try:
            for batch in read_ahead(self._begin(number)):
                count += 1
                samples += batch[0].shape[0] if is_array(batch[0]) and batch[0].ndim else 0
                if count > skip:
                    yield checked(self._network, *batch)
            if not count:
                raise ValueError("at least one batch an epoch is needed, the iterable gave none")
            self.samples = samples
        except Exception as error:  # whatever it is, the caller gets it
            error.add_note(f"in batch {count} of epoch {number}" if count else f"at the beginning of epoch {number}")
            self.error = error


def _beginning(source: Any, epochs: int) -> Callable[[int], Iterable[Any]]:
    """Return the function of an epoch's number that gives its batches."""
    if callable(source) and not isinstance(source, Iterable):
        function: Any = source
        return function
    if not isinstance(source, Iterable):
        raise TypeError(
            "without t, an iterable of batches (x, t), or a function of the epoch that returns one, is needed, "
            f"got {type(source).__name__}"
        )
    if epochs > 1 and isinstance(source, Iterator):
        raise ValueError(
            f"an iterator can be gone through only once, but {epochs} epochs are to be trained: pass a list, an object "
            "whose __iter__ begins anew, or a function of the epoch"
        )
    return partial(_same, source)


def _same(source: Iterable[Any], number: int) -> Iterable[Any]:
    return source


def as_batch(item: Any) -> list[Any]:
    """Return what an iterable gave as [x, t] or [x, t, weight]; what is in NumPy's memory has finite numbers.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    batch = [*parts(item)]
    if not 2 <= len(batch) <= 3:
        came = f"{len(batch)} things" if batch else type(item).__name__
        raise TypeError(f"batches need to be (x, t) or (x, t, sample_weight), got {came}")
    check_finite("x", batch[0], wait=False)
    return batch


def read_ahead(items: Iterable[Any], ahead: int = _AHEAD) -> Generator[list[Any]]:
    """Yield `items` as batches, taken by a thread that is up to `ahead` of them before the caller.

    What is raised in the thread is raised here, in its place. When the generator is closed the thread ends, at the
    latest after the item that it is waiting for.
    """
    waiting: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(ahead)
    closed = threading.Event()

    def read() -> None:
        end: BaseException = StopIteration()
        try:
            for item in items:
                waiting.put((as_batch(item), None))
                if closed.is_set():
                    return
        except BaseException as error:  # even one that was meant to end this thread: the caller must not wait for ever
            end = error
        waiting.put((None, end))

    thread = threading.Thread(target=read, name="portable_nn: reads batches", daemon=True)
    thread.start()
    try:
        while True:
            item, end = _next(waiting, thread)
            if isinstance(end, StopIteration):
                return
            if end is not None:
                raise _as_error(end)
            yield item
    finally:
        closed.set()
        while not waiting.empty():  # room for what the thread may be about to put
            waiting.get_nowait()
        thread.join(timeout=1.0)


def _next(waiting: "queue.Queue[T]", thread: threading.Thread) -> T:
    """Return the next item; RuntimeError if the thread is gone without leaving one."""
    while True:
        try:
            return waiting.get(timeout=1.0)
        except queue.Empty:
            if not thread.is_alive() and waiting.empty():
                raise RuntimeError("the thread that reads batches has ended without a word") from None


def _as_error(end: BaseException) -> Exception:
    """Return an error for what ended the thread; SystemExit and the like must not end the caller's process."""
    if isinstance(end, Exception):
        return end
    error = RuntimeError(f"the thread that reads batches was ended by {type(end).__name__}")
    error.__cause__ = end
    return error
