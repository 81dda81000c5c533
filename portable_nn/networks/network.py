"""What every network does, whatever its layout: predict, measure, differentiate, move."""

import copy
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Self

from portable_nn import random
from portable_nn.arrays import Array, Namespace, Place, as_array
from portable_nn.errors import ShapeError
from portable_nn.kernels import is_recordable, kernels_for
from portable_nn.layers import Parameter, Run
from portable_nn.layers.layer import Arrays, ParameterArrays, checked_input
from portable_nn.layers.weights import common_place, draw
from portable_nn.losses import Loss
from portable_nn.networks import files
from portable_nn.networks.composite import Composite
from portable_nn.networks.parts import check_instance
from portable_nn.networks.predictor import Predictor
from portable_nn.networks.summary import summary
from portable_nn.networks.wiring import Wiring

__all__ = ["Network"]


_SHAPES = 64
"""Shapes of batches for which the shape of the outputs is remembered."""


class Network(Composite):
    """A layer made of layers that has a place, a seed, and a loss if it is to be trained. `Sequential` is one.

    Without a loss, a network is a layer of other networks, like any other.

    Parameters
    ----------
    loss : Loss, optional
        Needed for training.
    seed : int, optional
        Decides the initial weights and the dropout masks; drawn, and kept in `seed`, where it is not given.
    xp, device, dtype : optional
        Where the parameters are made: NumPy and float32, unless the layers already have parameters.

    Attributes
    ----------
    order : Steps
        The layers, in order, and what each takes.
    wiring : Wiring
        Which parameter is used where.
    stream : Stream
        Where the random keys of training passes come from; its position is a checkpoint's.
    identity : object
        Stands for this network where an optimizer remembers which one it updates; a copy has its own.
    notes : dict
        Anything else that a saved file shall remember, as JSON can say it.

    Raises
    ------
    TypeError
        If the loss is no Loss.
    """

    def __init__(
        self,
        *,
        loss: Loss | None = None,
        seed: int | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str | None = None,
    ):
        if loss is not None:
            check_instance(type(self).__name__, "loss", loss, Loss, "pnn.SoftmaxWithLoss(), say")
        super().__init__()
        self._changes = [0]
        self._incomplete = ""
        """Why the network works within another only."""
        self._asked: tuple[Any, ...] = (xp, device, dtype)
        self._is_settled = any(option is not None for option in (loss, seed, *self._asked))
        self.loss_function = loss
        self.seed = random.checked_seed(seed)
        self.notes: dict[str, Any] = {}
        self.stream = random.Stream(self.seed)
        self.wiring = Wiring({})
        self._fitting: set[tuple[int, ...]] = set()  # shapes of samples that were checked
        self._shapes: dict[Any, Any] = {}
        self.identity = object()

    def complete(self) -> None:
        """Make the network of its layers: find its place, and draw what has no value yet.

        Raises
        ------
        NamespaceError
            If layers with parameters live elsewhere than the others or than asked for.
        ValueError
            If a layer shares a parameter with a layer outside the network, or is a network with a loss.
        """
        super().complete()
        self._forget_provisional()
        leaves = dict(self.leaves())
        try:
            self.wiring = Wiring(self.boxes())
        except ValueError as error:
            if self._is_settled:
                raise
            self._incomplete = f"{self} works within another network only: {error}"
            return
        place, self._asked = common_place(leaves, *self._asked), ()  # a device cannot be copied in every library
        self.tell(self._changes)
        self._is_known = all(is_recordable(type(layer)) for layer in leaves.values())
        undrawn = [box for box in self.wiring.boxes if box.value is None]
        draw(leaves, place, self.seed)
        self._settle(place)
        for box in undrawn:
            box.provisional = not self._is_settled

    def _forget_provisional(self) -> None:
        """Leave what networks within have drawn for nobody to be drawn by this one."""
        for layer in self.layers:
            if isinstance(layer, Network) and layer.loss_function is not None:
                raise ValueError(f"a network in a network has no loss of its own, got {layer}: leave it out there")
        for _, layer in self.leaves():
            boxes = [box for box in layer.boxes().values() if isinstance(box, Parameter)]
            for box in boxes:
                box.value = None if box.provisional else box.value
            if boxes and all(box.value is None for box in boxes):
                layer.place = None

    def _settle(self, place: Place) -> None:
        """Take note of where all parameters are, in the networks within, too."""
        if not self._incomplete:
            self._place, self._predictor = place, Predictor(self)
        for layer in self.layers:
            if isinstance(layer, Network):
                layer._settle(place)
            else:
                layer.place = place

    def forward_walk(self, run: Run, params: Sequence[Any], x: Any) -> tuple[Any, Any]:
        """Return the outputs y for x, and what the backward walk needs: a pure function."""
        by_path = self.wiring.by_path(run.kernels, params)
        y, kept = self.forward_pass(run, by_path, x)
        return y, (by_path, kept)

    def backward_walk(self, run: Run, params: Sequence[Any], tape: Any, dy: Any) -> list[Any]:
        """Return the gradient of each parameter, in the order of `parameters`: a pure function."""
        _, grads = self.backward_pass(run, *tape, dy)
        return self.wiring.collected(run.kernels, grads)

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
        trainable = self.trainable()
        return dict(zip(trainable, map(grads.__getitem__, trainable.values()), strict=True))

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
    def parameters(self) -> ParameterArrays:  # pyright: ignore[reportIncompatibleVariableOverride]  (arrays, by path)
        """The arrays of all parameters by name, in order; assigning replaces them, in all layers that share them."""
        return ParameterArrays(self.wiring.parameters, self._place)

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
        return self.wiring.named(names, [path for path, _ in self.leaves()])

    def initialize(self, seed: int | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Draw all parameters anew, from `seed` or else the network's own, and start the dropout masks over."""
        self.seed = self.seed if seed is None else random.checked_seed(seed)
        self.stream = random.Stream(self.seed)
        for parameter in self.wiring.parameters.values():
            parameter.value = None
        draw(dict(self.leaves()), self._place, self.seed)

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
        network._settle(place)
        return network

    def save(self, path: files.PathLike) -> None:
        """Write structure, parameters and ties to one safetensors file, whole or, with an OSError, not at all."""
        files.save(self, path)

    def summary(self, input_shape: tuple[int, ...] | None = None) -> str:
        """Return a table of the layers; `input_shape`, of one sample, is known by itself where a layer fixes it."""
        return summary(self.order, self.wiring.parameters, input_shape)

    @property
    def place(self) -> Place:  # pyright: ignore[reportIncompatibleVariableOverride]  (known as soon as it is whole)
        """Where the network's arrays live."""
        return self._place

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

    def __getattr__(self, name: str) -> Any:
        if name in ("_place", "_predictor"):
            raise ValueError(self.__dict__.get("_incomplete") or "the graph has no output yet: call output(node)")
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "loss_function" and value is not None:
            self._changes[0] += 1
            value.tell(self._changes)

    def run(self, *, training: bool = False) -> Run:
        """Return a run at the network's place; in training with the next random key, if a layer needs one."""
        key = self.next_key() if training and self.is_random else None
        return Run(self._place, kernels_for(self._place.xp), training=training, key=key)

    def next_key(self) -> random.Key:
        """Return the random key of the next training pass."""
        return self.stream.next()

    def arrays(self) -> list[Any]:
        """Return the arrays of all parameters."""
        return list(map(attrgetter("value"), self.wiring.boxes))

    def set_arrays(self, arrays: Sequence[Any]) -> None:
        """Put arrays in the place of those that `arrays` returns: same order, shapes and place."""
        for parameter, value in zip(self.wiring.boxes, arrays, strict=True):
            parameter.value = value
            parameter.provisional = False

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
        x, t = self.inputs(x), as_array(t, "t")
        weight = None if sample_weight is None else as_array(sample_weight, "sample_weight")
        return x, *(self.loss_function or self.criterion).targets(self._output_shape(x.shape), t, self._place, weight)

    def _output_shape(self, shape: tuple[int, ...]) -> Any:
        """Return what `output_shape` does, remembered for some shapes, if all that decides on it counts its changes."""
        key = shape, self._changes[0]
        known = self._shapes.get(key)
        if known is None:
            known = self.output_shape(shape)
            if self._is_known:
                self._shapes = {key: known} if len(self._shapes) >= _SHAPES else self._shapes | {key: known}
        return known

    def loss_and_gradients(
        self, run: Run, params: Sequence[Any], x: Any, t: Any, weight: Any = None
    ) -> tuple[Any, list[Any]]:
        """Return the loss and its gradient by each of `params`: a pure function of what `batch` returned."""
        y, tape = self.forward_walk(run, params, x)
        criterion = self.loss_function or self.criterion
        loss, kept = run.forward(criterion, {}, y, t, weight)
        return loss, self.backward_walk(run, params, tape, run.gradient(criterion, kept))

    def pass_arrays(self) -> Arrays:
        """Return the parameters by path, as the passes take them."""
        return self.wiring.by_path(kernels_for(self._place.xp), self.arrays())

    def __repr__(self) -> str:
        layers = ", ".join(map(repr, self.layers))
        if self.loss_function is None:  # as a layer of others, which have the place
            return f"{type(self).__name__}({layers})"
        return f"{type(self).__name__}({layers}, loss={self.loss_function!r}) on {self._place}"
