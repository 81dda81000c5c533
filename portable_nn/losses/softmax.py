"""Losses of the softmax of outputs. N = batch, C = classes, T = time, H, W = an image."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from portable_nn.layers.layer import Run
from portable_nn.losses.class_loss import ClassLoss
from portable_nn.losses.class_weights import Balanced
from portable_nn.losses.loss import Reduction

__all__ = ["SoftmaxFocalLoss", "SoftmaxWithLoss"]


class SoftmaxWithLoss(ClassLoss):
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

    kernel, numbers = "softmax_loss", ("label_smoothing",)
    options = ("reduction", "label_smoothing", "class_weight", "ignore_label", "axis")

    def __init__(
        self,
        reduction: Reduction = "mean",
        *,
        label_smoothing: float = 0.0,
        class_weight: Sequence[float] | Mapping[int, float] | Balanced | None = None,
        ignore_label: int | None = None,
        axis: int | None = None,
    ):
        super().__init__(reduction, class_weight=class_weight, ignore_label=ignore_label, axis=axis)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"{type(self).__name__} needs label_smoothing in [0, 1), got {label_smoothing}")
        self.label_smoothing = float(label_smoothing)

    def _probable(self, run: Run, y: Any) -> Any:
        return run.kernels.softmax(y)


class SoftmaxFocalLoss(SoftmaxWithLoss):
    """Cross-entropy of the softmax of y in which what is right already counts little. Lin et al. (ICCV 2017), eq. 5.

    l = - sum_c w_c q_c (1 - p_c)^gamma log p_c for each label, with p = softmax(y); with gamma = 0 it is
    `SoftmaxWithLoss`, whose shapes, targets and weights it has.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
    gamma : float
        At least 0: how much less an easy label counts.
    label_smoothing, class_weight, ignore_label, axis : optional
        As in `SoftmaxWithLoss`; the paper's alpha is the class weight.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> loss = pnn.SoftmaxFocalLoss("none")
    >>> print(loss.forward([[4.0, 0.0], [0.0, 0.0]], [0, 0]).round(6).tolist())  # an easy label, and one that is open
    [6e-06, 0.173287]
    """

    kernel, numbers = "softmax_focal_loss", ("label_smoothing", "gamma")
    options = ("reduction", "gamma", "label_smoothing", "class_weight", "ignore_label", "axis")

    def __init__(
        self,
        reduction: Reduction = "mean",
        *,
        gamma: float = 2.0,
        label_smoothing: float = 0.0,
        class_weight: Sequence[float] | Mapping[int, float] | Balanced | None = None,
        ignore_label: int | None = None,
        axis: int | None = None,
    ):
        super().__init__(
            reduction, label_smoothing=label_smoothing, class_weight=class_weight, ignore_label=ignore_label, axis=axis
        )
        if not 0 <= gamma < math.inf:
            raise ValueError(f"SoftmaxFocalLoss needs a finite gamma of at least 0, got {gamma}")
        self.gamma = float(gamma)
