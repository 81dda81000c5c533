"""A layer that stands alone, outside of networks: it draws its parameters, and remembers between its passes."""

from collections.abc import Callable
from typing import Any, Self

from portable_nn import random
from portable_nn.arrays import Array, Namespace, Place, as_array, copies, move
from portable_nn.errors import ShapeError
from portable_nn.initializers import Initializer, glorot_uniform
from portable_nn.layers.inputs import as_tuple, check_values, checked_input, place_of
from portable_nn.layers.low_run import LowRun
from portable_nn.layers.parameter import BoxArrays, Parameter, State, Transposed
from portable_nn.layers.run import Arrays, Run

__all__ = ["Alone"]


class Alone:
    """What a layer does by itself with its two pure passes, which `Layer` declares."""

    parameters: dict[str, Parameter | Transposed]
    states: dict[str, State]
    place: Place | None
    grads: Arrays
    is_random: bool
    state_boxes: Callable[..., dict[str, State]]
    takes: Callable[[int], bool]
    kind_of_input: Callable[[int], str]
    check_values: Callable[..., None]
    output_shape: Callable[..., Any]
    forward_pass: Callable[..., tuple[Any, Any]]
    backward_pass: Callable[..., tuple[Any, Arrays]]
    differentiated: Callable[[int], tuple[int, ...]]
    is_wide: bool
    _saved: Any
    _stream: random.KeyStream

    def initialize(self, place: Place, seed: int, path: str = "", default: Initializer | None = None) -> None:
        """Draw the parameters that have no value yet at `place`, a function of seed and path; let states begin."""
        self.place = place
        self._stream = random.KeyStream(seed)
        for name, parameter in self.parameters.items():
            if isinstance(parameter, Parameter):
                parameter.initialize(place, random.generator(seed, "weights", path + name), default or glorot_uniform())
        for state in self.states.values():
            state.initialize(place)

    def initialize_if_asked(self, xp: str | Namespace | None, device: Any, dtype: str, seed: int | None) -> Self:
        """Draw the parameters now if a namespace or a seed was given to the constructor; else leave it to a network."""
        if xp is not None or seed is not None:
            place = Place("numpy" if xp is None else xp, device, dtype)
            self.initialize(place, random.checked_seed(seed))
        return self

    @property
    def params(self) -> BoxArrays:
        """The arrays of the parameters by name; assigning replaces them."""
        place = self._placed()
        return BoxArrays({n: p for n, p in self.parameters.items() if isinstance(p, Parameter)}, place)

    def pass_arrays(self) -> Arrays:
        """Return the parameters as the passes take them: transposed where they are shared as a transpose."""
        if self.parameters or self.states:
            self._placed()
        for name, shared in self.parameters.items():
            if isinstance(shared, Transposed) and shared.parameter.value is None:
                raise ValueError(
                    f"{self} shares {name} with a layer that is not initialized yet: put both in a network"
                )
        return {
            name: p.parameter.value.T if isinstance(p, Transposed) else p.value for name, p in self.parameters.items()
        }

    def forward(self, *inputs: Array, training: bool = True) -> Any:
        """Return y; in training, remember what `backward` needs, and write the states.

        y is of the data type in which the layer's place computes.

        Raises
        ------
        ShapeError, DTypeError, NamespaceError, TypeError, ValueError
            If the inputs, or their number, do not fit the layer; nothing is changed then.
        """
        if not self.takes(len(inputs)):
            raise TypeError(f"{self} does not take {len(inputs)} input{'s' * (len(inputs) != 1)}")
        inputs = tuple(as_array(x, "x") for x in inputs)
        here = None if self.parameters else place_of(inputs[0])
        place = here if here is not None and not self.states else self._placed(here)
        arrays = [checked_input(x, place, self, self.kind_of_input(i)) for i, x in enumerate(inputs)]
        self.output_shape(*(x.shape for x in arrays))
        layer: Any = self
        check_values(layer, arrays)
        key = self._stream.next() if training and self.is_random else None
        run, params = Run(place, training=training, key=key), self.pass_arrays()
        if place.is_mixed:
            run = LowRun(run)
            params, arrays = run.narrow_all(params), run.narrow_inputs(self, arrays)
        y, saved = run.forward(self, params, *arrays)
        for state, value in run.changed.items():
            state.value = copies([value])[0]  # it may be memory of x
        if training:
            self._saved = (place, saved, [part.shape for part in as_tuple(y)])
        return y

    def backward(self, *douts: Array) -> Any:
        """Return dx for the last `forward`, a tuple for several inputs, and set `grads`.

        Raises
        ------
        RuntimeError
            If there was no `forward` in training.
        ShapeError
            If a derivative has another shape than its output had.
        """
        if self._saved is None:
            raise RuntimeError(f"{self} needs a forward pass in training before backward")
        place, saved, shapes = self._saved
        arrays = [move(as_array(dy, "dy"), place, name="dy") for dy in douts]
        if [dy.shape for dy in arrays] != shapes:
            needed, got = (", ".join(map(str, s)) for s in (shapes, [dy.shape for dy in arrays]))
            raise ShapeError(f"{self} needs dy of shape {needed}, as y had, got {got}")
        run, params = Run(place, training=True), self.pass_arrays()
        if place.is_mixed:
            run = LowRun(run)
            dx, grads = run.backward(self, run.narrow_all(params), saved, *map(run.narrow, arrays))
            self.grads = run.widen_all(grads)
        else:
            dx, self.grads = self.backward_pass(run, params, saved, *arrays)
        return dx

    def _placed(self, default: Place | None = None) -> Place:
        if self.place is None:
            shared = [p.parameter if isinstance(p, Transposed) else p for p in self.parameters.values()]
            values = [box.value for box in (*shared, *self.states.values()) if box.value is not None]
            self.initialize(place_of(values[0]) if values else default or Place(), random.fresh_seed())
        assert self.place is not None
        return self.place
