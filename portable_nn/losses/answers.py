"""Losses of yes-or-no answers, element by element. N = batch, ... = the axes of one sample, C = outputs."""

import math
from collections.abc import Sequence
from typing import Any

from portable_nn.arrays import is_array, to_numpy
from portable_nn.errors import ShapeError
from portable_nn.layers.layer import Arrays, Run
from portable_nn.losses.classes import class_axis
from portable_nn.losses.element_loss import ElementLoss, as_scale
from portable_nn.losses.loss import Reduction
from portable_nn.losses.targets import between, check_values

__all__ = ["Hinge", "SigmoidFocalLoss", "SigmoidWithLoss", "SquaredHinge"]


class _OfAnswers(ElementLoss):
    """Counts the outputs whose sign is right."""

    counts_correct = "count_correct_signs"
    compares = ("labels", "scores", "outputs")

    def answers(self, shape: tuple[int, ...]) -> int:
        """Return the number of outputs of all samples."""
        return math.prod(shape)

    def labels(self, run: Run, y: Any) -> Any:
        """Return 1 where y is positive, 0 where it is not, -1 for NaN; of one output (N,)."""
        labels = run.kernels.answered_signs(y)
        return run.kernels.reshape(labels, y.shape[:1]) if math.prod(y.shape[1:]) == 1 else labels

    def compared(self, run: Run, of: str, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any, Any]:
        """Return labels 1 and 0, (N,) of one output, (N, K) of K, what `of` says of y, and weights so, (N,) or None."""
        outputs, kernels = math.prod(y.shape[1:]), run.kernels
        shape = y.shape[:1] if outputs == 1 else (y.shape[0], outputs)
        y, t = kernels.reshape(y, shape), kernels.answered_signs(kernels.reshape(t, shape), 0.5)
        if weight is not None and weight.ndim > 1:
            weight = kernels.reshape(weight, shape)
        if of == "labels":
            y = kernels.answered_signs(y)
        elif of == "probabilities":
            y = self.probabilities(run, y)
        elif of == "scores" and outputs == 1:
            y = kernels.two_scores(y)
        return t, y, weight


class SigmoidWithLoss(_OfAnswers):
    """Cross-entropy of the sigmoid of y (N, ...), one yes-or-no question an output: t (N, ...) in [0, 1].

    l = - w t log sigmoid(y) - (1 - t) log sigmoid(-y), averaged. For one output t may also be of shape (N,). Several
    outputs may be true at once (multi-label). Sample weights are (N,) or of the shape of y.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
        "mean" divides by the number of outputs or the sum of the sample weights, whatever `pos_weight` is.
    pos_weight : float, or sequence of C floats, optional
        w, what a yes counts; a number for each output has them where `SoftmaxWithLoss` has classes: in the last axis of
        y, but at axis 1 of images (N, C, H, W). With (number of noes) / (number of yeses) both count as much together.

    Raises
    ------
    TypeError, ValueError
        If a weight is no number, or not finite and at least 0.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> loss = pnn.SigmoidWithLoss("none", pos_weight=3.0)
    >>> print(loss.forward([[0.0, 0.0]], [[1.0, 0.0]]).round(4).tolist())
    [[2.0794, 0.6931]]
    """

    kernel = "sigmoid_loss"
    compares = ("labels", "probabilities", "scores", "outputs")
    options = ("reduction", "pos_weight")
    constants = (2,)

    def __init__(self, reduction: Reduction = "mean", *, pos_weight: float | Sequence[float] | None = None):
        super().__init__(reduction)
        self.pos_weight: float | list[float] | None = None if pos_weight is None else _pos_weight(pos_weight)

    def probabilities(self, run: Run, y: Any) -> Any:
        """Return sigmoid(y), the probability of yes."""
        return run.kernels.sigmoid(y)

    def _extra(self, run: Run, y: Any) -> tuple[Any, ...]:
        if self.pos_weight is None:
            return ()
        if not isinstance(self.pos_weight, list):
            return (run.constant([self.pos_weight]),)
        after = y.ndim - 1 - class_axis("SigmoidWithLoss", y.shape, None)
        weights = run.constant(self.pos_weight)
        return (run.kernels.reshape(weights, (*weights.shape, *(1,) * after)) if after else weights,)

    def _targets_of(self, y: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(self.pos_weight, list):
            axis = class_axis("SigmoidWithLoss", y, None)
            if y[axis] != len(self.pos_weight):
                raise ShapeError(
                    f"SigmoidWithLoss has pos_weight for {len(self.pos_weight)} outputs, but y of shape {y} has "
                    f"{y[axis]} at axis {axis}"
                )
        return y

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dout: Any) -> tuple[Any, Arrays]:
        """Return dy and dt."""
        dy = self.gradient(run, saved, dout)
        if self.reduction == "none":
            dout, saved = as_scale(run, dout, saved, self.weighted_shape(saved[0].shape))
        return (dy, run.kernels.sigmoid_loss_target_gradient(dout, *saved)), {}

    def _check(self, t: Any) -> None:
        check_values(t, "t from 0 to 1", between(0, 1, inclusive=True))


