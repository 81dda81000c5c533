"""Networks out of files. Nothing in a file is executed or imported.

Layers and losses are rebuilt from closed tables of names, to which the caller may add classes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from portable_nn import layers as layer_module
from portable_nn import losses as loss_module
from portable_nn.arrays import Namespace, Place
from portable_nn.errors import CheckpointError
from portable_nn.layers import Layer, Parameter
from portable_nn.losses import Loss
from portable_nn.networks.files import PathLike, read
from portable_nn.networks.network import Network
from portable_nn.networks.sequential import Sequential
from portable_nn.networks.wiring import Wiring

__all__ = ["load"]

_NOT_CONCRETE = {"Layer", "Run", "Parameter", "Transposed", "Loss"}
_LAYERS: dict[str, type[Layer]] = {
    name: getattr(layer_module, name) for name in layer_module.__all__ if name not in _NOT_CONCRETE
}
_LOSSES: dict[str, type[Loss]] = {
    name: getattr(loss_module, name) for name in loss_module.__all__ if name not in _NOT_CONCRETE
}


def load(
    path: PathLike,
    xp: str | Namespace = "numpy",
    *,
    device: Any = None,
    dtype: str | None = None,
    classes: Iterable[type[Layer] | type[Loss]] = (),
) -> Network:
    """Return the network that `Network.save` wrote to a file.

    Parameters
    ----------
    path : path
    xp, device, dtype : optional
        Where to put it: NumPy and the data type that it had, by default.
    classes : layer and loss classes, optional
        Those of your own that the network uses; a file is never asked where to import anything from.

    Raises
    ------
    OSError
        If the file cannot be read.
    CheckpointError
        If it does not hold a network, is damaged or from a newer version, or uses a class that is not known.
    MissingExtraError, BackendError, NamespaceError, DTypeError
        If there is no such place.
    """
    description, arrays = read(path)
    place = Place(xp, device, dtype or description.get("dtype", "float32"))
    own = list(classes)
    layers = _LAYERS | {kind.__name__: kind for kind in own if issubclass(kind, Layer)}
    losses = _LOSSES | {kind.__name__: kind for kind in own if issubclass(kind, Loss)}
    try:
        distinct = {name: _build(kind, layers) for name, kind in description["layers"].items()}
        for name, tie in description["ties"].items():
            _tie(distinct, name, tie)
        _fill(Wiring(distinct).parameters, arrays, place)
        network = Sequential(
            *(distinct[name] for name in description["layout"]["layers"]),
            loss=None if description["loss"] is None else _build(description["loss"], losses),
            seed=description["seed"],
            xp=place.xp,
            device=place.device,
            dtype=place.dtype_name,
        )
        if description["frozen"]:
            network.freeze(*description["frozen"])
        network.notes = dict(description["notes"])
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path} does not describe a network: {error}") from error
    return network


def _build(part: Mapping[str, Any], tables: Mapping[str, Any]) -> Any:
    name = part["kind"]
    if name not in tables:
        raise CheckpointError(f"the class {name} is not one of portable_nn: pass it to load(..., classes=[{name}])")
    return tables[name](**part["options"])


def _fill(parameters: Mapping[str, Parameter], arrays: Mapping[str, Any], place: Place) -> None:
    """Give the parameters their values, before anything of a size that the file merely claims is made."""
    if set(arrays) != set(parameters):
        raise CheckpointError(f"it has the arrays {sorted(arrays)}, its layers need {sorted(parameters)}")
    for name, parameter in parameters.items():
        parameter.set(arrays[name], place, name)


def _tie(layers: Mapping[str, Layer], name: str, tie: Mapping[str, Any]) -> None:
    layer, own = name.rsplit(".", 1)
    other_layer, other = tie["to"].rsplit(".", 1)
    parameter = layers[other_layer].parameters[other]
    if not isinstance(parameter, Parameter):
        raise CheckpointError(f"{name} is tied to {tie['to']}, which is tied itself")
    shared = parameter.T if tie["transposed"] else parameter
    if shared.shape != layers[layer].parameters[own].shape:
        raise CheckpointError(f"{name} is tied to {tie['to']}, which has another shape")
    layers[layer].parameters[own] = shared
