"""Gradient checks: what the library derived by hand beside central differences, torch's autograd and JAX's vjp.

The oracles differentiate the same forward pass, made of the portable kernels, in float64.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np

from portable_nn import random
from portable_nn.arrays import Array, Namespace, Place, as_array, namespace, to_numpy
from portable_nn.kernels import PORTABLE, declares
from portable_nn.layers import Layer, Run
from portable_nn.layers.inputs import UNCAST, as_tuple, check_values, checked_input, place_of
from portable_nn.losses import Loss
from portable_nn.networks import Network
from portable_nn.testing.backends import float64_enabled
from portable_nn.testing.differences import central_differences
from portable_nn.testing.kinks import kinks
from portable_nn.testing.oracles import KEY, Gradients, Subject, autograd_gradients, run_at
from portable_nn.testing.recordings import check_recordable

__all__ = ["AUTOGRAD_TOLERANCE", "DIFFERENCE_TOLERANCE", "Report", "Row", "check_layer", "check_network"]

DIFFERENCE_TOLERANCE = 1e-7
AUTOGRAD_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Row:
    """One array's gradient beside one oracle's.

    Attributes
    ----------
    name : str
    oracle : str
    error : float
        The largest difference, divided by the largest element of either gradient.
    mean_difference : float
        The mean absolute difference.
    tolerance : float
        What the error may be.
    """

    name: str
    oracle: str
    error: float
    mean_difference: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the two agree."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Report:
    """The rows of a check; as text, a table."""

    title: str
    rows: list[Row] = field(default_factory=list[Row])

    @property
    def ok(self) -> bool:
        """Whether all rows agree."""
        return all(row.ok for row in self.rows)

    def add(self, oracle: str, tolerance: float, found: Gradients, expected: Gradients) -> None:
        """Add a row for each expected gradient."""
        for name, reference in expected.items():
            if found[name].shape != reference.shape:
                self.rows.append(Row(f"{name}, shape {found[name].shape}", oracle, np.inf, np.inf, tolerance))
                continue
            difference = np.abs(found[name] - reference)
            size = max(np.abs(found[name]).max(initial=0.0), np.abs(reference).max(initial=0.0)) or 1.0
            mean = float(difference.mean()) if difference.size else 0.0
            error = float(difference.max(initial=0.0) / size)
            self.rows.append(Row(name, oracle, error if error == error else np.inf, mean, tolerance))

    def __str__(self) -> str:
        width = max([4, *(len(row.name) for row in self.rows)])
        lines = [f"{self.title}: gradients by hand against", f"{'of':<{width}}  {'oracle':<20} relative error"]
        lines += [
            f"{row.name:<{width}}  {row.oracle:<20} {row.error:.1e}{'' if row.ok else f'  over {row.tolerance:.0e}'}"
            for row in self.rows
        ]
        return "\n".join(lines)


def check_layer(
    layer: Layer | Loss,
    *inputs: Array,
    xp: str | Namespace = "numpy",
    device: Any = None,
    tolerance: float = DIFFERENCE_TOLERANCE,
    raises: bool = True,
) -> Report:
    """Compare the hand-written gradients of a layer or loss with central differences, torch autograd and `jax.vjp`.

    Everything is done in float64 on copies; the layer is not changed, but drawn if it was not yet. The gradients by
    hand use the kernels of the backend `xp`. Oracles that are not installed are left out, and so is autograd where it
    cannot follow, as through a Python number that is computed from the data. Keep the inputs away from
    kinks such as ReLU's at 0, where central differences mean nothing; an error says if they are at one.

    Parameters
    ----------
    layer : Layer or Loss
    *inputs : arrays
        x for a layer; y, t and perhaps sample weights for a loss. Inputs of whole numbers or booleans, where the layer
        asks for them, are not differentiated.
    xp, device : optional
        The backend whose gradients are checked.
    tolerance : float
        For central differences; autograd is held to 1e-12.
    raises : bool
        Whether a failed check is an AssertionError, with the report as its text.

    Raises
    ------
    AssertionError
        If a gradient is wrong, or the class says `recordable = True` and its kernels depend on the data.
    DTypeError
        If the backend has no float64.
    ShapeError, NamespaceError, LabelError
        If the inputs do not fit the layer.
    """
    inputs = tuple(as_array(x, "inputs") for x in inputs)
    subject = _loss_subject(layer, *inputs) if isinstance(layer, Loss) else _layer_subject(layer, *inputs)
    home = Place("numpy", dtype="float64")
    shapes: list[tuple[int, ...]] = [y.shape for y in as_tuple(subject.output(run_at(home, PORTABLE), subject.arrays))]
    dy: list[np.ndarray] = [
        np.asarray(random.generator(0, "check", i).standard_normal(shape)) for i, shape in enumerate(shapes)
    ]
    with float64_enabled(namespace(xp)):
        place = Place(xp, device, "float64")
        here = {name: place.asarray(array) for name, array in subject.arrays.items()}
        gradients = subject.by_hand(run_at(place), here, [place.asarray(part) for part in dy])
        found = {name: np.asarray(to_numpy(gradient)) for name, gradient in gradients.items()}
        if declares(type(layer), "recordable"):
            check_recordable(layer, inputs, place, KEY)
    report = Report(subject.title)
    value = partial(_value, subject, home, dy)
    differences = {name: central_differences(value, array) for name, array in subject.arrays.items()}
    report.add("central differences", tolerance, found, differences)
    for oracle, expected in autograd_gradients(subject, dy):
        report.add(oracle, AUTOGRAD_TOLERANCE, found, expected)
    if raises and not report.ok:
        raise AssertionError(str(report) + kinks(value, subject.arrays, found, differences))
    return report


def check_network(
    network: Network,
    x: Array,
    t: Array,
    *,
    tolerance: float = DIFFERENCE_TOLERANCE,
    raises: bool = True,
    progress: bool = False,
) -> Report:
    """Compare the gradient of a network's training loss, by every parameter, with central differences.

    It takes two forward passes for each element of each parameter, in float64 with NumPy on a copy of the network.

    Parameters
    ----------
    network : Network
        With a loss.
    x, t : arrays
        A few samples and their targets.
    tolerance : float
    raises : bool
        As in `check_layer`.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    AssertionError
        If a gradient is wrong, or the class says `recordable = True` and its kernels depend on the data.
    ShapeError, DTypeError, LabelError, NamespaceError
        If x or t do not fit the network.
    """
    network.criterion.check_reduces("check_network")
    x, t = as_array(x, "x"), as_array(t, "t")
    network.batch(x, t)
    copy = network.to("numpy", dtype="float64")
    copy.unfreeze()
    names, params = list(copy.parameters), [np.array(array) for array in copy.arrays()]
    batch = copy.batch(_as_numpy(x), _as_numpy(t))
    run = run_at(copy.place)
    _, grads = copy.loss_and_gradients(run, params, *batch)

    def loss() -> Any:
        run = run_at(copy.place)
        y, _ = copy.forward_walk(run, params, batch[0])
        return copy.criterion.record(copy.criterion.forward_pass(run, {}, y, *batch[1:])[0])["loss"]

    from tqdm.auto import tqdm

    report = Report(repr(network))
    with tqdm(total=sum(p.size for p in params[: len(names)]), unit=" elements", disable=not progress) as bar:
        for name, array, gradient in zip(names, params[: len(names)], grads, strict=True):
            expected = central_differences(loss, array, bar.update)
            report.add("central differences", tolerance, {name: gradient}, {name: expected})
    if raises and not report.ok:
        raise AssertionError(str(report))
    return report


def _layer_subject(layer: Layer, *inputs: Array) -> Subject:
    layer.output_shape(*(x.shape for x in inputs))
    names = ["x"] if len(inputs) == 1 else [f"input {i}" for i in range(1, len(inputs) + 1)]
    uncast = {
        n: to_numpy(x) for i, (n, x) in enumerate(zip(names, inputs, strict=True)) if layer.kind_of_input(i) in UNCAST
    }
    for i, (name, x) in enumerate(zip(names, inputs, strict=True)):
        checked_input(x, place_of(x), layer, layer.kind_of_input(i), name)
    check_values(layer, inputs)
    differentiated = [names[i] for i in layer.differentiated(len(names))]

    def split(run: Run, arrays: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        here = {n: checked_input(x, run.place, layer, layer.kind_of_input(names.index(n))) for n, x in uncast.items()}
        return {n: a for n, a in arrays.items() if n not in names}, [(arrays | here)[name] for name in names]

    def output(run: Run, arrays: dict[str, Any]) -> Any:
        params, x = split(run, arrays)
        return run.forward(layer, params, *x)[0]

    def by_hand(run: Run, arrays: dict[str, Any], dy: list[Any]) -> dict[str, Any]:
        params, x = split(run, arrays)
        _, saved = run.forward(layer, params, *x)
        dx, grads = layer.backward_pass(run, params, saved, *dy)
        return dict(zip(differentiated, as_tuple(dx), strict=True)) | grads

    arrays = {name: x for name, x in zip(names, inputs, strict=True) if name not in uncast} | layer.pass_arrays()
    return Subject(repr(layer), {name: _double(array) for name, array in arrays.items()}, output, by_hand)


def _loss_subject(loss: Loss, y: Array, t: Array, weight: Array | None = None) -> Subject:
    t, weight = to_numpy(t), None if weight is None else to_numpy(weight)
    ready, _ = loss.targets(y.shape, t, Place(dtype="float64"), weight)
    differentiated = {"y": _double(y)} | ({} if 1 in loss.constants else {"t": _double(ready)})

    def forward(run: Run, arrays: dict[str, Any]) -> tuple[Any, Any]:
        here, placed_weight = loss.targets(y.shape, t, run.place, weight)
        return loss.forward_pass(run, {}, arrays["y"], arrays.get("t", here), placed_weight)

    def output(run: Run, arrays: dict[str, Any]) -> Any:
        return forward(run, arrays)[0]

    def by_hand(run: Run, arrays: dict[str, Any], dy: list[Any]) -> dict[str, Any]:
        gradients, _ = loss.backward_pass(run, {}, forward(run, arrays)[1], *dy)
        return dict(zip(differentiated, as_tuple(gradients), strict=True))

    return Subject(repr(loss), differentiated, output, by_hand)


def _as_numpy(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return to_numpy(part)
    return {name: to_numpy(array) for name, array in cast("Mapping[str, Any]", part).items()}


def _double(array: Any) -> np.ndarray:
    return np.array(to_numpy(array), dtype=np.float64)


def _value(subject: Subject, place: Place, dy: list[np.ndarray]) -> Any:
    parts = as_tuple(subject.output(run_at(place, PORTABLE), subject.arrays))
    return sum((np.sum(y * d) for y, d in zip(parts, dy, strict=True)), np.float64(0.0))
