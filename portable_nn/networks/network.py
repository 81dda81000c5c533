"""What every network does, whatever its layout: predict, measure, differentiate, move."""

from collections.abc import Mapping, Sequence
from typing import Any

from portable_nn.arrays import Array, Namespace, Place, as_array, flat, is_several
from portable_nn.errors import ShapeError
from portable_nn.layers import Run
from portable_nn.layers.inputs import UNCAST, check_values, checked_input
from portable_nn.layers.layer import Arrays
from portable_nn.losses import Loss, LossByOutput
from portable_nn.metrics import RunningAccuracy
from portable_nn.networks.names import arranged, placed, single
from portable_nn.networks.parts import for_outputs, loss_of
from portable_nn.networks.placed import Placed
from portable_nn.networks.predictor import Predictor
from portable_nn.rendering.summary import InputShape, summary
from portable_nn.storage import PathLike
from portable_nn.storage.networks import save

__all__ = ["Network"]


_SHAPES = 64
"""Shapes of batches for which the shape of the outputs is remembered."""


class Network(Placed):
    """A layer made of layers that has a place, a seed, and a loss if it is to be trained. `Sequential` is one.

    Without a loss, a network is a layer of other networks, like any other.

    Parameters
    ----------
    loss : Loss, or mapping of str to Loss, optional
        Needed for training. A network with several outputs has one for each, by the names of the outputs.
    loss_weights : mapping of str to float, optional
        What each loss counts in the sum that is made small, where that is not 1.
    seed : int, optional
        Decides the initial weights and the dropout masks; drawn, and kept in `seed`, where it is not given.
    xp, device, dtype : optional
        Where the parameters are made: NumPy and float32, unless the layers already have parameters.

    Attributes
    ----------
    order : Topology
        The layers, in order, and what each takes.
    sharing : ParameterSharing
        Which parameter is used where.
    stream : KeyStream
        Where the random keys of training passes come from; its position is a checkpoint's.
    identity : object
        Stands for this network where an optimizer remembers which one it updates; a copy has its own.
    notes : dict
        Anything else that a saved file shall remember, as JSON can say it.

    Raises
    ------
    TypeError, ValueError
        If the loss is no Loss, or a weight is of none or no number.
    """

    def __init__(
        self,
        *,
        loss: Loss | Mapping[str, Loss] | None = None,
        loss_weights: Mapping[str, float] | None = None,
        seed: int | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str | None = None,
    ):
        super().__init__(seed=seed, xp=xp, device=device, dtype=dtype, is_settled=loss is not None)
        self.loss_function: Loss | None = loss_of(type(self).__name__, loss, loss_weights)
        self.notes: dict[str, Any] = {}
        self._fitting: set[tuple[int, ...]] = set()  # shapes of samples that were checked
        self._shapes: dict[Any, Any] = {}
        self.identity = object()
        self._predictor = Predictor(self)

    def complete(self) -> None:
        """Make the network of its layers: find its place, and draw what has no value yet.

        Raises
        ------
        NamespaceError
            If layers with parameters live elsewhere than the others or than asked for.
        ValueError
            If a layer shares a parameter with a layer outside the network, or is a network with a loss.
        """
        for layer in self.layers:
            if isinstance(layer, Network) and layer.loss_function is not None:
                raise ValueError(f"a network in a network has no loss of its own, got {layer}: leave it out there")
        super().complete()

    def _settle(self, place: Place) -> None:
        super()._settle(place)
        self._predictor = Predictor(self)

    def forward_walk(self, run: Run, params: Sequence[Any], x: Any) -> tuple[Any, Any]:
        """Return the outputs y for x, and what the backward walk needs: a pure function of what `arrays` returns."""
        if self.sharing.states:
            params = self.sharing.begun(run, params)
        by_path = self.sharing.by_path(run.kernels, params)
        y, saved = (
            self.forward_pass(run, by_path, *x) if len(self.order.inputs) > 1 else self.forward_pass(run, by_path, x)
        )
        return y, (by_path, saved)

    def backward_walk(self, run: Run, params: Sequence[Any], tape: Any, dy: Any) -> list[Any]:
        """Return the gradient of each parameter, in the order of `parameters`: a pure function."""
        _, grads = (
            self.backward_pass(run, *tape, *dy) if len(self.order.outputs) > 1 else self.backward_pass(run, *tape, dy)
        )
        return self.sharing.collected(run.kernels, grads)

    def layout(self) -> dict[str, Any]:
        """Return the layout as numbers, strings, lists and mappings, for files."""
        raise NotImplementedError

    def predict(self, x: Array | Mapping[str, Array]) -> Any:
        """Return the raw outputs for x, outside training; outputs that have names as a mapping by them.

        Parameters
        ----------
        x : array of shape (N, ...), or for several inputs a mapping of their names to such
            Of the network's namespace and device, or NumPy's, or a nested list of numbers. Whole numbers where the
            first layers ask for them, as `Embedding` does, anything else to be cast.

        Raises
        ------
        ShapeError, DTypeError, NamespaceError, TypeError, ValueError
            If x does not fit.
        """
        return self.named(self._predictor(self.inputs(x)))

    def named(self, y: Any) -> Any:
        """Return the outputs by name, if they have names."""
        names = self.order.output_names
        return y if names is None else dict(zip(names, flat(y), strict=True))

    def loss(self, x: Any, t: Any, *, sample_weight: Any = None, training: bool = False) -> Any:
        """Return the loss, on the network's device; in `training`, Dropout acts. As `batch` takes and raises.

        It is 0-d, or where the loss has the reduction "none", in the shape of the labels or of the outputs.
        """
        x, t, weight = self.batch(x, t, sample_weight)
        run = self.run(training=training)
        y, _ = self.forward_walk(run, self.arrays(), x)
        return self.criterion.record(self.criterion.forward_pass(run, {}, y, t, weight)[0])["loss"]

    def gradient(self, x: Any, t: Any, *, sample_weight: Any = None, write_states: bool = False) -> Arrays:
        """Return the gradient of the training loss on x and t by each parameter that is not frozen, by name.

        States stay as they are, unless a loop of one's own asks with `write_states` for what a training step does.
        As `batch` takes and raises, and ValueError if the loss has the reduction "none".
        """
        (self.loss_function or self.criterion).check_reduces("gradient")
        x, t, weight = self.batch(x, t, sample_weight)
        run = self.run(training=True)
        _, grads = self.loss_and_gradients(run, self.arrays(), x, t, weight)
        if write_states:
            self.write_states(run.changed)
        trainable = self.trainable()
        return dict(zip(trainable, map(grads.__getitem__, trainable.values()), strict=True))

    def accuracy(self, x: Any, t: Any) -> Any:
        """Return the share of right answers on x, of labels say, outside training; 0 where none counts.

        With losses by output it is a mapping.

        The mapping has the outputs whose losses know right and wrong. Raises TypeError if none does, and as `batch`.
        """
        run = self.run()
        counted = RunningAccuracy(self.criterion, run)
        if not counted.knows_any:
            raise TypeError(f"{type(self.criterion).__name__} has no accuracy: it compares numbers, not classes")
        x, t, _ = self.batch(x, t)
        counted.add(self.forward_walk(run, self.arrays(), x)[0], t)
        shares = counted.record()
        if not isinstance(self.criterion, LossByOutput):
            return shares["accuracy"]
        return {name.removesuffix("_accuracy"): share for name, share in shares.items()}

    def save(self, path: PathLike) -> None:
        """Write structure, parameters and ties to one safetensors file, whole or, with an OSError, not at all."""
        save(self, path)

    def summary(self, input_shape: InputShape = None) -> str:
        """Return a table of the layers; `input_shape`, of one sample (of each input), is often known by itself."""
        return summary(self.order, self.sharing.parameters, self.sharing.states, input_shape)

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
        if name == "loss_function" and value is not None:
            value = loss_of(type(self).__name__, value, None)
            if self.order.outputs:
                value = for_outputs(type(self).__name__, value, self.order.outputs, self.order.output_names)
        super().__setattr__(name, value)
        if name == "loss_function" and value is not None:
            self._changes[0] += 1
            value.tell(self._changes)

    def arranged(self, x: Any) -> Any:
        """Return x where it is: an array or nested lists as an array, a mapping as the tuple of arrays of all inputs.

        Raises TypeError, ValueError or ShapeError if it is no mapping where one is needed, a name is wrong, or one
        array has more samples than another.
        """
        return arranged(type(self).__name__, self.order.inputs, x)

    def by_input(self, x: Any) -> Any:
        """Return what `arranged` has returned with the names of several inputs."""
        return dict(zip(self.order.inputs, x, strict=True)) if is_several(x) else x

    def inputs(self, x: Any, *, is_known: bool = False) -> Any:
        """Return x at the network's place and in its data type there, its shape and whole numbers checked.

        The numbers are not, if it `is_known` that they have been. Several inputs are returned as a tuple.
        """
        if len(self.order.inputs) > 1:
            return self._several_inputs(self.arranged(x), is_known=is_known)
        kind = self.input_kinds[0]
        if kind in UNCAST or not self._place.is_ready(x):
            x = checked_input(self.arranged(x), self._place, type(self).__name__, kind)
        if x.shape[1:] not in self._fitting:
            if x.ndim == 0:
                raise ShapeError(f"{type(self).__name__} needs x of shape (N, ...), got {x.shape}")
            self.output_shape(x.shape)
            self._fitting.add(x.shape[1:])
        if kind in UNCAST and not is_known:
            check_values(self, [x])
        return x

    def _several_inputs(self, x: tuple[Any, ...], *, is_known: bool) -> tuple[Any, ...]:
        arrays = placed(self._place, self.order.inputs, self.input_kinds, x)
        shapes = tuple(part.shape for part in arrays)
        key = tuple(shape[1:] for shape in shapes)
        if key not in self._fitting:
            self.output_shape(*shapes)
            self._fitting.add(key)
        if not is_known:
            check_values(self, arrays)
        return arrays

    def batch(self, x: Any, t: Any, sample_weight: Any = None) -> tuple[Any, Any, Any]:
        """Return x (N, ...), t and the sample weights at the network's place, as the loss needs them.

        Several inputs, and targets and weights of losses by output, come as mappings by their names, and are returned
        as tuples in their order.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError, TypeError, ValueError
            If one of them does not fit the network, its loss or the others.
        """
        x, t = self.inputs(x), as_array(t, "t")
        weight = None if sample_weight is None else as_array(sample_weight, "sample_weight")
        shapes = tuple([part.shape for part in x]) if len(self.order.inputs) > 1 else (x.shape,)
        shape = self._output_shape(shapes)
        if isinstance(t, dict) or isinstance(weight, dict):
            return x, *self.targets(shape, t, weight)
        return x, *(self.loss_function or self.criterion).targets(shape, t, self._place, weight)

    def targets(self, shape: Any, t: Any, weight: Any) -> tuple[Any, Any]:
        """Return what the loss makes of t and the sample weights, arrays or mappings, for outputs of `shape`."""
        owner, criterion, names = type(self).__name__, self.criterion, self.order.output_names
        if not isinstance(criterion, LossByOutput):
            t, weight = (single(owner, names, *part) for part in (("t", t), ("sample_weight", weight)))
        return criterion.targets(shape, t, self._place, weight)

    def _output_shape(self, shapes: tuple[Any, ...]) -> Any:
        """Return what `output_shape` does, remembered for some shapes, if all that decides on it counts its changes."""
        key = shapes, self._changes[0]
        known = self._shapes.get(key)
        if known is None:
            known = self.output_shape(*shapes)
            if self.is_known:
                self._shapes = {key: known} if len(self._shapes) >= _SHAPES else self._shapes | {key: known}
        return known

    def loss_and_gradients(
        self, run: Run, params: Sequence[Any], x: Any, t: Any, weight: Any = None, *dout: Any
    ) -> tuple[Any, list[Any]]:
        """Return the loss and its gradient by each of `params`: a pure function of what `batch` returned.

        With `dout`, a tuple, what is differentiated is the sum of the losses by output times it.
        """
        y, tape = self.forward_walk(run, params, x)
        criterion = self.loss_function or self.criterion
        loss, saved = run.forward(criterion, {}, y, t, weight)
        return loss, self.backward_walk(run, params, tape, run.gradient(criterion, saved, *dout))

    def __repr__(self) -> str:
        layers = ", ".join(map(repr, self.layers))
        if self.loss_function is None:  # as a layer of others, which have the place
            return f"{type(self).__name__}({layers})"
        return f"{type(self).__name__}({layers}, loss={self.loss_function!r}) on {self._place}"
