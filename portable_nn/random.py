"""Seeds and streams: every random number of the library, the same on every backend.

Weights and batch orders are drawn once, on the host, by NumPy. Dropout masks are drawn at every step, so they are made
on the device that needs them, by integer arithmetic from a `Key` (`kernels.dropout_mask`); only the key is from here.
Every draw is a function of a seed, a name and a number, never of what was drawn before elsewhere.
"""

import contextlib
import contextvars
import operator
import secrets
import threading
import zlib
from collections.abc import Generator
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Key", "KeyStream", "checked_seed", "first_element", "fresh_seed", "generator", "permutation", "replayed"]

Key: TypeAlias = tuple[Any, ...]
"""Two signed 32-bit numbers; Python integers, or 0-d integer arrays while a step is being traced.

For some rows of a batch, two more: the number of the first, and how many there are. What is drawn for them is then what
is drawn for these rows of the whole batch.
"""


def fresh_seed() -> int:
    """Return a seed from the operating system, below 2^32."""
    return secrets.randbits(32)


def checked_seed(seed: int | None) -> int:
    """Return `seed` as a Python integer, or a fresh one for None.

    Raises
    ------
    ValueError
        If it is not an integer of at least 0.
    """
    if seed is None:
        return fresh_seed()
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"a seed needs to be an integer of at least 0, got {seed!r}")
    return number


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return the NumPy generator that belongs to `seed` and a path of names, independent of all other paths."""
    words = [zlib.crc32(str(name).encode()) for name in names]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))


def permutation(seed: int, epoch: int, length: int) -> Any:
    """Return the order of `length` samples in an epoch: NumPy int64 of shape (length,)."""
    return generator(seed, "batches", epoch).permutation(length)


def ordered(length: int) -> Any:
    """Return the order of samples that are not shuffled: NumPy int64 of shape (length,)."""
    return np.arange(length)


def first_element(size: int, key: Key) -> int:
    """Return the number, in the whole batch, of the first of `size` elements that belong to the rows of a key."""
    first_row, rows = key[2:] or (0, 1)
    return size // max(rows, 1) * first_row


_taking = threading.Lock()
"""Held while a stream counts on: one for all, so that streams can be copied."""


class KeyStream:
    """Keys in a row: the n-th key depends on the seed, the name and n alone.

    Attributes
    ----------
    position : int
        How many keys were taken. Setting it repeats or skips keys.
    """

    def __init__(self, seed: int, name: str = "dropout"):
        self.seed = seed
        self.name = name
        self.position = 0

    def next(self) -> Key:
        """Return the next key."""
        starts = _replay.get()
        with _taking:
            position = self.position
            self.position = position + 1
        if starts is not None:
            starts.setdefault(self, position)
        words = generator(self.seed, self.name, position).integers(-(2**31), 2**31, size=2)
        return int(words[0]), int(words[1])


_replay: contextvars.ContextVar[dict[KeyStream, int] | None] = contextvars.ContextVar("replay", default=None)


@contextlib.contextmanager
def replayed() -> Generator[None]:
    """Set every stream that is used inside this context back to where it was before, when the context ends.

    What runs twice, each time in a context of its own, draws the same dropout masks twice.
    """
    starts: dict[KeyStream, int] = {}
    token = _replay.set(starts)
    try:
        yield
    finally:
        _replay.reset(token)
        for stream, position in starts.items():
            stream.position = position
