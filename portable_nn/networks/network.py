"""What every network does, whatever its layout: predict, measure, differentiate, move."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

from portable_nn import random
from portable_nn.arrays import Array, Namespace, Place
from portable_nn.errors import NamespaceError
from portable_nn.kernels import kernels_for
from portable_nn.layers import Layer, Parameter, Run, Transposed
from portable_nn.layers.layer import Arrays, ParameterArrays, checked_input
from portable_nn.losses import Loss
from portable_nn.networks import files
from portable_nn.networks.summary import summary

__all__ = ["Network"]

Tape = Any
"""What a forward walk leaves for the backward walk."""


class Network:
    """Layers in some layout, their parameters by name, and a loss. `Sequential` is one.

    A layout overrides `forward_walk`, `backward_walk`, `output_shape` and `layout`.

    Parameters
    ----------
    layers : mapping of str to Layer
        Their names begin the names of their parameters. A layer may appear more than once.
    loss : Loss, optional
        Needed for training.
    seed : int, optional
        Decides the initial weights and the dropout masks; drawn, and kept in `seed`, where it is not given.
    xp, device, dtype : optional
        Where the parameters are made: NumPy and float32, unless the layers already have parameters.

    Attributes
    ----------
    notes : dict
        Anything else that a saved file shall remember, as JSON can say it.

    Raises
    ------
    NamespaceError
        If layers with parameters live elsewhere than the others or than asked for.
    ValueError
        If a layer shares a parameter with a layer outside the network.
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        *,
        loss: Loss | None = None,
        seed: int | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str | None = None,
    ):
        self.loss_function = loss
        self.seed = random.fresh_seed() if seed is None else seed
        self._layers = dict(layers)
        self._place = _common_place(self._layers, xp, device, dtype)
        self._parameters = _unique_parameters(self._layers)
        self.notes: dict[str, Any] = {}
        self._bindings = {name: _bindings(layer, self._parameters) for name, layer in self._layers.items()}
        self._stream = random.Stream(self.seed)
        self._output_shapes: dict[tuple[int, ...], tuple[int, ...]] = {}

    # What a layout brings.

    def forward_walk(self, run: Run, params: Sequence[Any], x: Any) -> tuple[Any, Tape]:
        """Return the outputs y for x, and what the backward walk needs: a pure function."""
        raise NotImplementedError

    def backward_walk(self, run: Run, params: Sequence[Any], tape: Tape, dy: Any) -> list[Any]:
        """Return the gradient of each parameter, in the order of `parameters`: a pure function."""
        raise NotImplementedError

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the outputs for x of `shape`, batch axis first.

        Raises
        ------
        ShapeError
            If x of that shape does not fit.
        """
        raise NotImplementedError

    def layout(self) -> dict[str, Any]:
        """Return the layout as numbers, strings, lists and mappings, for files."""
        raise NotImplementedError

    # Using it.

    def predict(self, x: Array) -> Any:
        """Return the raw outputs for x, outside training.

        Parameters
        ----------
        x : array of shape (N, ...)
            Of the network's namespace and device, or NumPy's.

        Raises
        ------
        ShapeError, DTypeError, NamespaceError
            If x does not fit.
        """
        return self.forward_walk(self.run(), self.arrays(), self.inputs(x))[0]

    def loss(self, x: Array, t: Array, *, sample_weight: Array | None = None, training: bool = False) -> Any:
        """Return the loss on x and targets t, a 0-d array on the network's device.

        Parameters
        ----------
        x : array of shape (N, ...)
        t : array
            As the loss needs it.
        sample_weight : array of shape (N,), optional
        training : bool
            Whether layers such as Dropout act.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError
            If an argument does not fit.
        """
        x, t, weight = self.batch(x, t, sample_weight)
        run = self.run(training=training)
        y, _ = self.forward_walk(run, self.arrays(), x)
        return self.criterion.forward_pass(run, y, t, weight)[0]

    def gradient(self, x: Array, t: Array, *, sample_weight: Array | None = None) -> Arrays:
        """Return the gradient of the training loss on x and t by each parameter that is not frozen, by name.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError
            If an argument does not fit.
        """
        x, t, weight = self.batch(x, t, sample_weight)
        _, grads = self.loss_and_gradients(self.run(training=True), self.arrays(), x, t, weight)
        return {name: grads[i] for name, i in self.trainable().items()}

    def accuracy(self, x: Array, t: Array) -> float:
        """Return the share of right answers on x, outside training.

        Raises
        ------
        TypeError
            If the loss knows no right and wrong.
        ShapeError, DTypeError, LabelError, NamespaceError
            If an argument does not fit.
        """
        if self.criterion.counts_correct is None:
            raise TypeError(f"{type(self.criterion).__name__} has no accuracy: it compares numbers, not classes")
        x, t, _ = self.batch(x, t)
        run = self.run()
        y, _ = self.forward_walk(run, self.arrays(), x)
        correct = getattr(run.kernels, self.criterion.counts_correct)(y, t)
        return float(correct) / max(self.criterion.answers(y.shape), 1)

    @property
    def parameters(self) -> ParameterArrays:
        """The arrays of all parameters by name, in order; assigning replaces them, in all layers that share them."""
        return ParameterArrays(self._parameters, self._place)

    def freeze(self, *names: str) -> None:
        """Keep parameters as they are in training: those of the names given, or of layers so named; else all.

        Raises
        ------
        KeyError
            If there is no such parameter or layer.
        """
        for parameter in self._named(names):
            parameter.trainable = False

    def unfreeze(self, *names: str) -> None:
        """Undo `freeze`."""
        for parameter in self._named(names):
            parameter.trainable = True

    def initialize(self, seed: int | None = None) -> None:
        """Draw all parameters anew, from `seed` or else the network's own, and start the dropout masks over."""
        self.seed = self.seed if seed is None else seed
        self._stream = random.Stream(self.seed)
        self._draw(replace=True)

    def to(self, xp: str | Namespace | None = None, *, device: Any = None, dtype: str | None = None) -> Self:
        """Return a copy of the network elsewhere: same structure, parameters, ties and seed.

        Parameters
        ----------
        xp : str or namespace, optional
            By default the same.
        device : optional
            By default the namespace's own default.
        dtype : str, optional
            By default the same.

        Raises
        ------
        MissingExtraError, BackendError, NamespaceError, DTypeError
            If there is no such place.
        """
        place = Place(self._place.xp if xp is None else xp, device, dtype or self._place.dtype_name)
        memo: dict[int, Any] = {id(p): p.at(place) for p in self._parameters.values()}
        network = copy.deepcopy(self, memo)
        network._place = place
        for layer in network._layers.values():
            layer.place = place
        return network

    def save(self, path: files.PathLike) -> None:
        """Write structure, parameters and ties to one safetensors file; a file that is there is replaced at once.

        Raises
        ------
        OSError
            If the file cannot be written; what was there is left as it was.
        """
        files.save(self, path)

    def summary(self, input_shape: tuple[int, ...] | None = None) -> str:
        """Return a table of the layers: name, output shape, number of parameters.

        Parameters
        ----------
        input_shape : tuple of int, optional
            The shape of one sample; known by itself where a layer fixes it.
        """
        return summary(self._layers, self._parameters, input_shape)

    @property
    def place(self) -> Place:
        """Where the network's arrays live."""
        return self._place

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return list(self._layers.values())

    # For files.

    def distinct_layers(self) -> dict[str, Layer]:
        """Return the layers by name, each once, under its first name."""
        first: dict[int, tuple[str, Layer]] = {}
        for name, layer in self._layers.items():
            first.setdefault(id(layer), (name, layer))
        return dict(first.values())

    def ties(self) -> dict[str, dict[str, Any]]:
        """Return for each parameter of a layer that is another's the name of that one, and whether it is transposed."""
        names = list(self._parameters)
        return {
            f"{layer}.{own}": {"to": names[i], "transposed": transposed}
            for layer in self.distinct_layers()
            for own, i, transposed in self._bindings[layer]
            if names[i] != f"{layer}.{own}"
        }

    # For training steps and gradient checks.

    @property
    def criterion(self) -> Loss:
        """The loss function.

        Raises
        ------
        ValueError
            If the network was made without one.
        """
        if self.loss_function is None:
            raise ValueError(f"this needs a loss: {type(self).__name__}(..., loss=pnn.SoftmaxWithLoss())")
        return self.loss_function

    @property
    def is_random(self) -> bool:
        """Whether training passes draw random numbers."""
        return any(layer.is_random for layer in self._layers.values())

    def run(self, *, training: bool = False) -> Run:
        """Return a run at the network's place; in training with the next random key, if a layer needs one."""
        key = self.next_key() if training and self.is_random else None
        return Run(self._place, kernels_for(self._place.xp), training=training, key=key)

    def next_key(self) -> random.Key:
        """Return the random key of the next training pass."""
        return self._stream.next()

    def arrays(self) -> list[Any]:
        """Return the arrays of all parameters."""
        return [parameter.value for parameter in self._parameters.values()]

    def set_arrays(self, arrays: Sequence[Any]) -> None:
        """Put arrays in the place of those that `arrays` returns: same order, shapes and place."""
        for parameter, value in zip(self._parameters.values(), arrays, strict=True):
            parameter.value = value

    def trainable(self) -> dict[str, int]:
        """Return the names of the parameters that are not frozen, with their positions in `arrays`."""
        return {name: i for i, (name, p) in enumerate(self._parameters.items()) if p.trainable}

    def inputs(self, x: Array) -> Any:
        """Return x at the network's place and of its data type, its shape checked."""
        x = checked_input(x, self._place, type(self).__name__)
        sample = x.shape[1:]
        if sample not in self._output_shapes:
            self._output_shapes[sample] = self.output_shape(x.shape)[1:]
        return x

    def batch(self, x: Array, t: Array, sample_weight: Array | None = None) -> tuple[Any, Any, Any]:
        """Return x, t and the sample weights at the network's place, checked."""
        x = self.inputs(x)
        shape = (x.shape[0], *self._output_shapes[x.shape[1:]])
        return x, *self.criterion.targets(shape, t, self._place, sample_weight)

    def loss_and_gradients(
        self, run: Run, params: Sequence[Any], x: Any, t: Any, weight: Any = None
    ) -> tuple[Any, list[Any]]:
        """Return the loss and its gradient by each of `params`: a pure function of what `batch` returned."""
        y, tape = self.forward_walk(run, params, x)
        loss, kept = self.criterion.forward_pass(run, y, t, weight)
        return loss, self.backward_walk(run, params, tape, self.criterion.backward_pass(run, kept))

    # Inside.

    def layer_params(self, name: str, run: Run, params: Sequence[Any]) -> Arrays:
        """Return those of `params` that the layer `name` uses, by its own names, transposed where it shares so."""
        return {
            own: run.kernels.transpose(params[i]) if transposed else params[i]
            for own, i, transposed in self._bindings[name]
        }

    def add_gradients(self, name: str, run: Run, grads: list[Any], layer_grads: Arrays) -> None:
        """Add the gradients of the layer `name` to `grads`, in which None stands for nothing yet."""
        for own, i, transposed in self._bindings[name]:
            gradient = run.kernels.transpose(layer_grads[own]) if transposed else layer_grads[own]
            grads[i] = gradient if grads[i] is None else run.kernels.add(grads[i], gradient)

    def _draw(self, *, replace: bool = False) -> None:
        layers = list(self._layers.items())
        drawn: set[int] = set()
        for i, (name, layer) in enumerate(layers):
            after = (other for _, other in layers[i + 1 :] if other.weights_before or other.parameters)
            default = next((other.weights_before for other in after), None)
            if id(layer) not in drawn:
                layer.initialize(self._place, self.seed, f"{name}.", default, replace=replace)
            drawn.add(id(layer))

    def _named(self, names: Sequence[str]) -> list[Parameter]:
        chosen: list[Parameter] = []
        for name in names or tuple(self._layers):
            found = [p for full, p in self._parameters.items() if name in (full, full.rpartition(".")[0])]
            if not found and name not in self._layers:
                raise KeyError(f"there is no parameter or layer {name!r}; there are {', '.join(self._parameters)}")
            chosen += found
        return chosen

    def __repr__(self) -> str:
        layers = ", ".join(map(repr, self._layers.values()))
        return f"{type(self).__name__}({layers}, loss={self.loss_function!r}) on {self._place}"


