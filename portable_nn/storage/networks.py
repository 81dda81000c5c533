"""Networks as files: their arrays, and their structure as the description beside them."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from portable_nn.arrays import Place
from portable_nn.errors import CheckpointError
from portable_nn.kernels import is_recordable
from portable_nn.layer_table import layer_table
from portable_nn.layers.topology import Topology
from portable_nn.losses import Loss, LossByOutput
from portable_nn.storage.arrays import PathLike, read_arrays, write_arrays

__all__ = ["FORMAT_VERSION", "OURS", "Storable", "describe", "read", "save"]

FORMAT_VERSION = 2
"""1 had no checksum."""

OURS = "portable_nn"
"""The module of this library's classes; those of others are only found among the classes that a caller passes."""

_IN_RUN = "network/"
"""How the names of a network's arrays begin in a checkpoint."""


class Storable(Protocol):
    """A network, as far as a file describes it."""

    seed: int
    notes: dict[str, Any]
    sharing: Any
    loss_function: Loss | None

    @property
    def order(self) -> Topology:
        """The layers, in order, and what each takes."""
        ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The arrays of all parameters by name."""
        ...

    @property
    def states(self) -> Mapping[str, Any]:
        """The arrays of all states by name."""
        ...

    @property
    def place(self) -> Place:
        """Where the arrays live."""
        ...

    def trainable(self) -> Mapping[str, int]:
        """Return the names of the parameters that are not frozen, with their positions."""
        ...

    def layout(self) -> dict[str, Any]:
        """Return the layout as numbers, strings, lists and mappings."""
        ...


def save(network: Storable, path: PathLike) -> None:
    """Write `network` to `path`, replacing a file that is there only when all is written."""
    write_arrays(path, {**network.parameters, **network.states}, describe(network))


def read(path: PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description and the NumPy arrays of a network, in a file of its own or in a checkpoint of a run.

    Raises as `read_arrays` does, and CheckpointError for a checkpoint that has only the arrays, of an earlier version.
    """
    description, arrays = read_arrays(path, "network", FORMAT_VERSION)
    if "numbers" not in description:
        return description, arrays
    network = description.get("network")
    if not isinstance(network, dict):
        raise CheckpointError(
            f"{path} is a checkpoint of an earlier version, or of a network that no file can hold: "
            "it has arrays, but not the layout"
        )
    own = {name.removeprefix(_IN_RUN): array for name, array in arrays.items() if name.startswith(_IN_RUN)}
    return cast("dict[str, Any]", network), own


def describe(network: Storable) -> dict[str, Any]:
    """Return all that makes a network like this one, but for its arrays, as JSON can say it."""
    loss = network.loss_function
    return {
        "version": FORMAT_VERSION,
        **_structure(network),
        "loss": None if loss is None else _kind(loss),
        "ties": network.sharing.ties(),
        "frozen": [name for name in network.parameters if name not in network.trainable()],
        "dtype": network.place.precision,
        "seed": network.seed,
        "notes": network.notes,
    }


def _structure(network: Storable) -> dict[str, Any]:
    layers = {name: _kind(layer) for name, layer in network.order.distinct_layers().items()}
    return {"layout": network.layout(), "layers": layers}


def _kind(part: Any) -> dict[str, Any]:
    kind = cast("type[Any]", type(part))
    if isinstance(part, LossByOutput):
        losses = {name: _kind(loss) for name, loss in part.losses.items()}
        return {"kind": kind.__name__, "losses": losses, "weights": dict(part.weights)}
    module = OURS if layer_table.get(kind.__name__) is kind else kind.__module__
    described = {"kind": kind.__name__, "module": module, "options": part.config()}
    # A network with passes of somebody's own is made by its class alone.
    return described | _structure(part) if hasattr(part, "layout") and is_recordable(kind) else described
