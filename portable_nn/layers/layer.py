"""What every layer is: parameters, states, a forward pass and its backward pass.

The two passes are pure: they take the arrays they need and return what they found. That is how a network runs them,
from several threads or under a compiler alike. `forward` and `backward`, for a layer that stands alone, remember in
between.
"""

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar, Self, TypeAlias, cast

from portable_nn import random
from portable_nn.arrays import FLOATING_DTYPES, Array, Namespace, Place, as_array, copies, device_of, move, namespace_of
from portable_nn.errors import DTypeError, ShapeError
from portable_nn.initializers import Initializer, glorot_uniform
from portable_nn.kernels import is_recordable
from portable_nn.layers.parameter import BoxArrays, Parameter, State, Transposed
from portable_nn.layers.run import Run

__all__ = ["Arrays", "Layer", "Run", "as_tuple", "checked_input", "describe", "place_of"]

Arrays: TypeAlias = dict[str, Any]
"""The arrays of a layer's parameters, or their gradients, by name."""


class Layer:
    """A function of an array with parameters, and its derivative.

    A layer of your own overrides `forward_pass` and `backward_pass`, declares its parameters in `self.parameters`, and
    overrides `output_shape` where it changes or restricts shapes. Arrays that its passes change by `run.update`, as
    running means, are declared in `self.states`. `options` names the constructor arguments that a
    saved network must remember; each is an attribute of the same name.

    In a plan, a layer of your own is one call of its pass, made anew with real arrays at every step. A class whose
    passes call the same kernels in the same order whatever the data, and compute with nothing else but arrays, may say
    `recordable = True` in its own body: then its kernels become part of the plan, and JAX compiles it.
    `testing.check_layer` tests that.
    """

    options: ClassVar[tuple[str, ...]] = ()
    output_count: int = 1
    constants: tuple[int, ...] = ()
    """The positions of inputs without a derivative, such as labels: `backward_pass` leaves them out."""
    is_random: bool = False
    """Whether the training pass draws random numbers."""
    weights_before: ClassVar[Initializer | None] = None
    """What initializes the weights of the layer before this one, if nothing else is said; None: ask the next layer."""

    def __init__(self) -> None:
        self.parameters: dict[str, Parameter | Transposed] = {}
        self.states: dict[str, State] = {}
        self.place: Place | None = None
        self.grads: Arrays = {}
        self._kept: Any = None
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

    def backward_pass(self, run: Run, params: Arrays, kept: Any, *douts: Any, **_: Any) -> tuple[Any, Arrays]:
        """Return dx, a tuple for several inputs, and the gradients of the parameters by name.

        `douts` are the derivatives by each output, `kept` what the forward pass kept.
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

    def boxes(self) -> dict[str, Parameter | Transposed]:
        """Return what holds each array that the passes take: the parameters by name, those of layers within by path."""
        return self.parameters

    def state_boxes(self) -> dict[str, State]:
        """Return what holds each state, as `boxes` does."""
        return self.states

    def leaves(self, path: str) -> Iterator[tuple[str, "Layer"]]:
        """Yield the layers that this one at `path` consists of, each with its own path: itself, or those within it."""
        yield path, self

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

    # A layer that stands alone.

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

        Raises
        ------
        ShapeError, DTypeError, NamespaceError, TypeError
            If the inputs, or their number, do not fit the layer; nothing is changed then.
        """
        if not self.takes(len(inputs)):
            raise TypeError(f"{self} does not take {len(inputs)} input{'s' * (len(inputs) != 1)}")
        inputs = tuple(as_array(x, "x") for x in inputs)
        here = None if self.parameters else place_of(inputs[0])
        place = here if here is not None and not self.states else self._placed(here)
        arrays = [checked_input(x, place, self) for x in inputs]
        self.output_shape(*(x.shape for x in arrays))
        key = self._stream.next() if training and self.is_random else None
        run = Run(place, training=training, key=key)
        y, kept = run.forward(self, self.pass_arrays(), *arrays)
        for state, value in run.changed.items():
            state.value = copies([value])[0]  # it may be memory of x
        if training:
            self._kept = (place, kept, [part.shape for part in as_tuple(y)])
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
        if self._kept is None:
            raise RuntimeError(f"{self} needs a forward pass in training before backward")
        place, kept, shapes = self._kept
        arrays = [move(dy, place, name="dy") for dy in douts]
        if [dy.shape for dy in arrays] != shapes:
            needed, got = (", ".join(map(str, s)) for s in (shapes, [dy.shape for dy in arrays]))
            raise ShapeError(f"{self} needs dy of shape {needed}, as y had, got {got}")
        dx, self.grads = self.backward_pass(Run(place, training=True), self.pass_arrays(), kept, *arrays)
        return dx

    def _placed(self, default: Place | None = None) -> Place:
        if self.place is None:
            shared = [p.parameter if isinstance(p, Transposed) else p for p in self.parameters.values()]
            values = [box.value for box in (*shared, *self.states.values()) if box.value is not None]
            self.initialize(place_of(values[0]) if values else default or Place(), random.fresh_seed())
        assert self.place is not None
        return self.place

    def config(self) -> dict[str, Any]:
        """Return the constructor arguments that make a layer like this one: numbers, strings, lists and booleans."""
        return {name: getattr(self, name) for name in self.options}

    def __getstate__(self) -> dict[str, Any]:
        # A copy, pickled or not, starts without what the last pass left behind.
        return self.__dict__ | {"_kept": None, "grads": {}}

    def __repr__(self) -> str:
        return describe(type(self), self.config())


def as_tuple(parts: Any) -> tuple[Any, ...]:
    """Return what a layer takes or gives, one array or a tuple of them, as a tuple."""
    return cast("tuple[Any, ...]", parts) if isinstance(parts, tuple) else (parts,)


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


def checked_input(x: Any, place: Place, owner: object) -> Any:
    """Return x at `place` in the place's data type; `owner` names itself in errors.

    Raises
    ------
    DTypeError
        If x is not numeric.
    NamespaceError
        If x is of another library, NumPy excepted.
    """
    xp = namespace_of(x)
    if not xp.isdtype(x.dtype, ("real floating", "integral", "bool")):
        raise DTypeError(f"{owner} needs x of real numbers, got dtype {x.dtype}")
    return move(x, place)


def place_of(x: Array) -> Place:
    """Return where x lies, with its data type, or the one to which a network would cast it."""
    xp = namespace_of(x)
    name = str(x.dtype).rpartition(".")[2]
    if name not in FLOATING_DTYPES:
        wide = xp.isdtype(x.dtype, "real floating") and x.dtype.itemsize >= 8  # such as big-endian numbers
        name = "float64" if wide else "float32"
    return Place(xp, device_of(x), name)
