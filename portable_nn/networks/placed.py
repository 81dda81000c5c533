"""Layers made of layers that have a place, a seed, and the arrays of their parameters there."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

from portable_nn import random
from portable_nn.arrays import Namespace, Place, copies
from portable_nn.kernels import is_recordable, kernels_at
from portable_nn.layers import Parameter, Run, State
from portable_nn.layers.layer import Arrays
from portable_nn.layers.parameter import Box, BoxArrays
from portable_nn.layers.weights import common_place, draw
from portable_nn.networks.composite import Composite
from portable_nn.networks.parameter_sharing import ParameterSharing

__all__ = ["Placed"]


class _Unknown:
    """What a network has before its place is known; a `__getattr__` would make every attribute take longer."""

    def __get__(self, network: Any, kind: type[Any]) -> Any:
        raise ValueError(network._incomplete or "the graph has no output yet: call output(node)")


class Placed(Composite):
    """A layer made of layers, whose parameters it draws, names by path and moves.

    As a layer of another, it leaves that to the other.

    Parameters
    ----------
    seed, xp, device, dtype : optional
        As in `Network`.
    is_settled : bool
        Whether the first values of the parameters are wanted as they are drawn here.
    """

    _place: Any = _Unknown()

    def __init__(
        self,
        *,
        seed: int | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str | None = None,
        is_settled: bool = False,
    ):
        super().__init__()
        self._changes = [0]
        self._incomplete = ""
        """Why this works within another only."""
        self._asked: tuple[Any, ...] = (xp, device, dtype)
        self._is_settled = is_settled or any(option is not None for option in (seed, *self._asked))
        self.seed = random.checked_seed(seed)
        self.stream = random.KeyStream(self.seed)
        self.sharing = ParameterSharing({}, {})
        self.is_known = False
        """Whether all layers count what changes in them."""

    def complete(self) -> None:
        """Make the network of its layers: find its place, and draw what has no value yet.

        Raises
        ------
        NamespaceError
            If layers with parameters live elsewhere than the others or than asked for.
        ValueError
            If a layer shares a parameter with a layer outside the network.
        """
        super().complete()
        self._forget_provisional()
        leaves = dict(self.leaves())
        try:
            self.sharing = ParameterSharing(self.boxes(), self.state_boxes())
        except ValueError as error:
            if self._is_settled:
                raise
            self._incomplete = f"{self} works within another network only: {error}"
            return
        place, self._asked = common_place(leaves, *self._asked), ()  # a device cannot be copied in every library
        self.tell(self._changes)
        self.is_known = all(is_recordable(type(layer)) for layer in leaves.values())
        undrawn = [box for box in self.sharing.boxes if box.value is None]
        draw(leaves, place, self.seed)
        self._settle(place)
        for box in undrawn:
            box.provisional = not self._is_settled

    def _forget_provisional(self) -> None:
        """Leave what networks within have drawn for nobody to be drawn by this one."""
        for _, layer in self.leaves():
            own = (*layer.boxes().values(), *layer.state_boxes().values())
            boxes = [box for box in own if isinstance(box, Box)]
            for box in boxes:
                box.value = None if box.provisional else box.value
            if boxes and all(box.value is None for box in boxes):
                layer.place = None

    def _settle(self, place: Place) -> None:
        """Take note of where all parameters are, in the networks within, too."""
        if not self._incomplete:
            self._place = place
        for layer in self.layers:
            if isinstance(layer, Placed):
                layer._settle(place)
            else:
                layer.place = place

    @property
    def parameters(self) -> BoxArrays:  # pyright: ignore[reportIncompatibleVariableOverride]  (arrays, by path)
        """The arrays of all parameters by name, in order; assigning replaces them, in all layers that share them."""
        return BoxArrays(self.sharing.parameters, self._place)

    @property
    def states(self) -> BoxArrays:  # pyright: ignore[reportIncompatibleVariableOverride]  (arrays, by path)
        """The arrays of all states by name, such as "1.mean"; assigning replaces them."""
        return BoxArrays(self.sharing.states, self._place, "state")

    def freeze(self, *names: str) -> None:
        """Keep parameters as they are in training: those of the names given, or of layers so named; else all.

        Raises KeyError if there is no such parameter or layer.
        """
        for parameter in self._named(names):
            parameter.trainable = False

    def unfreeze(self, *names: str) -> None:
        """Undo `freeze`."""
        for parameter in self._named(names):
            parameter.trainable = True

    def _named(self, names: Sequence[str]) -> list[Parameter]:
        return self.sharing.named(names, [path for path, _ in self.leaves()])

    # A layer is told where its parameters are to be, and their path; a network knows, hence the other arguments.
    def initialize(self, seed: int | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Draw all parameters anew, from `seed` or else the network's own; start states and dropout masks over."""
        self.seed = self.seed if seed is None else random.checked_seed(seed)
        self.stream = random.KeyStream(self.seed)
        for box in self.sharing.boxes:
            box.value = None
        draw(dict(self.leaves()), self._place, self.seed)

    def to(self, xp: str | Namespace | None = None, *, device: Any = None, dtype: str | None = None) -> Self:
        """Return a copy of the network elsewhere: same structure, parameters, states, ties and seed.

        Parameters
        ----------
        xp, device, dtype : optional
            By default the same, but the default device of another namespace, and float32 where that does not compute
            in the network's float16 or bfloat16. Parameters are in float32 anyway.

        Raises
        ------
        MissingExtraError, BackendError, NamespaceError, DTypeError
            If there is no such place.
        """
        if xp is None:
            xp, device = self._place.xp, self._place.device if device is None else device
        place = Place(xp, device, dtype) if dtype else Place.of_precision(xp, device, self._place.precision)
        memo: dict[int, Any] = {id(box): box.at(place) for box in self.sharing.boxes}
        network = copy.deepcopy(self, memo)
        network._settle(place)
        return network

    def run(self, *, training: bool = False) -> Run:
        """Return a run at the network's place; in training with the next random key, if a layer needs one."""
        key = self.next_key() if training and self.is_random else None
        return Run(self._place, kernels_at(self._place), training=training, key=key)

    def next_key(self) -> random.Key:
        """Return the random key of the next training pass."""
        return self.stream.next()

    def arrays(self) -> list[Any]:
        """Return the arrays of all parameters, and after them those of all states."""
        return [box.value for box in self.sharing.boxes]

    def set_arrays(self, arrays: Sequence[Any]) -> None:
        """Put arrays in the place of those that `arrays` returns: same order, shapes and place."""
        for box, value in zip(self.sharing.boxes, arrays, strict=True):
            box.value = value
            box.provisional = False

    def write_states(self, changed: Mapping[State, Any]) -> None:
        """Make copies of what passes have made of states their values."""
        for state, value in changed.items():
            state.value = copies([value])[0]  # it may be memory of the inputs

    def trainable(self) -> dict[str, int]:
        """Return the names of the parameters that are not frozen, with their positions in `arrays`."""
        return {name: i for i, (name, p) in enumerate(self.sharing.parameters.items()) if p.trainable}

    def pass_arrays(self) -> Arrays:
        """Return the parameters by path, as the passes take them."""
        params = [parameter.value for parameter in self.sharing.parameters.values()]
        return self.sharing.by_path(kernels_at(self._place), params)

    @property
    def place(self) -> Place:  # pyright: ignore[reportIncompatibleVariableOverride]  (known as soon as it is whole)
        """Where the network's arrays live."""
        return self._place
