"""Networks as files: one safetensors file, the arrays in it and the structure as JSON in its metadata."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from portable_nn.arrays import namespace, to_numpy
from portable_nn.errors import CheckpointError

if TYPE_CHECKING:
    from portable_nn.networks.network import Network

__all__ = ["FORMAT_VERSION", "PathLike", "read", "save"]

PathLike: TypeAlias = str | os.PathLike[str]

FORMAT_VERSION = 1

_UMASK = os.umask(0)  # can only be read by setting it, which is not for several threads
os.umask(_UMASK)


def save(network: "Network", path: PathLike) -> None:
    """Write `network` to `path`, replacing a file that is there only when all is written."""
    from safetensors.numpy import save as serialize  # costs a quarter second to import

    ascontiguous: Callable[..., Any] = namespace("numpy").ascontiguousarray  # safetensors garbles other layouts
    arrays = {name: ascontiguous(to_numpy(array)) for name, array in network.parameters.items()}
    _write(Path(path), serialize(arrays, metadata={"portable_nn": json.dumps(_describe(network), default=_plain)}))


def read(path: PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description and the NumPy arrays in a file.

    Raises
    ------
    CheckpointError
        If it is not a file of a network, is damaged, or is from a newer version.
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
            description: Any = json.loads(metadata.get("portable_nn", "null"))
            arrays: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no safetensors file, or is damaged: {error}") from error
    version = description.get("version") if hasattr(description, "get") else None
    if not isinstance(version, int):
        raise CheckpointError(f"{path} is a safetensors file, but not one of a portable_nn network")
    if version > FORMAT_VERSION:
        raise CheckpointError(f"{path} is of format version {version}; this portable_nn reads up to {FORMAT_VERSION}")
    return description, arrays


def _describe(network: "Network") -> dict[str, Any]:
    loss = network.loss_function
    return {
        "version": FORMAT_VERSION,
        "layout": network.layout(),
        "layers": {name: _kind(layer) for name, layer in network.wiring.distinct_layers.items()},
        "loss": None if loss is None else _kind(loss),
        "ties": network.wiring.ties(),
        "frozen": [name for name in network.parameters if name not in network.trainable()],
        "dtype": network.place.dtype_name,
        "seed": network.seed,
        "notes": network.notes,
    }


def _kind(part: Any) -> dict[str, Any]:
    return {"kind": type(part).__name__, "options": part.config()}


def _plain(number: Any) -> Any:
    return number.item()  # a NumPy scalar among options or notes


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_UMASK)  # noqa: PTH101  (a name, as mkstemp gave it)
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise
