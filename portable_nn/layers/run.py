"""One way through a network, and how it calls a layer's passes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

from portable_nn import random
from portable_nn.arrays import Place, is_array, to_numpy
from portable_nn.errors import DTypeError, ShapeError
from portable_nn.kernels import Kernels, Recorder, kernels_at
from portable_nn.layers.parameter import State

__all__ = ["Arrays", "Passes", "Run", "check_gradients"]

Arrays: TypeAlias = dict[str, Any]
"""The arrays of a layer's parameters, or their gradients, by name."""

_NONE: Mapping[Any, Any] = {}


class Passes(Protocol):
    """What a run calls of a layer, and asks it."""

    is_wide: bool

    @property
    def forward_pass(self) -> Callable[..., tuple[Any, Any]]:
        """The function of the run, parameters and inputs to the output and what the backward pass needs."""
        ...

    @property
    def backward_pass(self) -> Callable[..., tuple[Any, Arrays]]:
        """The function of the run, parameters, what was saved and derivatives to derivatives and gradients."""
        ...

    @property
    def state_boxes(self) -> Callable[[], dict[str, State]]:
        """The function to what holds each state."""
        ...


class _Gradient(Protocol):
    @property
    def gradient(self) -> Callable[..., Any]: ...


class Run:
    """One way through a network: where, with which kernels, in training or not, and with which random key.

    Parameters
    ----------
    place : Place
    kernels : Kernels, optional
        The place's own by default.
    training : bool
        Whether layers such as Dropout act.
    key : Key, optional
        Decides the dropout masks; needed in training by layers whose `is_random` is true. It may say that x has only
        some rows of a batch: then their masks are these rows of the batch's. A layer that draws otherwise than by
        `kernels.dropout_mask` finds the first row's number in `first_row`.

    Attributes
    ----------
    mask : boolean array of shape (N, T), or None
        Which positions along axis 1 of a layer's input are real; None if all are, or there is no such axis any more.
    changed : dict of State to array
        What passes have made of states so far. Nothing is written to them: that is for whoever began the run.
    """

    mask: Any = None
    outputs: Any = None
    """Of the network, after its training pass."""

    def __init__(
        self, place: Place, kernels: Kernels | None = None, *, training: bool = False, key: random.Key | None = None
    ):
        self.place, self.training = place, training
        self.kernels = kernels_at(place) if kernels is None else kernels
        self._mask: Any = None
        self._masked: frozenset[int] = frozenset()
        self._key, self._draws = key, 0
        self.changed: dict[State, Any] = {}
        self._given: Mapping[State, Any] = _NONE
        self._own: Mapping[str, State] = _NONE
        self._constants: dict[tuple[float, ...], Any] = {}

    def heed(self, mask: Any, layers: frozenset[int]) -> None:
        """Show a mask of positions, or none any more, to the layers of these identities."""
        self._mask, self._masked, self.mask = mask, layers, None

    def next_key(self) -> tuple[random.Key, int]:
        """Return the run's key and a number that no other draw of this run gets.

        Raises
        ------
        ValueError
            Outside training, and if the layer does not say `is_random = True`.
        """
        if self._key is None:
            raise ValueError(
                "a training run through a random layer needs a key: a layer that draws says is_random = True, and "
                "draws in training only"
            )
        self._draws += 1
        return self._key, self._draws

    @property
    def first_row(self) -> int:
        """The number of the first row at hand in its batch: 0, unless the batch is computed in micro-batches.

        A 0-d array while a step is being traced.
        """
        return 0 if self._key is None or len(self._key) == 2 else self._key[2]

    def constant(self, numbers: Any) -> Any:
        """Return numbers that a layer was made with as an array at the run's place."""
        place, key = self.place, _as_key(numbers)
        if key in self._constants:
            return self._constants[key]
        array = place.xp.asarray(numbers, dtype=place.dtype, device=place.device)
        array = self.kernels.constant(array) if isinstance(self.kernels, Recorder) else array
        if key:  # a copy to a device once a run, not once a batch
            self._constants[key] = array
        return array

    # States. They belong to the layer whose forward pass `forward` calls.

    @property
    def states(self) -> Mapping[str, Any]:
        """The arrays of the layer's states by name, as they are now; in its forward pass alone."""
        return _States((name, self.state(box)) for name, box in self._own.items())

    def update(self, name: str, value: Any) -> None:
        """Make an array, which the layer does not change afterwards, the value of its state `name` from now on.

        Outside training it does nothing. In training, the state gets its value when the step's weights get theirs.

        Raises
        ------
        KeyError
            If there is no such state.
        ShapeError, DTypeError
            If the state has another shape, or the run another data type.
        """
        state = self._own.get(name) or self.states[name]
        if not self.training:
            return
        # Asked so that torch can compile it.
        array = value if hasattr(value, "dtype") else self.constant(value)
        if tuple(array.shape) != state.shape:
            raise ShapeError(f"the state {name} needs shape {state.shape}, got {tuple(array.shape)}")
        kept = self.place.keeping
        if array.dtype != kept.dtype:
            if array.dtype != self.place.dtype:
                raise DTypeError(f"the state {name} needs dtype {kept.dtype}, got {array.dtype}")
            array = self.kernels.as_floating(array, kept.dtype_name)
        self.changed[state] = array

    def state(self, box: State) -> Any:
        """Return the value that a state has in this run now."""
        value = self.changed.get(box, self._given.get(box))
        if value is not None:
            return value
        place = self.place.keeping
        if box.value is None:
            return box.first(place)
        return box.value if place.is_ready(box.value) else place.asarray(to_numpy(box.value))

    def begin(self, states: Iterable[State], arrays: Sequence[Any]) -> None:
        """Let these states have these values, and count as unchanged; those that none is given for have their own."""
        self._given, self.changed = dict(zip(states, arrays, strict=False)), {}

    # How networks call the passes: code that nobody has declared recordable stays one opaque call of a plan.

    def forward(self, layer: Passes, params: Arrays, *inputs: Any) -> tuple[Any, Any]:
        """Return what the layer's forward pass returns."""
        kernels, own = self.kernels, vars(layer).get("states")  # what a network has is its layers'
        if self._mask is not None:
            self.mask = self._mask if id(layer) in self._masked else None
        if isinstance(kernels, Recorder) and not kernels.records(type(layer)):
            return self._opaque_forward(kernels, layer, params, inputs)
        if not own:
            return layer.forward_pass(self, params, *inputs)
        outer, self._own = self._own, own
        try:
            return layer.forward_pass(self, params, *inputs)
        finally:
            self._own = outer

    def _opaque_forward(
        self, recorder: Recorder, layer: Passes, params: Arrays, inputs: tuple[Any, ...]
    ) -> tuple[Any, Any]:
        """Return what the forward pass returns; states are arguments and results of the call, like all arrays."""
        names, boxes = list(params), list(dict.fromkeys(layer.state_boxes().values()))
        count = len(boxes)

        def forward(run: Run, *arrays: Any) -> tuple[Any, Any]:
            run.begin(boxes, arrays[:count])
            params, *inputs = _parted(names, arrays[count:])
            y, saved = run.forward(layer, params, *inputs)
            return (run.arrays(y), tuple(map(run.state, boxes))), saved

        arguments = (*map(self.state, boxes), *params.values(), *inputs)
        (y, states), saved = self._opaque(recorder, layer, forward, arguments, keeps=True)
        if self.training:
            self.changed.update(zip(boxes, states, strict=True))
        return y, saved

    def backward(self, layer: Passes, params: Arrays, saved: Any, *douts: Any) -> tuple[Any, Arrays]:
        """Return what the layer's backward pass returns."""
        kernels = self.kernels
        if self._mask is not None:
            self.mask = self._mask if id(layer) in self._masked else None
        if not isinstance(kernels, Recorder) or kernels.records(type(layer)):
            return layer.backward_pass(self, params, saved, *douts)
        names = list(params)

        def backward(run: Run, saved: Any, *arrays: Any) -> tuple[Any, Any]:
            params, *douts = _parted(names, arrays)
            dx, grads = layer.backward_pass(run, params, saved, *douts)
            found = {name: run.arrays(grads[name]) for name in names if name in grads}
            check_gradients(type(layer).__name__, params, found)
            return run.arrays(dx), tuple(found.values())

        dx, grads = self._opaque(kernels, layer, backward, (saved, *params.values(), *douts), keeps=False)
        return dx, dict(zip(names, grads, strict=True))

    def gradient(self, loss: _Gradient, saved: Any, *dout: Any) -> Any:
        """Return what the loss's gradient is, for a derivative `dout` by the loss if it is not 1."""
        kernels = self.kernels
        if not isinstance(kernels, Recorder) or kernels.records(type(loss)):
            return loss.gradient(self, saved, *dout)

        def gradient(run: Run, saved: Any, *dout: Any) -> Any:
            return run.arrays(loss.gradient(run, saved, *dout))

        return self._opaque(kernels, loss, gradient, (saved, *dout), keeps=False)

    def arrays(self, tree: Any) -> Any:
        """Return an array, or a tuple of them, with arrays in the place of numbers."""
        if isinstance(tree, tuple):
            return tuple(self.arrays(part) for part in cast("tuple[Any, ...]", tree))
        return tree if tree is None or is_array(tree) else self.place.asarray(tree)

    def _opaque(
        self,
        recorder: Recorder,
        owner: object,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        *,
        keeps: bool,
    ) -> Any:
        place, training, first, drawn = self.place, self.training, self._draws, [self._draws]

        def call(key: random.Key | None, mask: Any, *arguments: Any) -> Any:
            run = Run(place, recorder_kernels, training=training, key=key)
            run.mask = mask
            run._draws = first
            result = function(run, *arguments)
            drawn[0] = run._draws
            return result

        recorder_kernels = recorder.kernels
        name = f"{type(owner).__name__}_{function.__name__}"
        result = recorder.opaque(name, call, (self._key, self.mask, *arguments), keeps=keeps)
        self._draws = drawn[0]
        return result


