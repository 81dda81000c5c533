"""Reading bytes that may be damaged: sizes are compared before memory is given, every fault is one DataFileError."""

import gzip
import io
import math
import os
import sys
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from portable_nn.errors import DataFileError

__all__ = ["ByteStream", "faults_reported", "filled_array", "opened", "taken", "unpacked_limit"]

_PIECE = 1 << 20
_MOST_DIMENSIONS = 64  # NPY_MAXDIMS of NumPy 2
_MOST_BYTES_OF_AN_ELEMENT = 16  # of numbers, into which an array without elements may yet be turned
_FREE_BYTES = 1 << 22
_MOST_UNPACKED_OF_ONE = 500


class ByteStream(Protocol):
    """What is needed of an open file, packed or not."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, fewer at the end only."""
        ...


def unpacked_limit(packed: int) -> int:
    """Return how many bytes a file of `packed` bytes may become: 4 MiB in any case, then 500 times its size.

    Deflate makes up to 1032 bytes of one, which only a file of almost nothing but repetition comes near to
    (https://zlib.net/zlib_tech.html), and which would let a megabyte fill a gigabyte.
    """
    return max(_FREE_BYTES, _MOST_UNPACKED_OF_ONE * packed)


class _Unpacked(gzip.GzipFile):
    """The content of a gzip file, refused where it is too long for the file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._limit = unpacked_limit(os.fstat(self.fileno()).st_size)

    def read(self, size: int | None = -1) -> bytes:
        return self._checked(super().read(size))

    def read1(self, size: int = -1) -> bytes:
        return self._checked(super().read1(size))

    def _checked(self, data: bytes) -> bytes:
        if self.tell() > self._limit:
            raise DataFileError(f"{self.name}: needed a gzip file of at most {self._limit} bytes unpacked, got more")
        return data


@contextmanager
def opened(path: Path) -> Generator[gzip.GzipFile | io.BufferedReader]:
    """Open `path` for reading bytes, unpacked if its name ends in .gz; faults on the way are a DataFileError."""
    with faults_reported(path), _Unpacked(path) if _is_packed(path) else path.open("rb") as stream:
        yield stream


@contextmanager
def faults_reported(path: Path) -> Generator[None]:
    """Turn what can go wrong while `path` is opened and read into a DataFileError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataFileError(f"{path}: needed a file, found none there") from error
    except (OSError, EOFError, zlib.error) as error:
        needed = "a whole gzip file" if _is_packed(path) else "a readable file"
        raise DataFileError(f"{path}: needed {needed}, got: {error}") from error


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def taken(stream: ByteStream, count: int, name: str) -> bytes:
    """Return the next `count` bytes of a header, which has to be a small one."""
    data = stream.read(count)
    if len(data) < count:
        raise DataFileError(f"{name}: needed {count} more bytes of header, got {len(data)}")
    return data


def filled_array(
    stream: ByteStream, dtype: np.dtype[Any], shape: tuple[int, ...], name: str, present: int | None = None
) -> NDArray[Any]:
    """Return the rest of `stream` as an array in native byte order, if it has exactly the size of that array.

    `present` is the number of bytes left, where the caller knows it.
    """
    if len(shape) > _MOST_DIMENSIONS:
        raise DataFileError(f"{name}: needed a shape that an array can have, got {len(shape)} dimensions")
    needed = math.prod(shape) * dtype.itemsize
    if not needed and math.prod(side or 1 for side in shape) > sys.maxsize // _MOST_BYTES_OF_AN_ELEMENT:
        raise DataFileError(f"{name}: needed a shape that an array can have, got {shape}")
    if present is None:
        present = _bytes_left(stream)
    if present is not None and present != needed:
        raise DataFileError(f"{name}: needed {needed} bytes of data for shape {shape} of {dtype}, got {present}")
    data = bytearray()  # grows with what really comes, so a false header cannot claim memory
    while len(data) < needed and (piece := stream.read(min(_PIECE, needed - len(data)))):
        data += piece
    if len(data) < needed:
        raise DataFileError(f"{name}: needed {needed} bytes of data for shape {shape} of {dtype}, got {len(data)}")
    if stream.read(1):  # also makes gzip and zip compare their checksums, which they do at the end
        raise DataFileError(f"{name}: needed {needed} bytes of data for shape {shape} of {dtype}, got more")
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _bytes_left(stream: ByteStream) -> int | None:
    """Return how many bytes a plain file still holds, None for a packed one."""
    if not isinstance(stream, io.BufferedReader):
        return None
    return os.fstat(stream.fileno()).st_size - stream.tell()
