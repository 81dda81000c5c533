"""Batches from anything that yields them, read ahead by a thread."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, cast

from portable_nn.arrays import as_array, copies, device_of, flat, is_array, is_on_cpu, is_several, namespace_of
from portable_nn.errors import ShapeError
from portable_nn.networks import Network
from portable_nn.training.samples import check_finite, checked, count, parts

__all__ = ["BatchStream", "read_ahead"]

_Item = tuple[Any, BaseException | None]
"""A batch, or what ended the thread: StopIteration if there are no more."""

_AHEAD = 2
"""Batches that wait to be used: one to hide the time it takes to read the next, one for when that time varies."""


class BatchStream:
    """The batches of an iterable.

    Parameters
    ----------
    source : iterable of (x, t) or (x, t, sample_weight), or a function of the epoch that returns one
        Gone through from its beginning every epoch.
    network : Network
        Each batch is checked for it when it comes.
    again : bool
        Whether `source` may be gone through more than once.
    steps : int, optional
        Batches of an epoch: as many are taken of `source`, which may have no end. An iterator goes on in each epoch
        where the one before has ended.
    accumulate : int
        How many of them make one batch here; the last of an epoch may have fewer.

    Attributes
    ----------
    goes_on : bool
        Whether `source` is an iterator, which no other process can go on with.
    samples : int or None
        Of an epoch; known when one has ended.
    targets : None
        They are not known before.
    error : Exception or None
        What ended the last epoch too early: raised by `source`, or because of what it gave.
    interrupted : callable
        Tells whether to give up waiting for a batch, and end the epoch.

    Raises
    ------
    TypeError
        If `source` is neither.
    ValueError
        If it can be gone through only once, and that is not enough.
    """

    targets: None = None

    def __init__(self, source: Any, network: Network, *, again: bool, steps: int | None = None, accumulate: int = 1):
        self._begin = _beginning(source, again=again and steps is None)
        self.goes_on, self._steps, self.accumulate = isinstance(source, Iterator), steps, accumulate
        self._network = network
        self.samples: int | None = None
        self.error: Exception | None = None
        self.interrupted: Callable[[], bool] = lambda: False

    @property
    def about(self) -> dict[str, Any]:
        """What must not change if a run is to go on with these batches."""
        return {"batch_size": None, "samples": None, "shuffle": None, "accumulate": self.accumulate}

    def epoch(self, number: int, skip: int = 0) -> Iterator[list[Any]]:
        """Yield the batches of the epoch `number`, 0 outside training, after the first `skip`, checked: [x, t, weight].

        An error ends the epoch, as if that were all, and is kept in `error`.
        """
        self.error, taken, samples, several, group = None, 0, 0, self.accumulate, list[list[Any]]()
        try:
            items = self._begin(number)
            for batch in read_ahead(items if self._steps is None else islice(items, self._steps), self.interrupted):
                taken += 1
                samples += _count(batch[0])
                if taken > skip * several:
                    group.append(checked(self._network, *batch))
                if len(group) == several:
                    yield _joined(group)
                    group = []
            if not self.interrupted():  # which may have left a group half read
                if group:
                    yield _joined(group)
                _refuse_too_few(taken, skip, several, self._steps)
                self.samples = samples
        except Exception as error:  # whatever it is, the caller gets it
            place = f"in batch {taken}" if taken else "before the first batch"
            error.add_note(f"{place} of epoch {number}" if number else place)
            self.error = error


def _joined(group: list[list[Any]]) -> list[Any]:
    """Return batches [x, t, weight] as one."""
    if len(group) == 1:
        return group[0]
    xs, ts, weights = zip(*group, strict=True)
    if any(len({part.shape[1:] for part in parts}) > 1 for column in (xs, ts) for parts in _columns(column)):
        raise ShapeError(
            "batches whose gradients are accumulated need samples of one shape, got "
            + ", ".join(f"x {_shape(x)} with t {_shape(t)}" for x, t in zip(xs, ts, strict=True))
        )
    counts = [count(x) for x in xs]
    several = next((len(weight) for weight in weights if is_several(weight)), 0)
    if several:
        of_each = zip(*((None,) * several if weight is None else weight for weight in weights), strict=True)
        return [_concat(xs), _concat(ts), tuple(_concat_weights(column, counts) for column in of_each)]
    return [_concat(xs), _concat(ts), _concat_weights(weights, counts)]


def _concat_weights(weights: Sequence[Any], counts: Sequence[int]) -> Any:
    """Return the sample weights of batches of `counts` samples as one; None if there are none at all."""
    given = [weight for weight in weights if weight is not None]
    if not given:
        return None
    like = given[0]
    if any(weight.shape[1:] != like.shape[1:] for weight in given):
        raise ShapeError(
            "batches whose gradients are accumulated need sample weights of one form, got shapes "
            + ", ".join(str(weight.shape) for weight in given)
        )
    xp, kind = namespace_of(like), {"dtype": like.dtype, "device": device_of(like)}
    return _concat(
        [
            xp.ones((n, *like.shape[1:]), **kind) if weight is None else weight
            for n, weight in zip(counts, weights, strict=True)
        ]
    )


def _concat(arrays: Sequence[Any]) -> Any:
    if is_several(arrays[0]):
        return tuple(map(_concat, zip(*arrays, strict=True)))
    return namespace_of(arrays[0]).concat(list(arrays), axis=0)


def _columns(column: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
    return zip(*map(flat, column), strict=True)


def _shape(part: Any) -> Any:
    shapes = tuple(tuple(array.shape) for array in flat(part))
    return shapes if is_several(part) else shapes[0]


def _count(x: Any) -> int:
    """Return the number of samples in what an iterable gave, nothing of which is known yet."""
    first: Any = next(iter(cast("Mapping[str, Any]", x).values()), None) if isinstance(x, Mapping) else x
    return first.shape[0] if is_array(first) and first.ndim else 0


def _refuse_too_few(count: int, skip: int, several: int, steps: int | None) -> None:
    if steps is not None and count < steps:
        raise ValueError(f"{steps} batches an epoch are needed (steps_per_epoch), the iterable gave {count}")
    if not count:
        raise ValueError("at least one batch an epoch is needed, the iterable gave none")
    if -(-count // several) < skip:
        raise ValueError(
            f"{skip * several} batches of this epoch were done before, but the iterable gives only {count} now"
        )


def _beginning(source: Any, *, again: bool) -> Callable[[int], Iterable[Any]]:
    """Return the function of an epoch's number that gives its batches."""
    if callable(source) and not isinstance(source, Iterable):
        function: Any = source
        return function
    if not isinstance(source, Iterable):
        raise TypeError(
            "without t, an iterable of batches (x, t), or a function of the epoch that returns one, is needed, "
            f"got {type(source).__name__}"
        )
    if again and isinstance(source, Iterator):
        raise ValueError(
            "an iterator can be gone through only once, but every epoch and recovery goes through it again: "
            "pass a list, an object whose __iter__ begins anew, a function of the epoch, or steps_per_epoch"
        )
    return partial(_same, source)


