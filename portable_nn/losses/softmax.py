"""Cross-entropy of a softmax. N = batch, C = classes, T = time, H, W = an image, M = all labels of a batch."""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from portable_nn.arrays import Place, move, namespace_of
from portable_nn.errors import DTypeError, ShapeError
from portable_nn.layers.layer import Arrays, Run
from portable_nn.losses.class_weights import Balanced, ClassWeights, balanced, checked_class_weight, of_classes
from portable_nn.losses.classes import class_axis, from_rows, rows_of
from portable_nn.losses.loss import Loss, Reduction
from portable_nn.losses.targets import IGNORED, check_labels, check_values, checked_weight, is_distribution, marked

__all__ = ["SoftmaxWithLoss"]


class SoftmaxWithLoss(Loss):
    """Cross-entropy of the softmax of y along its classes, against integer labels, one-hot or other distributions.

    l = - sum_c w_c q_c log softmax(y)_c for each label, with q the target, smoothed. y is (N, C), a sequence (N, T, C)
    or images (N, C, H, W); its labels t are (N,), (N, T) or (N, H, W), its distributions of the shape of y. Sample
    weights are of the shape of the labels or (N,), for all labels of a sample.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
        "mean" is over all labels: divided by their number, or, with sample or class weights, by the sum of the weights.
    label_smoothing : float
        In [0, 1): this share of each target is spread evenly over the classes. Szegedy et al. (CVPR 2016), section 7.
    class_weight : sequence of C numbers, mapping of labels to numbers, or "balanced", optional
        What an error in each class counts, 1 for labels that a mapping leaves out; "mean" then divides by the sum
        of the weights of the targets, as torch does for integer labels. "balanced" has the next `fit` put
        {label: N / (C count)} there, for the C classes among the N labels that it trains on.
    ignore_label : int, optional
        The integer label that counts nothing: not in the loss, its gradient, a mean or the accuracy. A batch in which
        nothing else is has the loss 0 and the gradient 0. (torch's `ignore_index`, -100 there, gives NaN then.)
    axis : int, optional
        Where the classes are in y. By default they are last in y of 2 or 3 axes, and at axis 1 where there are more.
        (torch has them at axis 1 always: that is axis=1.)

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> y = [[[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]]]  # a sequence of 3 steps, 2 classes
    >>> loss = pnn.SoftmaxWithLoss(ignore_label=-1)
    >>> print(f"{loss.forward(y, [[0, 1, -1]]):.4f}")
    0.1269
    >>> print(loss.backward().round(3).tolist())
    [[[-0.06, 0.06], [0.06, -0.06], [0.0, 0.0]]]
    """

    options = ("reduction", "label_smoothing", "class_weight", "ignore_label", "axis")
    counts_correct = "count_correct"

    def __init__(
        self,
        reduction: Reduction = "mean",
        *,
        label_smoothing: float = 0.0,
        class_weight: Sequence[float] | Mapping[int, float] | Balanced | None = None,
        ignore_label: int | None = None,
        axis: int | None = None,
    ):
        super().__init__(reduction)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"SoftmaxWithLoss needs label_smoothing in [0, 1), got {label_smoothing}")
        self.label_smoothing = float(label_smoothing)
        self.class_weight: ClassWeights | None = None if class_weight is None else checked_class_weight(class_weight)
        self.ignore_label = _whole("ignore_label", ignore_label)
        self.axis = _whole("axis", axis)
        if self.axis == 0:
            raise ValueError("SoftmaxWithLoss needs the axis of the classes, got 0, that of the batch")
        self._classes = 0  # the most there were; labels alone do not tell

    def forward_pass(self, run: Run, params: Arrays, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss; keeps what the kernel says, and the shape of y."""
        shape = y.shape
        if y.ndim > 2:
            y, t, weight = self._as_rows(run, y, t, weight)
        class_weight = None if self.class_weight is None else run.constant(of_classes(self.class_weight, y.shape[1]))
        if self.reduction == "none":
            return self._each(run, shape, y, t, weight, class_weight)
        scale = self._scale(run, y, t, weight, class_weight)
        loss, saved = run.kernels.softmax_loss(y, t, scale, class_weight, self.label_smoothing)
        return loss, (shape, saved)

    def gradient(self, run: Run, saved: Any, dout: Any = 1.0) -> Any:
        """Return dy = dout scale (softmax(y) - t), weighted."""
        shape, saved = saved
        if self.reduction == "none":
            y, t, weight, class_weight = saved
            if not isinstance(dout, float) and dout.ndim > 1:
                dout = run.kernels.reshape(dout, (y.shape[0],))
            dout = dout if weight is None else run.kernels.multiply(weight, dout)
            # The loss of these weights, whose gradient is wanted, is of no use.
            _, saved = run.kernels.softmax_loss(y, t, dout, class_weight, self.label_smoothing)
            dout = 1.0
        dy = run.kernels.softmax_loss_gradient(dout, saved)
        return dy if len(shape) == 2 else from_rows(run, dy, shape, class_axis(shape, self.axis))

    def output_shape(
        self, y: tuple[int, ...], t: tuple[int, ...], weight: tuple[int, ...] | None = None
    ) -> tuple[int, ...]:
        """Return (), the shape of the loss, or with reduction "none" that of the labels."""
        labels = self._shape_of_labels(y)
        if t not in (labels, y):
            if len(y) == 2:
                raise ShapeError(f"SoftmaxWithLoss needs t of shape {labels} or {y}, got {t}")
            where = "last" if class_axis(y, self.axis) == len(y) - 1 else f"at axis {class_axis(y, self.axis)}"
            raise ShapeError(
                f"SoftmaxWithLoss needs t of shape {labels}, labels, or {y}, distributions, for y of shape {y} with "
                f"the classes {where}, got {t}" + self._hint(y, t)
            )
        self._check_weight(y, weight, labels)
        return labels if self.reduction == "none" else ()

    def before_training(self, t: Any) -> None:
        """Put the numbers there that balance the classes, if that was asked for."""
        if self.class_weight == "balanced":
            if t is None:
                raise ValueError(
                    'SoftmaxWithLoss has class_weight="balanced", which needs the targets of all samples as an array: '
                    "give numbers for an iterable of batches"
                )
            self.class_weight = balanced(t, self.axis)

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
            t = _flat(run, t) if labelled else rows_of(run, t, class_axis(t.shape, self.axis))
        classes = self._classes if labelled else t.shape[1]
        weights = [1.0] * classes if self.class_weight is None else of_classes(self.class_weight, classes)
        return run.kernels.class_total(t, run.constant(weights), None if weight is None else _flat(run, weight))

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
        axis = 1 if len(shape) == 2 else class_axis(shape, self.axis)
        classes = shape[axis]
        if self.class_weight not in (None, "balanced"):
            of_classes(self.class_weight, classes)
        if classes > self._classes:
            self._classes = classes
        if t.shape == shape:
            check_values(t, "t to be distributions of at least 0 that sum to 1", is_distribution(axis))
            t = move(t, place, name="t")
        else:
            ready = place.is_ready(t, place.index_dtype)
            if not ready and not namespace_of(t).isdtype(t.dtype, "integral"):
                raise DTypeError(f"SoftmaxWithLoss needs integer labels, got {t.dtype}; cast with t.astype(int)")
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
        losses = run.kernels.each_softmax_loss(y, t, scale, class_weight, self.label_smoothing)
        if len(shape) > 2:
            losses = run.kernels.reshape(losses, self._shape_of_labels(shape))
        return losses, (shape, (y, t, weight, class_weight))

    def _as_rows(self, run: Run, y: Any, t: Any, weight: Any) -> tuple[Any, Any, Any]:
        """Return y as (M, C), labels as (M,) or distributions as (M, C), and weights as (M,) or None."""
        axis = class_axis(y.shape, self.axis)
        t = _flat(run, t) if t.ndim < y.ndim else rows_of(run, t, axis)
        return rows_of(run, y, axis), t, None if weight is None else _flat(run, weight)

    def _shape_of_labels(self, y: tuple[int, ...]) -> tuple[int, ...]:
        axis = class_axis(y, self.axis)
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


def _whole(name: str, number: Any) -> int | None:
    try:
        return None if number is None else operator.index(number)
    except TypeError:
        raise TypeError(f"SoftmaxWithLoss needs {name} to be a whole number, got {number!r}") from None
