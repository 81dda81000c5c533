"""Cross-entropy of a softmax. N = batch, C = classes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from portable_nn.arrays import Place, move, namespace_of
from portable_nn.errors import DTypeError, ShapeError
from portable_nn.layers.layer import Arrays, Run
from portable_nn.losses.class_weights import ClassWeights, balanced, checked_class_weight, of_classes
from portable_nn.losses.loss import Loss
from portable_nn.losses.targets import check_labels, check_values, checked_weight, is_distribution

__all__ = ["SoftmaxWithLoss"]


class SoftmaxWithLoss(Loss):
    """Cross-entropy of the softmax of y (N, C), against integer labels t (N,) or one-hot or other distributions (N, C).

    Parameters
    ----------
    reduction : "mean" or "sum"
    label_smoothing : float
        In [0, 1): this share of each target is spread evenly over the classes. Szegedy et al. (CVPR 2016), section 7.
    class_weight : sequence of C numbers, mapping of labels to numbers, or "balanced", optional
        What an error in each class counts, 1 for labels that a mapping leaves out; "mean" then divides by the sum
        of the weights of the targets, as torch does for integer labels. "balanced" has the next `fit` put
        {label: N / (C count)} there, for the C labels among the N samples that it trains on.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or out of its range.
    """

    options = ("reduction", "label_smoothing", "class_weight")
    counts_correct = "count_correct"

    def __init__(
        self,
        reduction: Literal["mean", "sum"] = "mean",
        *,
        label_smoothing: float = 0.0,
        class_weight: Sequence[float] | Mapping[int, float] | Literal["balanced"] | None = None,
    ):
        super().__init__(reduction)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"SoftmaxWithLoss needs label_smoothing in [0, 1), got {label_smoothing}")
        self.label_smoothing = float(label_smoothing)
        self.class_weight: ClassWeights | None = None if class_weight is None else checked_class_weight(class_weight)
        self._classes = 0  # the most there were; labels alone do not tell

    def forward_pass(self, run: Run, params: Arrays, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss; keeps what the kernel says."""
        class_weight = None if self.class_weight is None else run.constant(of_classes(self.class_weight, y.shape[1]))
        scale = self._scale(run, y, t, weight, class_weight)
        return run.kernels.softmax_loss(y, t, scale, class_weight, self.label_smoothing)

    def gradient(self, run: Run, saved: Any, dout: Any = 1.0) -> Any:
        """Return dy = dout scale (softmax(y) - t), weighted."""
        return run.kernels.softmax_loss_gradient(dout, saved)

    def output_shape(
        self, y: tuple[int, ...], t: tuple[int, ...], weight: tuple[int, ...] | None = None
    ) -> tuple[int, ...]:
        """Return (), the shape of the loss: y (N, C), t (N,) or (N, C), weights (N,)."""
        if len(y) != 2:
            raise ShapeError(f"SoftmaxWithLoss needs y of shape (N, C), got {y}")
        if t not in (y[:1], y):
            raise ShapeError(f"SoftmaxWithLoss needs t of shape {y[:1]} or {y}, got {t}")
        self._check_weight(y, weight)
        return ()

    def before_training(self, t: Any) -> None:
        """Put the numbers there that balance the classes, if that was asked for."""
        if self.class_weight == "balanced":
            if t is None:
                raise ValueError(
                    'SoftmaxWithLoss has class_weight="balanced", which needs the targets of all samples as an array: '
                    "give numbers for an iterable of batches"
                )
            self.class_weight = balanced(t)

    def total_weight(self, run: Run, t: Any, weight: Any = None) -> Any:
        """Return the number of samples, or the sum of their weights times those of their classes."""
        if self.class_weight is None:
            return t.shape[0] if weight is None else run.kernels.total(weight)
        classes = self._classes if t.ndim == 1 else t.shape[1]
        return run.kernels.class_total(t, run.constant(of_classes(self.class_weight, classes)), weight)

    def config(self) -> dict[str, Any]:
        """Return the constructor arguments; labels as strings, as in files."""
        config = super().config()
        if isinstance(self.class_weight, dict):
            config["class_weight"] = {str(label): weight for label, weight in self.class_weight.items()}
        return config

    def _scale(self, run: Run, y: Any, t: Any, weight: Any, class_weight: Any) -> Any:
        if weight is None and class_weight is None:
            return 1.0 if self.reduction == "sum" else 1.0 / max(y.shape[0], 1)
        if weight is None and self.reduction == "sum":
            return 1.0
        if self.reduction == "sum":
            return weight
        share = weight if class_weight is None else run.kernels.class_share(t, class_weight, weight)
        return run.kernels.mean_scale(weight, share)

    def targets(self, shape: tuple[int, ...], t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t as integers (N,) or as a distribution (N, C), and the sample weights (N,) or None."""
        if len(shape) != 2 or t.shape not in (shape[:1], shape):
            self.output_shape(shape, t.shape)  # says what is wrong
        samples, classes = shape
        if self.class_weight not in (None, "balanced"):
            of_classes(self.class_weight, classes)
        if classes > self._classes:
            self._classes = classes
        if t.shape == shape:
            check_values(t, "t to be distributions, rows of at least 0 that sum to 1", is_distribution)
            t = move(t, place, name="t")
        else:
            ready = place.is_ready(t, place.index_dtype)
            if not ready and not namespace_of(t).isdtype(t.dtype, "integral"):
                raise DTypeError(f"SoftmaxWithLoss needs integer labels, got {t.dtype}; cast with t.astype(int)")
            check_labels(t, classes)
            t = t if ready else move(t, place, place.index_dtype, name="t")
        return t, None if sample_weight is None else checked_weight(sample_weight, samples, place)
