"""What every layer is: parameters, states, a forward pass and its backward pass.

The two passes are pure: they take the arrays they need and return what they found. That is how a network runs them,
from several threads or under a compiler alike. `forward` and `backward`, for a layer that stands alone, remember in
between (`layers.alone`).
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from portable_nn import random
from portable_nn.arrays import Place
from portable_nn.initializers import Initializer
from portable_nn.kernels import is_recordable
from portable_nn.layers.alone import Alone
from portable_nn.layers.inputs import UNCAST
from portable_nn.layers.padding import Axes
from portable_nn.layers.parameter import Parameter, State, Transposed
from portable_nn.layers.run import Arrays, Run

__all__ = ["Arrays", "Layer", "Run", "describe"]


class Layer(Alone):
    """A function of an array with parameters, and its derivative.

    A layer of your own overrides `forward_pass` and `backward_pass`, declares its parameters in `self.parameters`, and
    overrides `output_shape` where it changes or restricts shapes. Arrays that its passes change by `run.update`, as
    running means, are declared in `self.states`. `options` names the constructor arguments that a
    saved network must remember; each is an attribute of the same name.

    In a plan, a layer of your own is one call of its pass, made anew with real arrays at every step. A class whose
    passes call the same kernels in the same order whatever the data, and compute with nothing else but arrays, may say
    `recordable = True` in its own body: then its kernels become part of the plan, and JAX compiles it.
    `testing.check_layer` tests that.

    A class of your own may say `positionwise = True` in its own body: what y has at a position along any axes but the
    last follows from what the inputs have there, and from parameters. Then batches of many lengths are padded to a few
    (`Trainer`'s `pad`). One that does other things to axes overrides `padded_axes` instead.
    """

    options: ClassVar[tuple[str, ...]] = ()
    output_count: int = 1
    constants: tuple[int, ...] = ()
    """The positions of inputs without a derivative, such as labels: `backward_pass` leaves them out."""
    input_kinds: tuple[str, ...] = ("real floating",)
    """What each input is, the last entry standing for all further ones: "real floating", to which anything is cast;
    "integral" or "bool", which come uncast and have no derivative; or "any", as the output is, for what only moves
    elements."""
    is_wide: bool = False
    """Whether the passes get and give float32 where the network computes in a lower precision, as those of losses."""
    is_random: bool = False
    """Whether the training pass draws random numbers."""
    weights_before: ClassVar[Initializer | None] = None
    """What initializes the weights of the layer before this one, if nothing else is said; None: ask the next layer."""

    def __init__(self) -> None:
        self.parameters: dict[str, Parameter | Transposed] = {}
        self.states: dict[str, State] = {}
        self.place: Place | None = None
        self.grads: Arrays = {}
        self._saved: Any = None
        self._told: list[list[int]] = []
        self._stream = random.KeyStream(0)

    def tell(self, changes: list[int]) -> None:
        """Count in `changes` from now on how often an option is replaced: plans made before may be wrong then.

        Opaque layers do not count: their passes are called anew in every plan.
        """
        self._told.append(changes)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ and not name.startswith("_") and name not in ("grads", "place"):
            for changes in self._told if is_recordable(type(self)) else ():
                changes[0] += 1
        super().__setattr__(name, value)

    # What a layer does: pure, overridden by every layer with as many inputs and outputs as it has. (Type checkers take
    # `*inputs: Any, **_: Any` for "whatever the override says".)

    def forward_pass(self, run: Run, params: Arrays, *inputs: Any, **_: Any) -> tuple[Any, Any]:
        """Return y, a tuple for several outputs, and whatever the backward pass needs."""
        raise NotImplementedError

    def backward_pass(self, run: Run, params: Arrays, saved: Any, *douts: Any, **_: Any) -> tuple[Any, Arrays]:
        """Return dx, a tuple for several inputs, and the gradients of the parameters by name.

        `douts` are the derivatives by each output, `saved` what the forward pass saved.
        """
        raise NotImplementedError

    def output_shape(self, *shapes: Any, **_: Any) -> Any:
        """Return the shape of y, a tuple of shapes for several outputs, for inputs of `shapes`, batch axis first.

        Raises
        ------
        ShapeError
            If the layer cannot take inputs of these shapes.
        """
        (shape,) = shapes
        return shape

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of y (of all outputs) that are padded where those of the inputs are; () for none.

        None, if the padding would be seen in the rest of y, or in a gradient. A layer that leaves out of y, and of its
        gradients, what `run.mask` says is padding returns what then holds: () for the mean over the axis.

        Parameters
        ----------
        axes : sequence of tuple of int
            For each input the axis, counted from the front, behind whose real positions are others; () for none.
        shapes : sequence of tuple of int
            Of the inputs.
        """
        return None

    def boxes(self) -> dict[str, Parameter | Transposed]:
        """Return what holds each array that the passes take: the parameters by name, those of layers within by path."""
        return self.parameters

    def state_boxes(self) -> dict[str, State]:
        """Return what holds each state, as `boxes` does."""
        return self.states

    def leaves(self, path: str) -> Iterator[tuple[str, "Layer"]]:
        """Yield the layers that this one at `path` consists of, each with its own path: itself, or those within it."""
        yield path, self

    def kind_of_input(self, position: int) -> str:
        """Return the kind of the input at a position."""
        return self.input_kinds[min(position, len(self.input_kinds) - 1)]

    def differentiated(self, count: int) -> tuple[int, ...]:
        """Return the positions of the inputs, `count` in all, by which `backward_pass` returns derivatives."""
        return tuple(i for i in range(count) if i not in self.constants and self.kind_of_input(i) not in UNCAST)

    def check_values(self, *inputs: Any) -> None:
        """Raise ValueError if the layer cannot take the whole numbers or booleans at hand; does nothing by default.

        Each input is a NumPy array that is not empty, or None: on a device, or of another kind, none is looked at.
        """

    def takes(self, count: int) -> bool:
        """Tell whether the layer takes `count` inputs."""
        try:
            inspect.signature(self.forward_pass).bind(None, None, *range(count))
        except TypeError:
            return False
        return count > 0

    def input_shape(self) -> tuple[int, ...] | None:
        """Return the shape of one sample, where the layer's parameters fix it."""
        return None

    def __call__(self, *nodes: Any, name: str | None = None) -> Any:
        """Apply the layer to nodes of a graph: return the node of its output, a tuple of nodes for several.

        Raises
        ------
        TypeError
            If there is no node, or something else than a node.
        """
        if not nodes or not all(hasattr(node, "graph") for node in nodes):
            got = ", ".join(type(node).__name__ for node in nodes) or "nothing"
            raise TypeError(
                f"{self} is called on the nodes of a graph, got {got}: "
                "use .forward(x) for an array, or a network, pnn.Sequential(...).predict(x)"
            )
        return nodes[0].graph.apply(self, nodes, name)

    def config(self) -> dict[str, Any]:
        """Return the constructor arguments that make a layer like this one: numbers, strings, lists and booleans."""
        return {name: getattr(self, name) for name in self.options}

    def __getstate__(self) -> dict[str, Any]:
        # A copy, pickled or not, starts without what the last pass left behind.
        return self.__dict__ | {"_saved": None, "grads": {}}

    def __repr__(self) -> str:
        return describe(type(self), self.config())


def describe(kind: type, config: dict[str, Any]) -> str:
    """Return the call that makes a layer or loss of a class, without arguments that have their default value."""
    arguments: list[str] = []
    signature = inspect.signature(kind)
    for name, value in config.items():
        default = signature.parameters[name].default
        if default is inspect.Parameter.empty:
            arguments.append(repr(value))
        elif value != default:
            arguments.append(f"{name}={value!r}")
    return f"{kind.__name__}({', '.join(arguments)})"
