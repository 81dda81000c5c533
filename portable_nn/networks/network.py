"""What every network does, whatever its layout: predict, measure, differentiate, move."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

from portable_nn import random
from portable_nn.arrays import Array, Namespace, Place, as_array
from portable_nn.errors import ShapeError
from portable_nn.kernels import kernels_for
from portable_nn.layers import Layer, Run
from portable_nn.layers.layer import Arrays, ParameterArrays, checked_input
from portable_nn.layers.weights import common_place, draw
from portable_nn.losses import Loss
from portable_nn.networks import files
from portable_nn.networks.predictor import Predictor
from portable_nn.networks.steps import Steps
from portable_nn.networks.summary import summary
from portable_nn.networks.wiring import Wiring

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
    wiring : Wiring
        Which layer uses which parameter.
    stream : Stream
        Where the random keys of training passes come from; its position is a checkpoint's.
    identity : object
        Stands for this network where an optimizer remembers which one it updates; a copy has its own.
    notes : dict
        Anything else that a saved file shall remember, as JSON can say it.

    Raises
    ------
    NamespaceError
        If layers with parameters live elsewhere than the others or than asked for.
    ValueError
        If a layer shares a parameter with a layer outside the network.
    """

    order: Steps

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
        self._changes = [0]
        self.loss_function = loss
        self.seed = random.checked_seed(seed)
        self._layers = dict(layers)
        self._place = common_place(self._layers, xp, device, dtype)
        self.wiring = Wiring(self._layers)
        self.notes: dict[str, Any] = {}
        self.stream = random.Stream(self.seed)
        self._fitting: set[tuple[int, ...]] = set()  # shapes of samples that were checked
        self._predictor = Predictor(self)
        for layer in self.wiring.distinct_layers.values():
            layer.tell(self._changes)
        self.identity = object()

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

    def predict(self, x: Array) -> Any:
        """Return the raw outputs for x, outside training.

        Parameters
        ----------
        x : array of shape (N, ...)
            Of the network's namespace and device, or NumPy's, or a nested list of numbers.

        Raises
        ------
        ShapeError, DTypeError, NamespaceError
            If x does not fit.
        """
        return self._predictor(self.inputs(x))

    def loss(self, x: Array, t: Array, *, sample_weight: Array | None = None, training: bool = False) -> Any:
        """Return the loss, 0-d on the network's device; in `training`, Dropout acts. Raises as `batch` does."""
        x, t, weight = self.batch(x, t, sample_weight)
        run = self.run(training=training)
        y, _ = self.forward_walk(run, self.arrays(), x)
        return self.criterion.forward_pass(run, {}, y, t, weight)[0]

    def gradient(self, x: Array, t: Array, *, sample_weight: Array | None = None) -> Arrays:
        """Return the gradient of the training loss on x and t by each parameter that is not frozen, by name.

        Raises as `batch` does.
        """
        x, t, weight = self.batch(x, t, sample_weight)
        _, grads = self.loss_and_gradients(self.run(training=True), self.arrays(), x, t, weight)
        return {name: grads[i] for name, i in self.trainable().items()}

    def accuracy(self, x: Array, t: Array) -> float:
        """Return the share of right answers on x, outside training.

        Raises TypeError if the loss knows no right and wrong, and as `batch` does.
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
        return ParameterArrays(self.wiring.parameters, self._place)

    def freeze(self, *names: str) -> None:
        """Keep parameters as they are in training: those of the names given, or of layers so named; else all.

        Raises KeyError if there is no such parameter or layer.
        """
        for parameter in self.wiring.named(names):
            parameter.trainable = False

    def unfreeze(self, *names: str) -> None:
        """Undo `freeze`."""
        for parameter in self.wiring.named(names):
            parameter.trainable = True

    def initialize(self, seed: int | None = None) -> None:
        """Draw all parameters anew, from `seed` or else the network's own, and start the dropout masks over."""
        self.seed = self.seed if seed is None else random.checked_seed(seed)
        self.stream = random.Stream(self.seed)
        for parameter in self.wiring.parameters.values():
            parameter.value = None
        draw(self._layers, self._place, self.seed)

    def to(self, xp: str | Namespace | None = None, *, device: Any = None, dtype: str | None = None) -> Self:
        """Return a copy of the network elsewhere: same structure, parameters, ties and seed.

        Parameters
        ----------
        xp, device, dtype : optional
            By default the same, but the default device of another namespace.

        Raises
        ------
        MissingExtraError, BackendError, NamespaceError, DTypeError
            If there is no such place.
        """
        if xp is None:
            xp, device = self._place.xp, self._place.device if device is None else device
        place = Place(xp, device, dtype or self._place.dtype_name)
        memo: dict[int, Any] = {id(p): p.at(place) for p in self.wiring.parameters.values()}
        network = copy.deepcopy(self, memo)
        network._place, network._predictor = place, Predictor(network)
        for layer in network._layers.values():
            layer.place = place
        return network

    def save(self, path: files.PathLike) -> None:
        """Write structure, parameters and ties to one safetensors file, whole or, with an OSError, not at all."""
        files.save(self, path)

    def summary(self, input_shape: tuple[int, ...] | None = None) -> str:
        """Return a table of the layers; `input_shape`, of one sample, is known by itself where a layer fixes it."""
        return summary(self.order, self.wiring.parameters, input_shape)

    @property
    def place(self) -> Place:
        """Where the network's arrays live."""
        return self._place

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return list(self._layers.values())

    @property
    def criterion(self) -> Loss:
        """The loss function; ValueError if the network was made without one."""
        if self.loss_function is None:
            raise ValueError(f"this needs a loss: {type(self).__name__}(..., loss=pnn.SoftmaxWithLoss())")
        return self.loss_function

    @property
    def version(self) -> int:
        """How often an option of a layer or of the loss, or the loss itself, was replaced."""
        return self._changes[0]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "loss_function" and value is not None:
            self._changes[0] += 1
            value.tell(self._changes)

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
        return self.stream.next()

    def arrays(self) -> list[Any]:
        """Return the arrays of all parameters."""
        return [parameter.value for parameter in self.wiring.boxes]

    def set_arrays(self, arrays: Sequence[Any]) -> None:
        """Put arrays in the place of those that `arrays` returns: same order, shapes and place."""
        for parameter, value in zip(self.wiring.boxes, arrays, strict=True):
            parameter.value = value

    def trainable(self) -> dict[str, int]:
        """Return the names of the parameters that are not frozen, with their positions in `arrays`."""
        return {name: i for i, (name, p) in enumerate(self.wiring.parameters.items()) if p.trainable}

    def inputs(self, x: Array) -> Any:
        """Return x at the network's place and of its data type, its shape checked."""
        if not self._place.is_ready(x):
            x = checked_input(as_array(x, "x"), self._place, type(self).__name__)
        if x.shape[1:] not in self._fitting:
            if x.ndim == 0:
                raise ShapeError(f"{type(self).__name__} needs x of shape (N, ...), got {x.shape}")
            self.output_shape(x.shape)
            self._fitting.add(x.shape[1:])
        return x

    def batch(self, x: Array, t: Array, sample_weight: Array | None = None) -> tuple[Any, Any, Any]:
        """Return x (N, ...), t and the sample weights (N,) at the network's place, as the loss needs them.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError
            If one of them does not fit the network, its loss or the others.
        """
        x, t, weight = self.inputs(x), as_array(t, "t"), as_array(sample_weight, "sample_weight")
        return x, *self.criterion.targets(self.output_shape(x.shape), t, self._place, weight)

    def loss_and_gradients(
        self, run: Run, params: Sequence[Any], x: Any, t: Any, weight: Any = None
    ) -> tuple[Any, list[Any]]:
        """Return the loss and its gradient by each of `params`: a pure function of what `batch` returned."""
        y, tape = self.forward_walk(run, params, x)
        loss, kept = run.forward(self.criterion, {}, y, t, weight)
        return loss, self.backward_walk(run, params, tape, run.gradient(self.criterion, kept))

    def __repr__(self) -> str:
        layers = ", ".join(map(repr, self._layers.values()))
        return f"{type(self).__name__}({layers}, loss={self.loss_function!r}) on {self._place}"
