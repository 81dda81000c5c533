"""Networks as files: their arrays, and their structure as the description beside them."""

from typing import TYPE_CHECKING, Any

from portable_nn.arrays import PathLike, read_arrays, write_arrays

if TYPE_CHECKING:
    from portable_nn.networks.network import Network

__all__ = ["FORMAT_VERSION", "PathLike", "describe", "read", "save"]

FORMAT_VERSION = 2
"""1 had no checksum."""


def save(network: "Network", path: PathLike) -> None:
    """Write `network` to `path`, replacing a file that is there only when all is written."""
    write_arrays(path, network.parameters, describe(network))


def read(path: PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description and the NumPy arrays in a file; raises as `read_arrays` does."""
    return read_arrays(path, "network", FORMAT_VERSION)


def describe(network: "Network") -> dict[str, Any]:
    """Return all that makes a network like this one, but for its arrays, as JSON can say it."""
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
