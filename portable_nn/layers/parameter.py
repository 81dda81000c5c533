"""Parameters and states: boxes that hold one array each, so that layers can share it whatever array is in it."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, ClassVar, Self

from portable_nn.arrays import Array, Place, as_array, move, to_numpy
from portable_nn.errors import ShapeError
from portable_nn.initializers import Initializer
from portable_nn.kernels import kernels_for

__all__ = ["Box", "BoxArrays", "Parameter", "State", "Transposed"]


class Box:
    """What holds one array of a layer."""

    what: ClassVar[str]
    """What errors call it."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = tuple(shape)
        self.value: Any = None
        self.provisional = False

    def _like(self) -> Self:
        """Return a box like this one, without a value."""
        raise NotImplementedError

    def at(self, place: Place) -> Self:
        """Return a box like this one at `place`."""
        box = self._like()
        if self.value is not None:
            box.value = laid_out(place.asarray(to_numpy(self.value)), place)
        return box

    def set(self, value: Array, place: Place, name: str) -> None:
        """Replace the value by a copy at `place`.

        Raises
        ------
        ShapeError
            If `value` has another shape than the box.
        """
        moved = move(as_array(value, name), place, name=name)
        if moved.shape != self.shape:
            raise ShapeError(f"{self.what} {name} needs shape {self.shape}, got {moved.shape}")
        self.value = laid_out(moved, place)
        self.provisional = False


class Parameter(Box):
    """One trainable array of a layer. Layers that hold the same Parameter share it; equal values mean nothing.

    Parameters
    ----------
    shape : tuple of int
    initializer : callable, optional
        Draws the first value; without one, the layer that follows decides.

    Attributes
    ----------
    value : array or None
        None until `initialize` or `set` gave it one.
    trainable : bool
        Whether training changes it.
    provisional : bool
        Whether it was drawn before anybody had asked for a value: a network of which its layer becomes a part draws it
        anew.
    """

    what = "parameter"

    def __init__(self, shape: tuple[int, ...], initializer: Initializer | None = None):
        if initializer is not None and not callable(initializer):
            raise TypeError(
                f"an initializer needs to be a function of a generator and a shape, got {initializer!r}: write "
                "pnn.initializers.he_normal(), say"
            )
        super().__init__(shape)
        self.initializer = initializer
        self.trainable = True

    @property
    def T(self) -> "Transposed":
        """The parameter transposed, to be given to another layer."""
        return Transposed(self)

    def initialize(self, place: Place, rng: Any, default: Initializer) -> None:
        """Draw a value at `place`, unless there is one.

        Raises
        ------
        ShapeError
            If an initializer returns another shape.
        """
        if self.value is None:
            value = place.asarray((self.initializer or default)(rng, self.shape))
            if value.shape != self.shape:
                raise ShapeError(f"an initializer was asked for shape {self.shape}, and returned {tuple(value.shape)}")
            self.value = laid_out(value, place)

    def _like(self) -> Self:
        parameter = type(self)(self.shape, self.initializer)
        parameter.trainable = self.trainable
        return parameter


class State(Box):
    """One array of a layer that passes change and no gradient does, such as a running mean: see `Run.update`.

    It has the floating data type of its layer's place, is saved, moved and copied with the parameters, and begins anew
    with them. Freezing a layer does not stop it.

    Parameters
    ----------
    shape : tuple of int
    initial : float
        What all its elements are at first.

    Attributes
    ----------
    value : array or None
        None until there is a place for it.
    provisional : bool
        As of a Parameter.
    """

    what = "state"

    def __init__(self, shape: tuple[int, ...], initial: float = 0.0):
        super().__init__(shape)
        self.initial = float(initial)

    def initialize(self, place: Place) -> None:
        """Make the first value at `place`, unless there is one."""
        if self.value is None:
            self.value = laid_out(self.first(place), place)

    def first(self, place: Place) -> Any:
        """Return what a first value at `place` is."""
        return place.xp.full(self.shape, self.initial, dtype=place.dtype, device=place.device)

    def _like(self) -> Self:
        return type(self)(self.shape, self.initial)


def laid_out(value: Array, place: Place) -> Any:
    """Return a copy of `value`, in memory as suits the kernels of the place."""
    return kernels_for(place.xp).pack([value])[1][0]


class Transposed:
    """A parameter (I, O) as another layer uses it: (O, I)."""

    def __init__(self, parameter: Parameter):
        if len(parameter.shape) != 2:
            raise ShapeError(f"only a matrix has a transpose, got a parameter of shape {parameter.shape}")
        self.parameter = parameter

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the transpose."""
        return self.parameter.shape[::-1]


class BoxArrays(MutableMapping[str, Any]):
    """Boxes by name, seen as their arrays; assigning writes through to the layers that share the box."""

    def __init__(self, boxes: Mapping[str, Box], place: Place, what: str = "parameter"):
        self._boxes, self._place, self._what = boxes, place, what

    def __getitem__(self, name: str) -> Any:
        return self._boxes[name].value

    def __setitem__(self, name: str, value: Array) -> None:
        if name not in self._boxes:
            raise KeyError(f"there is no {self._what} {name!r}; there are {', '.join(self._boxes) or 'none'}")
        self._boxes[name].set(value, self._place, name)

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"a {self._what} cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._boxes)

    def __len__(self) -> int:
        return len(self._boxes)

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name}: {box.shape}' for name, box in self._boxes.items())}}}"
