"""Losses of classes, whatever they make of the outputs. N = batch, C = classes, T = time, H, W = an image.

M = all labels of a batch.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from portable_nn.arrays import Place, move, namespace_of
from portable_nn.errors import DTypeError, ShapeError
from portable_nn.layers.layer import Arrays, Run
from portable_nn.losses.class_weights import Balanced, ClassWeights, balanced, checked_class_weight, of_classes
from portable_nn.losses.classes import class_axis, from_rows, rows_of
from portable_nn.losses.loss import Loss, Reduction
from portable_nn.losses.targets import IGNORED, check_labels, check_values, checked_weight, is_distribution, marked

__all__ = ["ClassLoss"]


class ClassLoss(Loss):
    """A loss of labels or distributions: kernels `kernel(y, t, scale, class_weight, *numbers)` and `kernel_gradient`.

    The options are those of `SoftmaxWithLoss`.
    """

    counts_correct = "count_correct"
    compares = ("labels", "probabilities", "scores", "outputs")
    kernel: ClassVar[str]
    numbers: ClassVar[tuple[str, ...]] = ()
    """The options that the kernels take."""

    def __init__(
        self,
        reduction: Reduction = "mean",
        *,
        class_weight: Sequence[float] | Mapping[int, float] | Balanced | None = None,
        ignore_label: int | None = None,
        axis: int | None = None,
    ):
        super().__init__(reduction)
        self.class_weight: ClassWeights | None = (
            None if class_weight is None else checked_class_weight(self._kind, class_weight)
        )
        self.ignore_label = _whole(self._kind, "ignore_label", ignore_label)
        self.axis = _whole(self._kind, "axis", axis)
        if self.axis == 0:
            raise ValueError(f"{self._kind} needs the axis of the classes, got 0, that of the batch")
        self._classes = 0  # the most there were; labels alone do not tell

    def forward_pass(self, run: Run, params: Arrays, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss; keeps what the kernel says, and the shape of y."""
        shape = y.shape
        if y.ndim > 2:
            y, t, weight = self._as_rows(run, y, t, weight)
        class_weight = (
            None if self.class_weight is None else run.constant(of_classes(self._kind, self.class_weight, y.shape[1]))
        )
        if self.reduction == "none":
            return self._each(run, shape, y, t, weight, class_weight)
        scale = self._scale(run, y, t, weight, class_weight)
        loss, saved = getattr(run.kernels, self.kernel)(
            y, t, scale, class_weight, *map(vars(self).__getitem__, self.numbers)
        )
        return loss, (shape, saved)

    def gradient(self, run: Run, saved: Any, dout: Any = 1.0) -> Any:
        """Return dy."""
        shape, saved = saved
        if self.reduction == "none":
            y, t, weight, class_weight = saved
            if not isinstance(dout, float) and dout.ndim > 1:
                dout = run.kernels.reshape(dout, (y.shape[0],))
            dout = dout if weight is None else run.kernels.multiply(weight, dout)
            # The loss of these weights, whose gradient is wanted, is of no use.
            _, saved = getattr(run.kernels, self.kernel)(
                y, t, dout, class_weight, *map(vars(self).__getitem__, self.numbers)
            )
            dout = 1.0
        dy = getattr(run.kernels, f"{self.kernel}_gradient")(dout, saved)
        return dy if len(shape) == 2 else from_rows(run, dy, shape, self._axis(shape))

    def output_shape(
        self, y: tuple[int, ...], t: tuple[int, ...], weight: tuple[int, ...] | None = None
    ) -> tuple[int, ...]:
        """Return (), the shape of the loss, or with reduction "none" that of the labels."""
        labels = self._shape_of_labels(y)
        if t not in (labels, y):
            if len(y) == 2:
                raise ShapeError(f"{self._kind} needs t of shape {labels} or {y}, got {t}")
            axis = self._axis(y)
            where = "last" if axis == len(y) - 1 else f"at axis {axis}"
            raise ShapeError(
                f"{self._kind} needs t of shape {labels}, labels, or {y}, distributions, for y of shape {y} with "
                f"the classes {where}, got {t}" + self._hint(y, t)
            )
        self._check_weight(y, weight, labels)
        return labels if self.reduction == "none" else ()

    def before_training(self, t: Any) -> None:
        """Put the numbers there that balance the classes, if that was asked for."""
        if self.class_weight == "balanced":
            if t is None:
                raise ValueError(
                    f'{self._kind} has class_weight="balanced", which needs the targets of all samples as an array: '
                    "give numbers for an iterable of batches"
                )
            self.class_weight = balanced(self._kind, t, self.axis)

    def total_weight(self, run: Run, t: Any, weight: Any = None) -> Any:
        """Return the number of labels that count, or the sum of their weights times those of their classes."""
        if self.class_weight is None and self.ignore_label is None:
            if weight is not None:
                return run.kernels.total(weight)
            if t.ndim == 1:
                return t.shape[0]
        labelled = _are_labels(run, t)
        if self.class_weight is None and (self.ignore_label is None or not labelled):
            if weight is not None:
                return run.kernels.total(weight)
            return math.prod(t.shape if labelled else self._shape_of_labels(t.shape))
        if t.ndim > 1:
            t = _flat(run, t) if labelled else rows_of(run, t, self._axis(t.shape))
        classes = self._classes if labelled else t.shape[1]
        weights = [1.0] * classes if self.class_weight is None else of_classes(self._kind, self.class_weight, classes)
        return run.kernels.class_total(t, run.constant(weights), None if weight is None else _flat(run, weight))

    def padded_axis(self, shape: tuple[int, ...], axis: int) -> int | None:
        """Return the axis of labels, which have none of classes."""
        classes = self._axis(shape)
        return None if axis == classes else axis - (axis > classes)

    def weighted_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the labels."""
        return self._shape_of_labels(shape)

    def counts(self, run: Run, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return how many labels are right, and how many count, or the sums of their weights."""
        ignores = self.ignore_label is not None and _are_labels(run, t)
        if y.ndim > 2:
            y, t, weight = self._as_rows(run, y, t, weight)
        correct = run.kernels.count_correct(y, t, weight)
        if weight is None:
            return correct, run.kernels.count_labels(t) if ignores else y.shape[0]
        if ignores:
            return correct, run.kernels.class_total(t, run.constant([1.0] * y.shape[1]), weight)
        return correct, run.kernels.total(weight)

    def probabilities(self, run: Run, y: Any) -> Any:
        """Return the probabilities of the classes, in the shape of y."""
        axis = self._axis(y.shape)
        return from_rows(run, self._probable(run, rows_of(run, y, axis)), y.shape, axis)

    def _probable(self, run: Run, y: Any) -> Any:
        """Return the probabilities that rows (M, C) stand for: exp(y), of log-probabilities."""
        return run.kernels.exp(y)

    def labels(self, run: Run, y: Any) -> Any:
        """Return the class of the largest output, in the shape of the labels; -1 for NaN."""
        return run.kernels.answered_labels(y, self._axis(y.shape))

    def compared(self, run: Run, of: str, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any, Any]:
        """Return labels (M,), what `of` says of y (M, C), and weights (M,) or None; those of labels to ignore are 0."""
        ignores = self.ignore_label is not None and _are_labels(run, t)
        y, t, weight = self._as_rows(run, y, t, weight)
        weight = _counted(run, y, t, weight) if ignores else weight
        t = t if t.ndim == 1 else run.kernels.answered_labels(t)
        if of == "labels":
            y = run.kernels.answered_labels(y)
        elif of == "probabilities":
            y = self._probable(run, y)
            y = y[:, 1] if y.shape[1] == 2 else y
        return t, y, weight

    def config(self) -> dict[str, Any]:
        """Return the constructor arguments; labels as strings, as in files."""
        config = super().config()
        if isinstance(self.class_weight, dict):
            config["class_weight"] = {str(label): weight for label, weight in self.class_weight.items()}
        return config

    def targets(self, shape: tuple[int, ...], t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t and the sample weights or None.

        t is integers in the shape of the labels, -1 for those to ignore, or distributions in the shape of y; the
        weights are in the shape of the labels.
        """
        labels = shape[:1] if len(shape) == 2 and self.axis is None else self._shape_of_labels(shape)
        if t.shape not in (labels, shape):
            self.output_shape(shape, t.shape)  # says what is wrong
        axis = 1 if len(shape) == 2 else self._axis(shape)
        classes = shape[axis]
        if self.class_weight not in (None, "balanced"):
            of_classes(self._kind, self.class_weight, classes)
        if classes > self._classes:
            self._classes = classes
        if t.shape == shape:
            check_values(t, "t to be distributions of at least 0 that sum to 1", is_distribution(axis))
            t = move(t, place, name="t")
        else:
            ready = place.is_ready(t, place.index_dtype)
            if not ready and not namespace_of(t).isdtype(t.dtype, "integral"):
                raise DTypeError(f"{self._kind} needs integer labels, got {t.dtype}; cast with t.astype(int)")
            check_labels(t, classes, self.ignore_label)
            t = t if ready else move(t, place, place.index_dtype, name="t")
            t = t if self.ignore_label in (None, IGNORED) else marked(t, self.ignore_label)
        return t, None if sample_weight is None else checked_weight(sample_weight, labels, place, fills=True)

    def _scale(self, run: Run, y: Any, t: Any, weight: Any, class_weight: Any) -> Any:
        """Return the scale of each row, 0 at labels to ignore where the kernel might not know them."""
        ignores = self.ignore_label is not None and t.ndim == 1
        if weight is None and class_weight is None and not ignores:
            return 1.0 if self.reduction == "sum" else 1.0 / max(y.shape[0], 1)
        if class_weight is None and ignores:
            weight = _counted(run, y, t, weight)
        if self.reduction == "sum":
            return 1.0 if weight is None else weight
        share = weight if class_weight is None else run.kernels.class_share(t, class_weight, weight)
        return run.kernels.mean_scale(weight, share)

    def _each(
        self, run: Run, shape: tuple[int, ...], y: Any, t: Any, weight: Any, class_weight: Any
    ) -> tuple[Any, Any]:
        """Return the loss of each label; keeps what tells its gradient."""
        if self.ignore_label is not None and t.ndim == 1:
            weight = _counted(run, y, t, weight)
        scale = 1.0 if weight is None else weight
        losses = getattr(run.kernels, f"each_{self.kernel}")(
            y, t, scale, class_weight, *map(vars(self).__getitem__, self.numbers)
        )
        if len(shape) > 2:
            losses = run.kernels.reshape(losses, self._shape_of_labels(shape))
        return losses, (shape, (y, t, weight, class_weight))

    def _as_rows(self, run: Run, y: Any, t: Any, weight: Any) -> tuple[Any, Any, Any]:
        """Return y as (M, C), labels as (M,) or distributions as (M, C), and weights as (M,) or None."""
        axis = self._axis(y.shape)
        t = _flat(run, t) if t.ndim < y.ndim else rows_of(run, t, axis)
        return rows_of(run, y, axis), t, None if weight is None else _flat(run, weight)

    @property
    def _kind(self) -> str:
        return type(self).__name__

    def _axis(self, shape: tuple[int, ...]) -> int:
        return class_axis(self._kind, shape, self.axis)

    def _shape_of_labels(self, y: tuple[int, ...]) -> tuple[int, ...]:
        axis = self._axis(y)
        return y[:axis] + y[axis + 1 :]

    def _hint(self, y: tuple[int, ...], t: tuple[int, ...]) -> str:
        fitting = [i for i in range(1, len(y)) if y[:i] + y[i + 1 :] == t]
        return f": say axis={fitting[0]} if the classes are there" if fitting else ""


def _are_labels(run: Run, t: Any) -> bool:
    return t.ndim == 1 or t.dtype != run.place.dtype


def _counted(run: Run, y: Any, t: Any, weight: Any) -> Any:
    """Return the weights of labels (M,), 0 for those to ignore."""
    return run.kernels.class_share(t, run.constant([1.0] * y.shape[1]), weight)


def _flat(run: Run, array: Any) -> Any:
    """Return an array as one of one axis."""
    return array if array.ndim == 1 else run.kernels.reshape(array, (math.prod(array.shape),))


def _whole(owner: str, name: str, number: Any) -> int | None:
    try:
        return None if number is None else operator.index(number)
    except TypeError:
        raise TypeError(f"{owner} needs {name} to be a whole number, got {number!r}") from None