class SigmoidFocalLoss(SigmoidWithLoss):
    """Cross-entropy of the sigmoid of y in which answers that are right already count little.

    l = - a t (1 - p)^gamma log p - (1 - a) (1 - t) p^gamma log(1 - p), averaged, with p = sigmoid(y) and a = alpha:
    y (N, ...), t (N, ...) in [0, 1], for one output also (N,). Lin et al. (ICCV 2017), eq. 5, where t is 0 or 1. Sample
    weights are (N,) or of the shape of y.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
    gamma : float
        At least 0: how much less an easy answer counts.
    alpha : float, optional
        From 0 to 1, what a yes counts, and 1 - alpha a no; None for 1 and 1. (torchvision says -1 for that.)

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> loss = pnn.SigmoidFocalLoss("none", alpha=None)
    >>> print(loss.forward([[4.0, 0.0]], [[1.0, 1.0]]).round(6).tolist())  # an easy answer, and one that is open
    [[6e-06, 0.173287]]
    """

    kernel = "sigmoid_focal_loss"
    options = ("reduction", "gamma", "alpha")
    constants = (1, 2)

    def __init__(self, reduction: Reduction = "mean", *, gamma: float = 2.0, alpha: float | None = 0.25):
        super().__init__(reduction)
        if not 0 <= gamma < math.inf:
            raise ValueError(f"SigmoidFocalLoss needs a finite gamma of at least 0, got {gamma}")
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(f"SigmoidFocalLoss needs alpha from 0 to 1, or None for no weights, got {alpha}")
        self.gamma = float(gamma)
        self.alpha = None if alpha is None else float(alpha)

    def _extra(self, run: Run, y: Any) -> tuple[float, ...]:
        return (self.gamma, 1.0, 1.0) if self.alpha is None else (self.gamma, self.alpha, 1.0 - self.alpha)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dout: Any) -> tuple[Any, Arrays]:
        """Return dy; t is a constant."""
        return self.gradient(run, saved, dout), {}


class Hinge(_OfAnswers):
    """max(0, 1 - t y), averaged: y (N, ...), t of -1 and 1 in its shape, for one output also (N,).

    Cortes and Vapnik, Machine Learning 20 (1995) 273-297. Sample weights are (N,) or of the shape of y.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.Hinge("none").forward([2.0, 0.5, -1.0], [1, 1, 1]).tolist())
    [0.0, 0.5, 2.0]
    """

    kernel = "hinge_loss"

    def _check(self, t: Any) -> None:
        check_values(t, "t of -1 and 1 (2 t - 1 makes them of 0 and 1)", _is_sign)


class SquaredHinge(Hinge):
    """max(0, 1 - t y)^2, averaged: y (N, ...), t of -1 and 1 in its shape, for one output also (N,).

    Sample weights are (N,) or of the shape of y.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.SquaredHinge("none").forward([2.0, 0.5, -1.0], [1, 1, 1]).tolist())
    [0.0, 0.25, 4.0]
    """

    kernel = "squared_hinge_loss"


def _is_sign(values: Any) -> Any:
    return (values == 1) | (values == -1)


def _pos_weight(given: Any) -> float | list[float]:
    """Return the weight of the answer yes as a float, or one for each output."""
    given = to_numpy(given).tolist() if is_array(given) else given
    try:
        if isinstance(given, str):  # whose characters may be numbers
            raise TypeError
        weights = float(given) if isinstance(given, int | float) else [float(weight) for weight in given]
    except TypeError:
        raise TypeError(
            f"SigmoidWithLoss needs pos_weight to be a number or one for each output, got {given!r}"
        ) from None
    listed = weights if isinstance(weights, list) else [weights]
    if not listed or not all(0 <= weight < math.inf for weight in listed):
        raise ValueError(f"SigmoidWithLoss needs a finite pos_weight of at least 0, got {given!r}")
    return weights
