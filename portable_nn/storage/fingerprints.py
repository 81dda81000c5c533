"""What a training run is, in parts that JSON can say, so that it can be told from another when it is resumed.

Layers, losses, optimizers, schedules and callbacks are told by their classes and public options, data by their shapes
and a checksum. What cannot be compared says so, and counts as equal.
"""

import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import Any, cast

from portable_nn.arrays import is_array, namespace_of, to_numpy
from portable_nn.losses import Loss, LossByOutput
from portable_nn.optimizers import Optimizer
from portable_nn.storage.arrays import checksum
from portable_nn.storage.networks import Storable
from portable_nn.storage.networks import describe as describe_network

__all__ = ["can_be_said", "data", "difference", "loss", "metrics", "network", "optimizer", "part", "schedule"]

_DERIVED = {"sign", "start", "final", "initial"}
"""Attributes of the library's own that stand for options which are not kept as they came."""

_WHOLE = 2**24
"""Bytes of an array up to which all of it is summed."""

_SAMPLE = 256
"""Rows, at least, that are summed of a larger one."""

_MISSING = "nothing"


def network(of: Storable) -> dict[str, Any]:
    """Describe layers, layout, ties, frozen parameters and data type; the backend does not count."""
    try:
        said = describe_network(of)
    except NotImplementedError:  # a network of one's own that cannot be saved
        return {"kind": _named(type(of))}
    return {name: _plain(said[name]) for name in ("layout", "layers", "ties", "frozen", "dtype")}


def loss(of: Storable) -> Any:
    """Describe the loss."""
    return None if of.loss_function is None else _loss(of.loss_function)


def _loss(of: Loss) -> dict[str, Any]:
    kind = _named(type(of))
    if isinstance(of, LossByOutput):
        losses = {name: _loss(one) for name, one in of.losses.items()}
        return {"kind": kind, "losses": losses, "weights": dict(of.weights)}
    return {"kind": kind, "options": _plain(of.config())}


def optimizer(of: Optimizer) -> dict[str, Any]:
    """Describe an optimizer, but for its schedule and for what it has become; groups only where there are some."""
    usual: dict[str, Any] = {"groups": {}, "decay": "all"}
    said = {name: value for name, value in part(of).items() if name not in usual or value != usual[name]}
    return said | ({"order of groups": list(of.groups)} if len(of.groups) > 1 else {})


def schedule(of: Any) -> Any:
    """Describe a schedule, but for its length in steps, which follows the epochs, and for what it has observed."""
    if inspect.isroutine(of) or isinstance(of, partial):
        return _plain(cast("Any", of))
    ignored = {"steps", "lr"} if hasattr(of, "observe") else {"steps"}
    said = part(of, ignored)
    inner: Any = getattr(of, "__dict__", {}).get("schedule")
    return said | ({"schedule": schedule(inner)} if callable(inner) else {})


def part(of: Any, ignored: Iterable[str] = ()) -> dict[str, Any]:
    """Describe an object by its class and those public attributes that are named as arguments of its constructor."""
    kind = cast("type[Any]", type(of))
    options = {*_arguments(kind), *_DERIVED} - {*ignored}
    values: Mapping[str, Any] = getattr(of, "__dict__", {})
    return {"kind": _named(kind)} | {name: _plain(values[name]) for name in sorted(options & {*values})}


def metrics(given: Any) -> Any:
    """Describe metrics, of which there is a list, or for each output one, or None."""
    if isinstance(given, dict):
        return {name: metrics(listed) for name, listed in cast("dict[str, Any]", given).items()}
    return None if given is None else [part(metric) for metric in given]


def data(batches: Any, of: Storable) -> Any:
    """Describe batches by the arrays that they are cut from, several by the names that they have in a network."""
    if batches is None:
        return None
    if not hasattr(batches, "arrays"):
        return f"<uncomparable {type(batches).__name__}>"
    x, t, weight = batches.arrays
    inputs, outputs = of.order.inputs, of.order.output_names or ()
    return {
        "samples": batches.samples,
        "x": _arrays(x, inputs, exact=True),
        "t": _arrays(t, outputs),
        "sample_weight": _arrays(weight, outputs),
    }


