"""What every loss is. N = batch, ... = the axes of one sample.

A loss is a layer that takes y, t and perhaps sample weights. As a network's criterion it is asked only for dy, by
`gradient`. The maths and its sources stand in `kernels/portable/losses_of_*.py`.
"""

import math
from typing import Any, ClassVar, Literal, TypeAlias

from portable_nn.arrays import Array, Place, as_array, move, namespace_of
from portable_nn.errors import DTypeError, ShapeError
from portable_nn.layers.inputs import place_of
from portable_nn.layers.layer import Arrays, Layer, Run

__all__ = ["Loss", "Reduction"]

Reduction: TypeAlias = Literal["mean", "sum", "none"]


class Loss(Layer):
    """A number from outputs y and targets t, small where they agree.

    A loss of your own overrides `forward_pass`, `gradient`, `output_shape` and `targets`.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
        "mean" divides the sum by the number of samples times outputs (SoftmaxWithLoss: of labels), or, with sample or
        class weights, by the sum of the weights: a weighted mean, 0 where that sum is. "sum" leaves the weighted sum.
        "none" leaves the losses as they are, weighted, in the shape of the labels or of y: to be looked at, or to go on
        with in a `Graph`; nothing is trained by it alone.

    Raises
    ------
    ValueError
        If `reduction` is none of them.
    """

    options = ("reduction",)
    constants = (1, 2)
    is_wide = True
    counts_correct: ClassVar[str | None] = None
    """The kernel that counts right answers; None where there is no right and wrong."""
    compares: ClassVar[tuple[str, ...]] = ("values", "outputs")
    """What metrics can compare with its targets, in the words of `metrics.Metric`: see `compared`."""
    sums_over_samples: ClassVar[bool] = True
    """Whether it is a mean or sum over samples, each by itself: if not, no batch is computed in parts."""

    def __init__(self, reduction: Reduction = "mean"):
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f'{type(self).__name__} needs reduction "mean", "sum" or "none", got {reduction!r}')
        super().__init__()
        self.reduction = reduction

    # Pure, for networks.

    def forward_pass(self, run: Run, params: Arrays, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss, and what the backward pass needs; t and weight as `targets` returns them."""
        raise NotImplementedError

    def gradient(self, run: Run, saved: Any, dout: Any = 1.0) -> Any:
        """Return dy for dout, the derivative by the loss."""
        raise NotImplementedError

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dout: Any) -> tuple[Any, Arrays]:
        """Return dy; t and the weights are constants."""
        return self.gradient(run, saved, dout), {}

    def output_shape(
        self, y: tuple[int, ...], t: tuple[int, ...], weight: tuple[int, ...] | None = None
    ) -> tuple[int, ...]:
        """Return (), the shape of the loss: t needs the shape of y, the weights (N,)."""
        if not y:
            raise ShapeError(f"{type(self).__name__} needs y of shape (N, ...), got ()")
        if t != y:
            raise ShapeError(f"{type(self).__name__} needs t of shape {y}, as y has, got {t}")
        self._check_weight(y, weight)
        return ()

    def _check_weight(
        self, y: tuple[int, ...], weight: tuple[int, ...] | None, each: tuple[int, ...] | None = None
    ) -> None:
        """Raise ShapeError unless the weights are (N,), or of the shape `each`."""
        if weight not in (None, y[:1], each):
            needed = f"{y[:1]}" + (f" or {each}" if each not in (None, y[:1]) else "")
            raise ShapeError(f"sample_weight needs shape {needed}, got {weight}")

    def targets(self, shape: tuple[int, ...], t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t and the sample weights at `place`, checked against outputs y of `shape`.

        Values are checked where they can be read without waiting for another device.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError
            If t or the weights do not fit.
        """
        raise NotImplementedError

    def before_training(self, t: Any) -> None:
        """See the targets of all samples that `fit` is going to train on, None if they come as an iterable.

        For options that follow from them; what is put into options here counts as given. Does nothing by default.
        """

    def total_weight(self, run: Run, t: Any, weight: Any = None) -> Any:
        """Return what a mean over the samples divides by: their number, or the sum of their weights, 0-d."""
        return t.shape[0] if weight is None else run.kernels.total(weight)

    def by_name(self) -> "dict[str, tuple[Loss, float]]":
        """Return the losses that this one consists of, and what each counts, by how their names in records begin."""
        return {"": (self, 1.0)}

    def record(self, loss: Any) -> dict[str, Any]:
        """Return what `forward_pass` has returned by name, the number to be made small as "loss"."""
        return {"loss": loss}

    def padded_axis(self, shape: tuple[int, ...], axis: int) -> int | None:
        """Return where in labels the axis of outputs of `shape` is, along which weights of 0 leave positions out.

        None if they do not. A loss of your own whose weights may be of the shape of its labels overrides this in its
        own body.
        """
        return axis

    def weighted_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the largest shape that weights may have for outputs of `shape`."""
        return shape

    def answers(self, shape: tuple[int, ...]) -> int:
        """Return how many answers outputs of `shape` give, of which `counts_correct` counts the right ones."""
        return shape[0]

    def counts(self, run: Run, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return how many answers are right, and how many there are, or the sums of their weights: 0-d or numbers."""
        correct, answers = getattr(run.kernels, str(self.counts_correct))(y, t, weight), self.answers(y.shape)
        if weight is None or not answers:
            return correct, answers
        return correct, run.kernels.total(weight, answers / math.prod(weight.shape))

    # What outputs say, for metrics and for predictions.

    def probabilities(self, run: Run, y: Any) -> Any:
        """Return the probabilities that outputs y stand for, in their shape; TypeError if they stand for none."""
        raise TypeError(f"{type(self).__name__} gives no probabilities: it compares numbers, not classes")

    def labels(self, run: Run, y: Any) -> Any:
        """Return the labels that outputs y stand for, -1 for NaN; TypeError if they stand for none."""
        raise TypeError(f"{type(self).__name__} gives no labels: it compares numbers, not classes")

    def values(self, run: Run, y: Any) -> Any:
        """Return the numbers that outputs y stand for, in the units of t: y itself."""
        return y

    def compared(self, run: Run, of: str, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any, Any]:
        """Return t, what `of` says of y, and weights or None, in rows that a metric compares.

        `of` is one of `compares`. A loss of your own for classes overrides both.
        """
        return t, self.values(run, y) if of == "values" else y, weight

    def check_reduces(self, owner: str) -> None:
        """Raise ValueError, in which `owner` is named, if the loss is no single number."""
        if self.reduction == "none":
            raise ValueError(
                f'{owner} needs a loss with reduction "mean" or "sum", got {self!r}, whose losses are for '
                "`loss.forward(y, t)`, `network.loss(x, t)` and as a node of a Graph"
            )

    # On its own.

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]  (t goes through `targets`)
        self, y: Array, t: Array, *, sample_weight: Array | None = None
    ) -> Any:
        """Return the loss: a 0-d array, or with reduction "none" one of the shape of the labels or of y.

        Parameters
        ----------
        y : array of shape (N, ...)
            Raw outputs, of a floating data type.
        t : array
            Targets: shape and data type as the class says.
        sample_weight : array of shape (N,), or of the shape of the labels or of y, optional

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError
            If the arguments do not fit together.
        """
        y, t, sample_weight = as_array(y, "y"), as_array(t, "t"), as_array(sample_weight, "sample_weight")
        if not namespace_of(y).isdtype(y.dtype, "real floating"):
            raise DTypeError(f"{type(self).__name__} needs y of a floating dtype, got {y.dtype}")
        place = place_of(y)
        y = move(y, place, name="y")
        run = Run(place, training=True)
        loss, saved = self.forward_pass(run, {}, y, *self.targets(y.shape, t, place, sample_weight))
        self._saved = (run, saved, loss.shape)
        return loss

    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  (of a number, which may be left out)
        self, dout: float | Array = 1.0
    ) -> Any:
        """Return dy, the gradient by y of the last loss times dout, or of its sum with dout, in its shape, as weights.

        Raises
        ------
        RuntimeError
            If there was no `forward`.
        ShapeError
            If dout is neither a single number nor in the shape of the loss.
        """
        if self._saved is None:
            raise RuntimeError(f"{type(self).__name__} needs a forward pass before backward")
        run, saved, shape = self._saved
        place, dout = run.place, as_array(dout, "dout")
        # An array even for 1, for which a kernel may return what it saved: that is not the caller's to change.
        one: Any = place.asarray(dout) if isinstance(dout, float | int) else move(dout, place, name="dout")
        if isinstance(dout, float | int) and shape:
            one = place.xp.broadcast_to(one, shape)
        if one.shape != shape:
            raise ShapeError(f"{type(self).__name__} needs dout of shape {shape}, as the loss has, got {one.shape}")
        return self.gradient(run, saved, one)
