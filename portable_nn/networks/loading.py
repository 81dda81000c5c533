"""Networks out of files. Nothing in a file is executed or imported.

Layers and losses are rebuilt from closed tables of names, to which the caller may add classes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from portable_nn.arrays import PRECISIONS, Namespace, Place
from portable_nn.errors import CheckpointError
from portable_nn.layer_table import layer_table, tie
from portable_nn.layers import Layer, Parameter, State
from portable_nn.layers.inputs import as_tuple
from portable_nn.losses import Loss, LossByOutput
from portable_nn.networks.graph import Graph
from portable_nn.networks.network import Network
from portable_nn.networks.parameter_sharing import ParameterSharing
from portable_nn.networks.residual import Residual
from portable_nn.networks.sequential import Sequential
from portable_nn.storage import PathLike
from portable_nn.storage.networks import OURS, read

__all__ = ["load"]


def load(
    path: PathLike,
    xp: str | Namespace = "numpy",
    *,
    device: Any = None,
    dtype: str | None = None,
    classes: Iterable[type[Layer]] = (),
) -> Network:
    """Return the network that `Network.save` wrote to a file, or that is in a checkpoint of a training run.

    Parameters
    ----------
    path : path
    xp, device, dtype : optional
        Where to put it: by default NumPy and the data type that it had, but float32 where the library does not compute
        in the network's float16 or bfloat16. What is in the file is float32 then, too.
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
    own_dtype = description.get("dtype", "float32")
    if own_dtype not in PRECISIONS:
        raise CheckpointError(f"{path} needed a network of {' or '.join(PRECISIONS)}, got {own_dtype!r}")
    place = Place(xp, device, dtype) if dtype else Place.of_precision(xp, device, own_dtype)
    own = {kind.__name__: kind for kind in classes}
    try:
        leaves = {path: _build(part, own) for path, part in _leaves(description["layers"])}
        for name, tied in description["ties"].items():
            tie(leaves, name, tied["to"], transposed=tied["transposed"])
        boxes = {f"{path}.{name}": box for path, leaf in leaves.items() for name, box in leaf.boxes().items()}
        states = {f"{path}.{name}": box for path, leaf in leaves.items() for name, box in leaf.state_boxes().items()}
        sharing = ParameterSharing(boxes, states)
        _fill(dict(zip(sharing.names, sharing.boxes, strict=True)), arrays, place)
        for leaf in leaves.values():
            for _, layer in leaf.leaves(""):
                layer.place = place
        loss = None if description["loss"] is None else _loss(description["loss"], own)
        options = {"loss": loss, "seed": description["seed"], "xp": place.xp, "device": place.device}
        network = _laid_out(description, leaves, "", options | {"dtype": place.precision})
        if description["frozen"]:
            network.freeze(*description["frozen"])
        network.notes = dict(description["notes"])
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} does not describe a network: {error}") from error
    return network


def _leaves(layers: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the descriptions of the layers that are no networks, by path."""
    for name, part in layers.items():
        if "layout" in part:
            yield from _leaves(part["layers"], f"{path}{name}.")
        else:
            yield f"{path}{name}", part


def _build(part: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    """Return a layer or loss. Earlier versions did not say whose: the caller's, if he has one so named."""
    name, module = part["kind"], part.get("module")
    ours: dict[str, Any] = {**layer_table}
    table = {**ours, **own} if module is None else ours if module == OURS else own
    if name not in table:
        whose = "" if module in (None, OURS) else f" but of {module}"
        raise CheckpointError(
            f"the class {name} is not one of portable_nn{whose}: pass it to load(..., classes=[{name}])"
        )
    return table[name](**part["options"])


def _loss(part: Mapping[str, Any], own: Mapping[str, Any]) -> Loss:
    if "losses" in part:
        return LossByOutput({name: _loss(one, own) for name, one in part["losses"].items()}, part["weights"])
    loss = _build(part, own)
    if not isinstance(loss, Loss):
        raise CheckpointError(f"{loss!r} is no loss")
    return loss


def _fill(boxes: Mapping[str, Parameter | State], arrays: Mapping[str, Any], place: Place) -> None:
    """Give parameters and states their values, before anything of a size that the file merely claims is made."""
    if set(arrays) != set(boxes):
        raise CheckpointError(f"it has the arrays {sorted(arrays)}, its layers need {sorted(boxes)}")
    for name, box in boxes.items():
        box.set(arrays[name], place, name)


def _laid_out(
    description: Mapping[str, Any], leaves: Mapping[str, Layer], path: str, options: dict[str, Any]
) -> Network:
    """Return the network whose layers are `leaves`, and networks of them, with paths that begin so."""
    layout = description["layout"]
    layers: dict[str, Layer] = {
        name: _laid_out(part, leaves, f"{path}{name}.", {}) if "layout" in part else leaves[path + name]
        for name, part in description["layers"].items()
    }
    if layout["kind"] == "Sequential":
        return Sequential(*(layers[name] for name in layout["layers"]), **options)
    if layout["kind"] == "Residual":
        shortcut = None if layout["shortcut"] is None else layers[layout["shortcut"]]
        return Residual(*(layers[name] for name in layout["layers"]), shortcut=shortcut, **options)
    if layout["kind"] != "Graph":
        raise CheckpointError(f"its layout is {layout['kind']}, known are Sequential, Residual and Graph")
    graph = Graph(**options)
    nodes = {name: graph.input(name) for name in layout["inputs"]}
    for step in layout["steps"]:
        layer = layers[step["layer"]]
        if layer.output_count != len(step["outputs"]):  # before names for more than the file has are made
            raise CheckpointError(f"{layer!r} has {layer.output_count} outputs, the file names {len(step['outputs'])}")
        made = as_tuple(graph.apply(layer, [nodes[name] for name in step["inputs"]], step["name"]))
        nodes.update(zip(step["outputs"], made, strict=True))
    outputs = [nodes[name] for name in layout["outputs"]]
    if "output_names" in layout:
        graph.output(**dict(zip(layout["output_names"], outputs, strict=True)))
    else:
        graph.output(*outputs)
    return graph