class _States(dict[str, Any]):
    """States by name, with an error that tells which there are."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(
            f"there is no state {name!r} here; there are {', '.join(self) or 'none'}. States are known in the forward "
            "pass, called by run.forward(layer, params, x): it keeps what the backward pass needs of them"
        )


def _as_key(numbers: Any) -> tuple[float, ...]:
    """Return a list of floats as what can be looked up; nothing for anything else."""
    listed = cast("list[Any]", numbers) if isinstance(numbers, list) else []
    return tuple(listed) if all(type(number) is float for number in listed) else ()


def check_gradients(owner: str, params: Arrays, grads: Arrays) -> None:
    """Raise ShapeError, in which `owner` is named, unless there is a gradient for each parameter, in its shape."""
    for name, parameter in params.items():
        if name not in grads:
            came = f"none, but for {', '.join(grads) or 'none'}"
        elif grads[name].shape != parameter.shape:
            came = f"shape {tuple(grads[name].shape)}"
        else:
            continue
        raise ShapeError(f"{owner} needs a gradient of shape {tuple(parameter.shape)} for {name}, got {came}")


def _parted(names: list[str], arrays: tuple[Any, ...]) -> list[Any]:
    """Return the first of the arrays by name, and the others."""
    return [dict(zip(names, arrays, strict=False)), *arrays[len(names) :]]
