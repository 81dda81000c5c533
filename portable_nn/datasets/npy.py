"""Arrays in NumPy's own files, .npy and .npz, read without trust: no pickles, and sizes are compared first.

The format is described in NumPy's NEP 1. `numpy.load` allocates what a header claims before it
looks at the file.
"""

import ast
import re
import struct
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from portable_nn.datasets.byte_streams import ByteStream, faults_reported, filled_array, taken, unpacked_limit
from portable_nn.errors import DataFileError

__all__ = ["read_npy", "read_npz"]

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # as numpy.load: a literal of any length could exhaust the stack
_DTYPE = re.compile(r"[<>|=]?[biufU][1-9][0-9]{0,8}")
_ZIP_FAULTS = (zipfile.BadZipFile, NotImplementedError, RuntimeError, struct.error, UnicodeDecodeError, OverflowError)


def read_npy(path: Path) -> NDArray[Any]:
    """Return the array of one .npy file: numbers, truth values or text, never objects."""
    with faults_reported(path), path.open("rb") as stream:
        return _decoded(stream, str(path), None)


def read_npz(
    path: Path, needed: Mapping[str, tuple[str, ...]], wanted: Mapping[str, tuple[str, ...]]
) -> dict[str, NDArray[Any]]:
    """Return arrays of one .npz file by role; a role goes to the first of its names that the file holds.

    Every role in `needed` has to be there, those in `wanted` may be.
    """
    try:
        with faults_reported(path), zipfile.ZipFile(path) as archive:
            return _arrays_by_role(archive, path, needed, wanted)
    except _ZIP_FAULTS as error:
        raise DataFileError(f"{path}: needed a whole npz file, got: {error}") from error


def _arrays_by_role(
    archive: zipfile.ZipFile,
    path: Path,
    needed: Mapping[str, tuple[str, ...]],
    wanted: Mapping[str, tuple[str, ...]],
) -> dict[str, NDArray[Any]]:
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataFileError(
                f"{path}: needed an npz file as NumPy writes it, got {member.filename} packed otherwise"
            )
    limit = unpacked_limit(path.stat().st_size)
    members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    arrays: dict[str, NDArray[Any]] = {}
    for role, names in {**needed, **wanted}.items():
        name = next((name for name in names if name in members), None)
        if name is not None:
            length = members[name].file_size
            if length > limit:
                raise DataFileError(f"{path}, array {name}: needed at most {limit} bytes unpacked, got {length}")
            with archive.open(members[name]) as stream:
                arrays[role] = _decoded(stream, f"{path}, array {name}", length)
        elif role in needed:
            there = ", ".join(sorted(members)) or "no array"
            raise DataFileError(f"{path}: needed an array named {' or '.join(names)}, got {there}")
    return arrays


def _decoded(stream: ByteStream, name: str, length: int | None) -> NDArray[Any]:
    """Return the array of a .npy stream that is `length` bytes long, where that is known."""
    magic = taken(stream, len(_MAGIC) + 2, name)
    major = magic[len(_MAGIC)]
    if not magic.startswith(_MAGIC) or major not in (1, 2, 3):
        raise DataFileError(f"{name}: needed an array in npy format 1, 2 or 3, got a file that begins {magic!r}")
    counter = struct.Struct("<H" if major == 1 else "<I")
    (size,) = counter.unpack(taken(stream, counter.size, name))
    if size > _LONGEST_HEADER:
        raise DataFileError(f"{name}: needed a header of at most {_LONGEST_HEADER} bytes, got {size}")
    dtype, fortran, shape = _header(taken(stream, size, name), name)
    present = None if length is None else length - len(magic) - counter.size - size
    array = filled_array(stream, dtype, shape[::-1] if fortran else shape, name, present)
    if dtype.kind == "U" and array.size and not _are_characters(array.reshape(-1).view(np.uint32)):
        raise DataFileError(f"{name}: needed text, got numbers that are no characters")
    return array.T if fortran else array


def _are_characters(codes: NDArray[np.uint32]) -> bool:
    """Say whether all numbers are Unicode's, and none a half of a pair in UTF-16, which no file or screen takes."""
    return int(codes.max()) <= sys.maxunicode and not bool((codes >> 11 == 0xD800 >> 11).any())


def _header(text: bytes, name: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """Return dtype, column-major or not, and shape from the text of a header."""
    try:
        fields: Any = ast.literal_eval(text.decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise DataFileError(f"{name}: needed a header in npy format, got {text[:80]!r}") from error
    match fields:
        case {"descr": str(descr), "fortran_order": bool(fortran), "shape": shape} if _is_shape(shape):
            return _dtype(descr, name), fortran, shape
        case _:
            raise DataFileError(f"{name}: needed one plain dtype and a shape in the header, got {text[:80]!r}")


def _is_shape(shape: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(shape, tuple) and all(
        type(length) is int and 0 <= length <= sys.maxsize for length in cast("tuple[object, ...]", shape)
    )


def _dtype(descr: str, name: str) -> np.dtype[Any]:
    if "O" in descr:
        raise DataFileError(f"{name}: needed numbers or text, got Python objects, which only run as pickled code")
    if not _DTYPE.fullmatch(descr):
        raise DataFileError(f"{name}: needed an array of numbers or text, got dtype {descr!r}")
    try:
        return np.dtype(descr)
    except (TypeError, ValueError) as error:
        raise DataFileError(f"{name}: needed a dtype of NumPy, got {descr!r}") from error
