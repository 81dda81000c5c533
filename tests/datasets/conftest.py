"""Files for the tests of data sets, written here byte by byte and never by the code under test."""

import gzip
import math
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

IdxFile = Callable[..., bytes]


def _idx_file(shape: tuple[int, ...], payload: bytes | None = None, code: int = 0x08) -> bytes:
    """Return an IDX file; without a payload its bytes count 0, 1, 2, ... and start again after 255."""
    if payload is None:
        payload = bytes(value % 256 for value in range(math.prod(shape)))
    return struct.pack(f">HBB{len(shape)}I", 0, code, len(shape), *shape) + payload


@pytest.fixture
def idx_file() -> IdxFile:
    return _idx_file


@pytest.fixture
def four_files() -> dict[str, bytes]:
    """Return a data set laid out like MNIST: 3 and 2 images of 2 x 4 pixels, classes 0 to 4."""
    return {
        NAMES[0]: _idx_file((3, 2, 4)),
        NAMES[1]: _idx_file((3,), bytes([1, 0, 4])),
        NAMES[2]: _idx_file((2, 2, 4), bytes([255] * 8 + [51] * 8)),
        NAMES[3]: _idx_file((2,), bytes([2, 1])),
    }


@pytest.fixture
def folder(tmp_path: Path, four_files: dict[str, bytes]) -> Path:
    """Return a folder with the four files, two of them packed."""
    place = tmp_path / "images"
    place.mkdir()
    for name in NAMES[:2]:
        (place / name).write_bytes(four_files[name])
    for name in NAMES[2:]:
        (place / f"{name}.gz").write_bytes(gzip.compress(four_files[name]))
    return place