def _common_place(layers: Mapping[str, Layer], xp: Any, device: Any, dtype: str | None) -> Place:
    placed = {name: layer.place for name, layer in layers.items() if layer.place is not None and layer.parameters}
    if xp is None and device is None and dtype is None and placed:
        place = next(iter(placed.values()))
    else:
        place = Place("numpy" if xp is None else xp, device, dtype or "float32")
    for name, other in placed.items():
        if other != place:
            raise NamespaceError(f"layer {name} has parameters in {other}, the network is in {place}")
    return place


def _unique_parameters(layers: Mapping[str, Layer]) -> dict[str, Parameter]:
    unique: dict[int, tuple[str, Parameter]] = {}
    for layer_name, layer in layers.items():
        for name, parameter in layer.parameters.items():
            if isinstance(parameter, Parameter):
                unique.setdefault(id(parameter), (f"{layer_name}.{name}", parameter))
    for layer_name, layer in layers.items():
        for name, shared in layer.parameters.items():
            if isinstance(shared, Transposed) and id(shared.parameter) not in unique:
                raise ValueError(f"{layer_name}.{name} is the transpose of a parameter of no layer in the network")
    return dict(unique.values())


def _bindings(layer: Layer, parameters: Mapping[str, Parameter]) -> list[tuple[str, int, bool]]:
    """Return for each parameter of the layer its own name, its position in the network, and whether it is transposed."""
    positions = {id(parameter): i for i, parameter in enumerate(parameters.values())}
    return [
        (name, positions[id(p.parameter if isinstance(p, Transposed) else p)], isinstance(p, Transposed))
        for name, p in layer.parameters.items()
    ]