def difference(before: Any, now: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Return where two descriptions first differ ("layers.1.kind") and what stands there in each; None if nowhere."""
    if isinstance(before, dict) and isinstance(now, dict):
        one, two = cast("dict[str, Any]", before), cast("dict[str, Any]", now)
        pairs = [(name, one.get(name, _MISSING), two.get(name, _MISSING)) for name in one | two]
        # The class says more than the options that came or went with it.
        pairs.sort(key=lambda pair: pair[0] != "kind")
    elif isinstance(before, list) and isinstance(now, list) and len(cast("Any", before)) == len(cast("Any", now)):
        both = zip(cast("list[Any]", before), cast("list[Any]", now), strict=True)
        pairs = [(str(i), *pair) for i, pair in enumerate(both)]
    else:
        return None if before == now else (path, cast("Any", before), cast("Any", now))
    found = (difference(a, b, f"{path}.{name}" if path else name) for name, a, b in pairs)
    return next((where for where in found if where is not None), None)


def can_be_said(value: Any) -> bool:
    """Tell whether JSON can say a value, NumPy scalars in it as numbers."""
    try:
        json.dumps(value, default=lambda number: number.item())
    except (TypeError, ValueError, AttributeError):
        return False
    return True


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return "nan" if math.isnan(value) else float(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, partial):
        call = cast("partial[Any]", value)
        return {"kind": _plain(call.func), "arguments": _plain(call.args), "options": _plain(call.keywords)}
    if inspect.isroutine(value) or isinstance(value, type):
        return _named(cast("Any", value))
    if is_array(value):
        return _array(value, exact=True)
    if isinstance(value, PurePath):
        return "<a path>"  # where files lie does not count, as the device does not
    if hasattr(value, "item"):  # a NumPy scalar
        return _plain(value.item())
    if callable(value):  # a schedule, of weight decay say
        return schedule(value)
    return f"<uncomparable {_named(cast('type[Any]', type(value)))}>"


def _named(thing: type | Callable[..., Any]) -> str:
    """Return the name of a class or function; with its module, if it is none of this library's."""
    name: str = getattr(thing, "__qualname__", type(thing).__name__)
    module = getattr(thing, "__module__", None) or "builtins"
    return name if module.partition(".")[0] == __name__.partition(".")[0] else f"{module}.{name}"


def _arguments(kind: type) -> set[str]:
    """Return the names of the arguments of the constructors of a class and those above it."""
    makers = (vars(above)["__init__"] for above in kind.__mro__ if "__init__" in vars(above))
    names = {name for maker in makers if inspect.isfunction(maker) for name in inspect.signature(maker).parameters}
    return {name for name in names if not name.startswith("_")}


def _arrays(part: Any, names: Sequence[str], *, exact: bool = False) -> Any:
    if not isinstance(part, tuple):
        return _array(part, exact=exact)
    return {name: _array(array, exact=exact) for name, array in zip(names, cast("Any", part), strict=True)}


def _array(array: Any, *, exact: bool = False) -> dict[str, Any] | None:
    """Describe an array; integers of all sizes are alike, and so are floating numbers unless `exact`."""
    if array is None:
        return None
    floating = namespace_of(array).isdtype(array.dtype, "real floating")
    size = math.prod(array.shape) * 8
    step = 1 if size <= _WHOLE or not array.shape else max(1, array.shape[0] // _SAMPLE)
    rows = to_numpy(array[::step, ...] if step > 1 else array).astype("<f8" if floating else "<i8")
    name = str(array.dtype).rpartition(".")[2] if exact else "floating"
    return {
        "shape": list(array.shape),
        "dtype": name if floating else "integer",
        "sha256": checksum({"rows": rows}, "")[:16],
    }
