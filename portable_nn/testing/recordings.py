"""Whether a layer or loss that declares itself recordable is: its kernels are the same whatever the data."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from portable_nn import random
from portable_nn.arrays import Place, to_numpy
from portable_nn.kernels import Plan, Recorder, UnrecordedError, kernels_for
from portable_nn.kernels.recording import leaves
from portable_nn.layers import Layer, Run, State
from portable_nn.layers.inputs import as_tuple, checked_input
from portable_nn.losses import Loss

__all__ = ["check_recordable"]

_Given = dict[str, Any]


def check_recordable(layer: Layer, arrays: Sequence[Any], place: Place, key: random.Key) -> None:
    """Record both passes on two sets of data, and compare the calls, and the plan of one with the walk of the other.

    Passes that compute with other things than kernels are no plan but one opaque call: there is nothing to compare.

    Parameters
    ----------
    layer : Layer or Loss
    arrays : sequence of arrays
        The inputs; of a loss only y is varied.
    place : Place
    key : Key
        Of the dropout masks.

    Raises
    ------
    AssertionError
        If the two differ: the class must not say `recordable = True` then.
    """
    inputs = [checked_input(to_numpy(x), place, layer, layer.kind_of_input(i)) for i, x in enumerate(arrays)]
    if isinstance(layer, Loss):
        t, weight = layer.targets(inputs[0].shape, to_numpy(arrays[1]), place, *map(to_numpy, arrays[2:]))
        inputs = [inputs[0], t] if weight is None else [inputs[0], t, weight]
    params = {name: place.asarray(np.asarray(to_numpy(p), dtype="float64")) for name, p in layer.pass_arrays().items()}
    varied = 1 if isinstance(layer, Loss) else len(inputs)
    others = [-0.7 * x + 0.3 if i < varied and _is_floating(x, place) else x for i, x in enumerate(inputs)]
    dy = [place.asarray(np.ones(part.shape)) for part in _outputs(layer, params, inputs, place, key)]
    states = [place.asarray(to_numpy(box.value)) for box in _boxes(layer)]
    given = {"states": states, "params": list(params.values()), "x": inputs, "dy": dy}
    try:
        first, names, outputs = _recorded(layer, list(params), given, place, key)
        second, _, expected = _recorded(layer, list(params), given | {"x": others}, place, key)
    except UnrecordedError:
        return
    for one, other in zip(_calls(first), _calls(second), strict=False):
        if one != other:
            raise AssertionError(f"{layer!r} says it is recordable, but calls {one} for some data, {other} for others")
    if len(first.calls) != len(second.calls):
        raise AssertionError(f"{layer!r} says it is recordable, but calls more kernels for some data than for others")
    got = Plan(first, names, outputs)(states, given["params"], others, dy)
    for a, b in zip(leaves(got), leaves(expected), strict=True):
        if a is not None and not np.array_equal(to_numpy(a), to_numpy(b), equal_nan=True):
            raise AssertionError(f"{layer!r} says it is recordable, but its plan gives other numbers than its passes")


def _is_floating(x: Any, place: Place) -> bool:
    return place.xp.isdtype(x.dtype, "real floating")


def _outputs(layer: Layer, params: _Given, inputs: list[Any], place: Place, key: random.Key) -> tuple[Any, ...]:
    return as_tuple(Run(place, training=True, key=key).forward(layer, params, *inputs)[0])


def _boxes(layer: Layer) -> list[State]:
    return list(dict.fromkeys(layer.state_boxes().values()))


def _recorded(
    layer: Layer, names: list[str], given: _Given, place: Place, key: random.Key
) -> tuple[Recorder, _Given, list[Any]]:
    recorder = Recorder(kernels_for(place.xp))
    inputs = {name: recorder.input(tree) for name, tree in given.items()}
    run = Run(place, recorder, training=True, key=key)
    run.begin(_boxes(layer), inputs["states"])
    params = dict(zip(names, inputs["params"], strict=True))
    y, saved = run.forward(layer, params, *inputs["x"])
    dx, grads = layer.backward_pass(run, params, saved, *inputs["dy"])
    outputs = [*as_tuple(y), *as_tuple(dx), *(grads[name] for name in names), *map(run.state, _boxes(layer))]
    recorder.values(outputs)
    return recorder, inputs, outputs


def _calls(recorder: Recorder) -> list[str]:
    return [f"{call.name}{call.arguments}" for call in recorder.calls]
