"""Layers made of layers: the walk through them, forward and back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

from portable_nn.arrays import Place
from portable_nn.kernels import PORTABLE
from portable_nn.layers import Layer, Parameter, Run, State, Transposed
from portable_nn.layers.inputs import as_tuple, check_values
from portable_nn.layers.layer import Arrays
from portable_nn.layers.topology import Tape, Topology
from portable_nn.networks.input_kinds import input_kinds

__all__ = ["Composite"]


class Composite(Layer):
    """A layer made of the layers in `order`; fan-out adds gradients.

    The parameters are those of its layers, by path: "0.W" of its first layer, "1.0.W" of the first layer in its second.
    """

    WALKS = ("forward_pass", "backward_pass", "walk", "walk_back", "outputs_of")
    """A subclass that inherits all of these is nothing but its layers, and recorded as such."""
    what: ClassVar[str] = "layer"
    """What errors call a step."""

    def __init__(self) -> None:
        # Not that of Layer: what a layer has of its own, this has in its layers.
        self.order = Topology()
        self.grads: Arrays = {}
        self._saved: Any = None
        self._last_uses: Mapping[str, Sequence[str]] = {}
        self._kinds = input_kinds(self.order)

    def complete(self) -> None:
        """Take note that `order` is finished."""
        self._last_uses = self.order.last_uses()
        self.is_random = any(step.layer.is_random for step in self.order.steps)
        self.output_count = len(self.order.outputs)
        self._kinds = input_kinds(self.order)
        self.input_kinds = self._kinds.inputs
        constants = self.order.constants()
        self.constants = tuple(i for i, name in enumerate(self.order.inputs) if name in constants)

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return [step.layer for step in self.order.steps]

    def boxes(self) -> dict[str, Parameter | Transposed]:
        """Return what holds each parameter, by path."""
        return {
            path: box
            for step in self.order.steps
            for path, box in zip(step.paths, step.layer.boxes().values(), strict=True)
        }

    def state_boxes(self) -> dict[str, State]:
        """Return what holds each state, by path."""
        return {
            f"{name}.{path}": box
            for name, layer in self.order.distinct_layers().items()
            for path, box in layer.state_boxes().items()
        }

    def leaves(self, path: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield the layers that are not made of others, by path, as often as they are passed."""
        for step in self.order.steps:
            yield from step.layer.leaves(f"{path}.{step.name}" if path else step.name)

    def tell(self, changes: list[int]) -> None:
        """Have all layers count in `changes`."""
        for layer in {id(layer): layer for layer in self.layers}.values():
            layer.tell(changes)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the options are those of the layers, which count themselves

    def takes(self, count: int) -> bool:
        """Tell whether there are as many inputs."""
        return count == len(self.order.inputs)

    def input_shape(self) -> tuple[int, ...] | None:
        """Return the shape of one sample that the first layer which fixes it needs, if those before keep it."""
        return self.order.input_shape()

    def output_shape(self, *shapes: tuple[int, ...]) -> Any:
        """Return the shape of the output, a tuple for several; raises as `Topology.shapes` does."""
        found = self.order.shapes(shapes, self.what)
        outputs = [found[name] for name in self.order.outputs]
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    def check_values(self, *inputs: Any) -> None:
        """Have each layer look at the values that it takes uncast; raises as they do."""
        values: dict[str, Any] = dict(zip(self.order.inputs, inputs, strict=True))
        run = Run(Place(), PORTABLE)
        for step in self.order.steps:
            given = [values.get(name) for name in step.inputs]
            if step.name in self._kinds.carried and not any(x is None for x in given):
                y, _ = run.forward(step.layer, {}, *given)
                values |= dict(zip(step.outputs, as_tuple(y), strict=True))
            elif any(x is not None for x in given):
                check_values(step.layer, given)

    def forward_pass(self, run: Run, params: Arrays, *inputs: Any) -> tuple[Any, Tape]:
        """Return the output, a tuple for several, and what each layer saved."""
        values = dict(zip(self.order.inputs, inputs, strict=True))
        tape = self.walk(run, params, values, forget=self._last_uses)
        return self.outputs_of(values), tape

    def backward_pass(self, run: Run, params: Arrays, saved: Tape, *douts: Any) -> tuple[Any, Arrays]:
        """Return the derivatives by the inputs and the parameters by path, found from the last layer to the first."""
        by_value, grads = self.walk_back(run, saved, douts)
        names = self.order.inputs
        if self.constants or self._kinds.casts or self._kinds.carried:
            names = [names[i] for i in self.differentiated(len(names))]
        return tuple(map(by_value.get, names)) if len(names) != 1 else by_value[names[0]], grads

    # No comprehensions below: before Python 3.12 each is a call.

    def walk(
        self, run: Run, params: Arrays, values: dict[str, Any], forget: Mapping[str, Sequence[str]] | None = None
    ) -> Tape:
        """Add the values of all layers to those of the inputs, and drop those that nothing needs after a step."""
        tape: Tape = []
        casts, carried = self._kinds.casts, self._kinds.carried
        for step in self.order.steps:
            layer_params = dict(zip(step.own, map(params.__getitem__, step.paths), strict=True))
            inputs: Iterable[Any] = map(values.__getitem__, step.inputs)
            if step.name in casts:
                inputs = _cast(run, casts[step.name], inputs)
            y, saved = run.forward(step.layer, layer_params, *inputs)
            if run.training and step.name not in carried:
                tape.append((step, layer_params, saved))
            if len(step.outputs) == 1:
                values[step.outputs[0]] = y
            else:
                values.update(zip(step.outputs, y, strict=True))
            for name in forget.get(step.name, ()) if forget else ():
                del values[name]
        for name in self._kinds.cast_outputs:
            values[name] = run.kernels.as_floating(values[name], run.place.keeping.dtype_name)
        return tape

    def walk_back(
        self, run: Run, tape: Tape, douts: Sequence[Any], by_edge: dict[tuple[str, int], Any] | None = None
    ) -> tuple[dict[str, Any], Arrays]:
        """Return the derivatives by value and by parameter; add those by arrow (a step, the position of its input)."""
        by_value: dict[str, Any] = dict(zip(self.order.outputs, douts, strict=True))
        grads: Arrays = {}
        add = run.kernels.add
        for step, layer_params, saved in reversed(tape):
            dx, layer_grads = run.backward(step.layer, layer_params, saved, *map(by_value.__getitem__, step.outputs))
            for own, path in zip(step.own, step.paths, strict=True):
                gradient = layer_grads[own]
                grads[path] = add(grads[path], gradient) if path in grads else gradient
            if not isinstance(dx, tuple):
                dx = (dx,)
            for i, derivative in zip(step.differentiated, cast("tuple[Any, ...]", dx), strict=True):
                name = step.inputs[i]
                by_value[name] = add(by_value[name], derivative) if name in by_value else derivative
                if by_edge is not None:
                    by_edge[step.name, i] = derivative
        return by_value, grads

    def outputs_of(self, values: Mapping[str, Any]) -> Any:
        """Return the output among all values, a tuple for several."""
        outputs = self.order.outputs
        return tuple(map(values.__getitem__, outputs)) if len(outputs) > 1 else values[outputs[0]]


def _cast(run: Run, positions: Sequence[int], inputs: Iterable[Any]) -> list[Any]:
    """Return inputs, of which those at `positions` are cast."""
    return [run.kernels.as_floating(x, run.place.dtype_name) if i in positions else x for i, x in enumerate(inputs)]