def _same(source: Iterable[Any], number: int) -> Iterable[Any]:
    return source


def _as_batch(item: Any) -> list[Any]:
    """Return what an iterable gave as [x, t] or [x, t, weight], x with finite numbers, in memory of its own.

    The iterable may fill the same memory again for its next batch, while this one waits.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    batch = [*parts(item)]
    if not 2 <= len(batch) <= 3:
        came = f"{len(batch)} things" if batch else type(item).__name__
        raise TypeError(f"batches need to be (x, t) or (x, t, sample_weight), got {came}")
    batch = [as_array(part, name) for part, name in zip(batch, ("x", "t", "sample_weight"), strict=False)]
    check_finite("x", batch[0])
    return [_own(part) for part in batch]


def _own(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _own(array) for name, array in part.items()}  # pyright: ignore[reportUnknownVariableType]
    return copies([part])[0] if is_array(part) and is_on_cpu(part) else part


def read_ahead(items: Iterable[Any], interrupted: Callable[[], bool] = lambda: False) -> Generator[list[Any]]:
    """Yield `items` as batches, taken by a thread that is some of them ahead of the caller.

    What is raised in the thread is raised here, in its place. When the generator is closed, or ends because it was
    `interrupted` while it waited, the thread ends at the latest after the item that it is waiting for.
    """
    waiting: queue.Queue[_Item] = queue.Queue(_AHEAD)
    closed = threading.Event()

    def read() -> None:
        end: BaseException = StopIteration()
        try:
            for item in items:
                waiting.put((_as_batch(item), None))
                if closed.is_set():
                    return
        except BaseException as error:  # even one that was meant to end this thread: the caller must not wait for ever
            end = error
        waiting.put((None, end))

    thread = threading.Thread(target=read, name="portable_nn: reads batches", daemon=True)
    thread.start()
    try:
        while True:
            item, end = _next(waiting, thread, interrupted)
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


def _next(waiting: "queue.Queue[_Item]", thread: threading.Thread, interrupted: Callable[[], bool]) -> _Item:
    """Return the next item, or the end if interrupted; RuntimeError if the thread is gone without leaving one."""
    while True:
        try:
            return waiting.get(timeout=0.2)
        except queue.Empty:
            if interrupted():
                return None, StopIteration()
            if not thread.is_alive() and waiting.empty():
                raise RuntimeError("the thread that reads batches has ended without a word") from None


def _as_error(end: BaseException) -> Exception:
    """Return an error for what ended the thread; SystemExit and the like must not end the caller's process."""
    if isinstance(end, Exception):
        return end
    error = RuntimeError(f"the thread that reads batches was ended by {type(end).__name__}")
    error.__cause__ = end
    return error
