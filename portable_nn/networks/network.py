"""What every network does, whatever its layout: predict, measure, differentiate, save."""

from collections.abc import Mapping, Sequence
from typing import Any

from portable_nn.arrays import Array, Namespace, Place, flat
from portable_nn.layers import Run
from portable_nn.layers.layer import Arrays
from portable_nn.layers.low_run import LowRun
from portable_nn.losses import Loss, LossByOutput
from portable_nn.metrics import RunningAccuracy
from portable_nn.networks.answers import labels, probabilities
from portable_nn.networks.positions import unmasked
from portable_nn.networks.predictor import Predictor
from portable_nn.networks.receiver import Receiver
from portable_nn.rendering.summary import InputShape, summary
from portable_nn.storage import PathLike
from portable_nn.storage.networks import save

__all__ = ["Network"]


class Network(Receiver):
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
        super().__init__(loss, loss_weights, seed=seed, xp=xp, device=device, dtype=dtype)
        self.notes: dict[str, Any] = {}
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
        """Return the outputs y for x, and what the backward walk needs: a pure function.

        `params` are as `arrays` returns them; `run.changed` is what becomes of the states. Where the place is one of a
        lower precision, casts at both ends are part of the walk, unless parameters are of that precision already.
        """
        if self.sharing.states:
            count = len(self.sharing.parameters)
            run.begin(self.sharing.states.values(), params[count:])
            params = params[:count]
        by_path = self.sharing.by_path(run.kernels, params)
        if x.__class__ is tuple and len(x) > len(self.order.inputs):
            x = unmasked(self.order, run, x)
        if run.place.is_mixed:
            return self._forward_low(LowRun(run), by_path, x)
        y, saved = (
            self.forward_pass(run, by_path, *x) if len(self.order.inputs) > 1 else self.forward_pass(run, by_path, x)
        )
        return y, (by_path, saved)

    def _forward_low(self, run: LowRun, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Do what `forward_walk` does in a lower precision."""
        params = run.narrow_all(params)
        y, saved = self.forward_pass(run, params, *run.narrow_inputs(self, flat(x)))
        return run.widen(y), (params, saved)

    def backward_walk(self, run: Run, params: Sequence[Any], tape: Any, dy: Any) -> list[Any]:
        """Return the gradient of each parameter, in the order of `parameters`: a pure function."""
        if run.place.is_mixed:
            low = LowRun(run)
            _, grads = self.backward_pass(low, *tape, *map(low.narrow, flat(dy)))
            return low.as_given(self.sharing.collected(run.kernels, grads), params)
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
        y = self._predictor(x)
        return y if self.order.output_names is None else self.named(y)

    def predict_proba(self, x: Array | Mapping[str, Array]) -> Any:
        """Return the probabilities that the outputs for x stand for, in their shape: softmax or sigmoid of them.

        With losses by output it is a mapping, of those that give any. Those of `SigmoidWithLoss` are of yes. Takes and
        raises as `predict` does, and TypeError if the loss gives no probabilities.
        """
        return probabilities(self.criterion, self.run(), self._predictor(self.inputs(x)))

    def predict_labels(self, x: Array | Mapping[str, Array]) -> Any:
        """Return the labels that the outputs for x stand for: integers in the shape of labels t, -1 for NaN.

        Where `notes["classes"]` has names of the classes, a list, or by output a mapping of such, they are NumPy arrays
        of names; NaN, which has none, raises ValueError then. With losses by output it is a mapping, of those that give
        any. Takes and raises as `predict` does, and TypeError if the loss gives no labels.

        Examples
        --------
        >>> import portable_nn as pnn
        >>> layer = pnn.Affine.from_arrays([[1.0, -1.0]])
        >>> net = pnn.Sequential(layer, loss=pnn.SoftmaxWithLoss())
        >>> net.predict_labels([[2.0], [-2.0]]).tolist()
        [0, 1]
        >>> net.notes["classes"] = ["apple", "orange"]
        >>> net.predict_labels([[2.0], [-2.0]]).tolist()
        ['apple', 'orange']
        >>> net.predict_proba([[0.0]]).tolist()
        [[0.5, 0.5]]
        """
        return labels(self.criterion, self.run(), self._predictor(self.inputs(x)), self.notes.get("classes"))

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
        criterion = self.loss_function or self.criterion
        if criterion.reduction != "mean":
            criterion.check_reduces("gradient")
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

    def loss_and_gradients(
        self, run: Run, params: Sequence[Any], x: Any, t: Any, weight: Any = None, *dout: Any
    ) -> tuple[Any, list[Any]]:
        """Return the loss and its gradient by each of `params`: a pure function of what `batch` returned.

        With `dout`, a tuple, what is differentiated is the sum of the losses by output times it.
        """
        y, tape = self.forward_walk(run, params, x)
        run.outputs = y
        criterion = self.loss_function or self.criterion
        loss, saved = run.forward(criterion, {}, y, t, weight)
        return loss, self.backward_walk(run, params, tape, run.gradient(criterion, saved, *dout))

    def __repr__(self) -> str:
        layers = ", ".join(map(repr, self.layers))
        if self.loss_function is None:  # as a layer of others, which have the place
            return f"{type(self).__name__}({layers})"
        return f"{type(self).__name__}({layers}, loss={self.loss_function!r}) on {self._place}"
