"""Parameters: boxes that hold one array each, so that layers can share it whatever array is in it."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from portable_nn.arrays import Array, Place, move, to_numpy
from portable_nn.errors import ShapeError
from portable_nn.initializers import Initializer
from portable_nn.kernels import kernels_for

__all__ = ["Parameter", "ParameterArrays", "Transposed"]


class Parameter:
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

    def __init__(self, shape: tuple[int, ...], initializer: Initializer | None = None):
        if initializer is not None and not callable(initializer):
            raise TypeError(
                f"an initializer needs to be a function of a generator and a shape, got {initializer!r}: write "
                "pnn.initializers.he_normal(), say"
            )
        self.shape = tuple(shape)
        self.initializer = initializer
        self.value: Any = None
        self.trainable = True
        self.provisional = False

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

    def at(self, place: Place) -> "Parameter":
        """Return a parameter like this one at `place`."""
        parameter = Parameter(self.shape, self.initializer)
        parameter.trainable = self.trainable
        if self.value is not None:
            parameter.value = laid_out(place.asarray(to_numpy(self.value)), place)
        return parameter

    def set(self, value: Array, place: Place, name: str) -> None:
        """Replace the value by a copy at `place`.

        Raises
        ------
        ShapeError
            If `value` has another shape than the parameter.
        """
        moved = move(value, place, name=name)
        if moved.shape != self.shape:
            raise ShapeError(f"parameter {name} needs shape {self.shape}, got {moved.shape}")
        self.value = laid_out(moved, place)
        self.provisional = False


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


class ParameterArrays(MutableMapping[str, Any]):
    """Parameters by name, seen as their arrays; assigning writes through to the layers that share the parameter."""

    def __init__(self, parameters: dict[str, Parameter], place: Place):
        self._parameters = parameters
        self._place = place

    def __getitem__(self, name: str) -> Any:
        return self._parameters[name].value

    def __setitem__(self, name: str, value: Array) -> None:
        if name not in self._parameters:
            raise KeyError(f"there is no parameter {name!r}; there are {', '.join(self._parameters)}")
        self._parameters[name].set(value, self._place, name)

    def __delitem__(self, name: str) -> None:
        raise TypeError("a parameter cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name}: {p.shape}' for name, p in self._parameters.items())}}}"
