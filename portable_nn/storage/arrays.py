"""Arrays and a description of them in one safetensors file, with a checksum, written whole or not at all."""

import contextlib
import glob
import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from portable_nn.arrays.namespaces import numpy, to_numpy
from portable_nn.errors import CheckpointError

__all__ = ["PathLike", "checksum", "read_arrays", "replace", "write_arrays"]

PathLike: TypeAlias = str | os.PathLike[str]

_KEY = "portable_nn"

_DEAD = 600.0
"""Seconds after which nobody is still writing to a temporary file."""


def write_arrays(path: PathLike, arrays: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Write arrays of any library and a description that JSON can say, replacing a file only when all is written.

    Raises
    ------
    OSError
        If it cannot be written. What was there is left as it was.
    """
    from safetensors.numpy import save as serialize  # costs a quarter second to import

    # safetensors garbles layouts other than this one.
    host = {name: numpy.asarray(to_numpy(array), order="C") for name, array in arrays.items()}
    text = json.dumps(description, default=_plain)
    replace(path, *_ordered(serialize(host, metadata={_KEY: text, "sha256": checksum(host, text)})))


def read_arrays(path: PathLike, what: str, newest: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description and the NumPy arrays in a file of `what`, of format version 1 to `newest`.

    From version 2 on the checksum is compared before anything is used.

    Raises
    ------
    CheckpointError
        If it is not such a file, is damaged, or is from a newer version.
    OSError
        If it cannot be read.
    """
    import safetensors

    safe_open: Any = safetensors.safe_open  # its types are in part unknown
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: Any = file.metadata() or {}
            text: str = metadata.get(_KEY, "null")
            description: Any = json.loads(text)
            arrays: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (safetensors.SafetensorError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is no safetensors file, or is damaged: {error}") from error
    version = description.get("version") if hasattr(description, "get") else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CheckpointError(f"{path} is a safetensors file, but not one of a portable_nn {what}")
    if version > newest:
        raise CheckpointError(f"{path} is of format version {version}; this portable_nn reads up to {newest}")
    # Files of version 1 had no checksum: with one, only the number is damaged.
    if (version > 1 or "sha256" in metadata) and metadata.get("sha256") != checksum(arrays, text):
        raise CheckpointError(f"{path} is damaged: its contents do not have the checksum that it was written with")
    return description, arrays


def checksum(arrays: Mapping[str, Any], text: str) -> str:
    """Return the SHA-256 of the text of a description and of names, shapes, data types and bytes of NumPy arrays."""
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"\n{name} {array.shape} {array.dtype.str}\n".encode())
        digest.update(numpy.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _plain(number: Any) -> Any:
    return number.item()  # a NumPy scalar among what is described


def replace(path: PathLike, *parts: bytes | memoryview) -> None:
    """Write a file of these parts, one after the other, whole or not at all.

    A file that is there keeps its mode, and is replaced only when all is written; one that a link points to is, not the
    link. What is no file, such as /dev/stdout, is written as it stands.

    Raises
    ------
    OSError
        If it cannot be written. What was there is left as it was.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            file.writelines(parts)
        return
    _sweep(path)
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    # Made by the mode of the file it replaces, or as every new file is: the system takes the umask of the moment off.
    name = str(path.parent / f".{path.name}.{secrets.token_hex(4)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(name, flags, 0o666 if mode is None else mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(name, mode)  # noqa: PTH101  (a name, as it was opened)
        os.replace(name, path)  # noqa: PTH105  (likewise)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108  (likewise)
        raise
    _sync_folder(path.parent)


def _ordered(content: bytes) -> tuple[bytes, memoryview]:
    """Return a safetensors file as header and data, with the metadata, which come in any order, in that of their names.

    The header is a length of 8 bytes and a text in JSON, padded to a multiple of 8.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:end])
    first = {"__metadata__": dict(sorted(header.pop("__metadata__").items()))}
    text = json.dumps(first | header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, memoryview(content)[end:]


def _sweep(path: Path) -> None:
    """Delete what processes left that died while they wrote to `path`, so long ago that they are sure to be dead."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _DEAD:
                left.unlink()


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder last, where the system lets folders be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
