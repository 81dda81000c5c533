"""Losses, each from the raw outputs of a network. N = batch, C = classes, ... = the axes of one sample.

Like a layer, a loss has two pure passes for networks, and `forward` and `backward` for itself alone. The maths and its
sources stand in `kernels/portable/losses.py`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from portable_nn.arrays import Array, Place, device_of, is_on_cpu, move, namespace_of, to_numpy
from portable_nn.errors import DTypeError, LabelError, ShapeError
from portable_nn.layers.layer import Run

__all__ = ["Huber", "Loss", "MeanAbsoluteError", "MeanSquaredError", "SigmoidWithLoss", "SoftmaxWithLoss"]


class Loss:
    """A number from outputs y and targets t, small where they agree.

    Parameters
    ----------
    reduction : "mean" or "sum"
        "mean" divides the sum by the number of samples times outputs (SoftmaxWithLoss: of samples), or, with sample or
        class weights, by the sum of the weights: a weighted mean. "sum" leaves the weighted sum.

    Raises
    ------
    ValueError
        If `reduction` is neither.
    """

    options: ClassVar[tuple[str, ...]] = ("reduction",)
    counts_correct: ClassVar[str | None] = None
    """The kernel that counts right answers; None where there is no right and wrong."""

    def __init__(self, reduction: Literal["mean", "sum"] = "mean"):
        if reduction not in ("mean", "sum"):
            raise ValueError(f'{type(self).__name__} needs reduction "mean" or "sum", got {reduction!r}')
        self.reduction = reduction
        self._kept: Any = None

    # Pure, for networks.

    def forward_pass(self, run: Run, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss, a 0-d array, and what the backward pass needs; t and weight as `targets` returns them."""
        raise NotImplementedError

    def backward_pass(self, run: Run, kept: Any, dout: Any = 1.0) -> Any:
        """Return dy for dout, the derivative by the loss."""
        raise NotImplementedError

    def targets(self, shape: tuple[int, ...], t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t and the sample weights at `place`, checked against outputs y of `shape`.

        Values are checked where they can be read without waiting for another device.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError
            If t or the weights do not fit.
        """
        raise NotImplementedError

    def answers(self, shape: tuple[int, ...]) -> int:
        """Return how many answers outputs of `shape` give, of which `counts_correct` counts the right ones."""
        return shape[0]

    # On its own.

    def forward(self, y: Array, t: Array, *, sample_weight: Array | None = None) -> Any:
        """Return the loss, a 0-d array.

        Parameters
        ----------
        y : array of shape (N, ...)
            Raw outputs, of a floating data type.
        t : array
            Targets: shape and data type as the class says.
        sample_weight : array of shape (N,), optional

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError
            If the arguments do not fit together.
        """
        if not namespace_of(y).isdtype(y.dtype, "real floating"):
            raise DTypeError(f"{type(self).__name__} needs y of a floating dtype, got {y.dtype}")
        place = Place(namespace_of(y), device_of(y), str(y.dtype).rpartition(".")[2])
        run = Run(place, training=True)
        loss, kept = self.forward_pass(run, y, *self.targets(y.shape, t, place, sample_weight))
        self._kept = (run, kept)
        return loss

    def backward(self, dout: float | Array = 1.0) -> Any:
        """Return dy, the gradient of dout times the last loss by y.

        Raises
        ------
        RuntimeError
            If there was no `forward`.
        """
        if self._kept is None:
            raise RuntimeError(f"{type(self).__name__} needs a forward pass before backward")
        return self.backward_pass(*self._kept, dout)

    def config(self) -> dict[str, Any]:
        """Return the constructor arguments that make a loss like this one."""
        return {name: getattr(self, name) for name in self.options}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": None}  # a copy starts without what the last pass left behind

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.config().items())})"


class SoftmaxWithLoss(Loss):
    """Cross-entropy of the softmax of y (N, C), against integer labels t (N,) or one-hot or other distributions (N, C).

    Parameters
    ----------
    reduction : "mean" or "sum"
    label_smoothing : float
        In [0, 1): this share of each target is spread evenly over the classes. Szegedy et al. (CVPR 2016), section 7.
    class_weight : sequence of C numbers, optional
        What an error in each class counts; "mean" then divides by the sum of the weights of the targets, as torch does.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """

    options = ("reduction", "label_smoothing", "class_weight")
    counts_correct = "count_correct"

    def __init__(
        self,
        reduction: Literal["mean", "sum"] = "mean",
        *,
        label_smoothing: float = 0.0,
        class_weight: Sequence[float] | None = None,
    ):
        super().__init__(reduction)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"SoftmaxWithLoss needs label_smoothing in [0, 1), got {label_smoothing}")
        self.label_smoothing = float(label_smoothing)
        self.class_weight = None if class_weight is None else [float(weight) for weight in class_weight]
        if not all(0 <= weight < math.inf for weight in self.class_weight or ()):
            raise ValueError(f"SoftmaxWithLoss needs finite class weights of at least 0, got {self.class_weight}")

    def forward_pass(self, run: Run, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss; keeps log-probabilities, weighted targets and the scale."""
        class_weight = None if self.class_weight is None else run.place.asarray(self.class_weight, y.dtype)
        scale = self._scale(run, y, t, weight, class_weight)
        loss, (log_p, q) = run.kernels.softmax_loss(y, t, scale, class_weight, self.label_smoothing)
        return loss, (log_p, q, scale)

    def backward_pass(self, run: Run, kept: Any, dout: Any = 1.0) -> Any:
        """Return dy = dout scale (softmax(y) - t), weighted."""
        return run.kernels.softmax_loss_gradient(dout, *kept)

    def _scale(self, run: Run, y: Any, t: Any, weight: Any, class_weight: Any) -> Any:
        if weight is None and class_weight is None:
            return 1.0 if self.reduction == "sum" else 1.0 / max(y.shape[0], 1)
        if weight is None:
            weight = run.kernels.ones(y)
        if self.reduction == "sum":
            return weight
        share = weight
        if class_weight is not None:
            share = run.kernels.multiply(weight, run.kernels.class_share(y, t, class_weight))
        return run.kernels.mean_scale(weight, share)

    def targets(self, shape: tuple[int, ...], t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t as integers (N,) or as a distribution (N, C), and the sample weights (N,) or None."""
        if len(shape) != 2:
            raise ShapeError(f"SoftmaxWithLoss needs y of shape (N, C), got {shape}")
        samples, classes = shape
        if self.class_weight is not None and len(self.class_weight) != classes:
            raise ShapeError(f"SoftmaxWithLoss has {len(self.class_weight)} class weights, but y has {classes} classes")
        xp = namespace_of(t)
        if t.ndim == 2 and t.shape == shape:
            t = move(t, place, name="t")
            _check_values(t, "t to be distributions, rows of at least 0 that sum to 1", _is_distribution)
        elif t.shape == (samples,):
            if not xp.isdtype(t.dtype, "integral"):
                raise DTypeError(f"SoftmaxWithLoss needs integer labels, got {t.dtype}; cast with t.astype(int)")
            _check_values(t, f"labels from 0 to {classes - 1}", _between(0, classes))
            t = move(t, place, place.index_dtype, name="t")
        else:
            raise ShapeError(f"SoftmaxWithLoss needs t of shape ({samples},) or {shape}, got {t.shape}")
        return t, _checked_weight(sample_weight, samples, place)


class _ElementwiseLoss(Loss):
    """A loss that sums over the outputs: kernels `kernel(y, t, scale, *extra)` and `kernel_gradient(dout, ...)`."""

    kernel: ClassVar[str]

    def _extra(self) -> tuple[float, ...]:
        return ()

    def forward_pass(self, run: Run, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss; keeps y, t and the scale."""
        kept = (y, t, self._scale(run, y, weight), *self._extra())
        return getattr(run.kernels, self.kernel)(*kept), kept

    def backward_pass(self, run: Run, kept: Any, dout: Any = 1.0) -> Any:
        """Return dy."""
        return getattr(run.kernels, self.kernel + "_gradient")(dout, *kept)

    def _scale(self, run: Run, y: Any, weight: Any) -> Any:
        outputs = math.prod(y.shape[1:])
        if weight is None:
            return 1.0 if self.reduction == "sum" else 1.0 / max(y.shape[0] * outputs, 1)
        return (
            weight
            if self.reduction == "sum"
            else run.kernels.mean_scale(weight, run.kernels.multiply(weight, float(outputs)))
        )

    def targets(self, shape: tuple[int, ...], t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t in the shape of y, and the sample weights (N,) or None."""
        xp = namespace_of(t)
        if not xp.isdtype(t.dtype, ("real floating", "integral", "bool")):
            raise DTypeError(f"{type(self).__name__} needs t of real numbers, got {t.dtype}")
        if t.ndim == 1 and shape == (t.shape[0], 1):
            t = xp.reshape(t, shape)
        if t.shape != shape:
            raise ShapeError(f"{type(self).__name__} needs t of shape {shape}, as y has, got {t.shape}")
        t = move(t, place, name="t")
        self._check(t)
        return t, _checked_weight(sample_weight, shape[0], place)

    def _check(self, t: Any) -> None:
        _check_values(t, "t to be finite", _is_finite)


class SigmoidWithLoss(_ElementwiseLoss):
    """Cross-entropy of the sigmoid of y (N, ...), one yes-or-no question an output: t (N, ...) in [0, 1].

    For one output t may also be of shape (N,). Several outputs may be true at once (multi-label).
    """

    kernel = "sigmoid_loss"
    counts_correct = "count_correct_signs"

    def _check(self, t: Any) -> None:
        _check_values(t, "t from 0 to 1", _between(0, 1, inclusive=True))

    def answers(self, shape: tuple[int, ...]) -> int:
        """Return the number of outputs of all samples."""
        return math.prod(shape)


class MeanSquaredError(_ElementwiseLoss):
    """(y - t)^2, averaged: y, t (N, ...); for one output t may also be of shape (N,)."""

    kernel = "squared_error"


class MeanAbsoluteError(_ElementwiseLoss):
    """|y - t|, averaged: y, t (N, ...); for one output t may also be of shape (N,)."""

    kernel = "absolute_error"


class Huber(_ElementwiseLoss):
    """Half the squared error up to `delta`, linear beyond, averaged. Huber (1964).

    Parameters
    ----------
    reduction : "mean" or "sum"
    delta : float
        Positive, in the units of y.

    Raises
    ------
    ValueError
        If `delta` is not positive.
    """

    kernel = "huber_error"
    options = ("reduction", "delta")

    def __init__(self, reduction: Literal["mean", "sum"] = "mean", *, delta: float = 1.0):
        super().__init__(reduction)
        if not delta > 0:
            raise ValueError(f"Huber needs a positive delta, got {delta}")
        self.delta = float(delta)

    def _extra(self) -> tuple[float, ...]:
        return (self.delta,)


def _is_finite(values: Any) -> Any:
    return abs(values) < math.inf


def _between(low: float, high: float, *, inclusive: bool = False) -> Callable[[Any], Any]:
    def test(values: Any) -> Any:
        return (values >= low) & ((values <= high) if inclusive else (values < high))

    return test


def _is_distribution(rows: Any) -> Any:
    total = rows.sum(axis=-1, keepdims=True)
    return (rows >= 0) & (abs(total - 1) < 1e-3)


def _check_values(array: Any, needed: str, is_good: Callable[[Any], Any]) -> None:
    """Raise LabelError unless all values of `array` are good; arrays on another device are taken at their word."""
    if not is_on_cpu(array):
        return
    values = to_numpy(array)
    good = is_good(values)
    if not good.all():
        raise LabelError(f"the loss needs {needed}, got {values[~good].flat[0]}")


def _checked_weight(weight: Any, samples: int, place: Place) -> Any:
    if weight is None:
        return None
    weight = move(weight, place, name="sample_weight")
    if weight.shape != (samples,):
        raise ShapeError(f"sample_weight needs shape ({samples},), got {weight.shape}")
    _check_values(weight, "finite sample weights of at least 0", _between(0, math.inf))
    return weight
