"""Losses of log-probabilities, as `LogSoftmax` gives them. N = batch, C = classes, T = time, H, W = an image."""

from typing import Any

from portable_nn.arrays import Place
from portable_nn.errors import ShapeError
from portable_nn.losses.class_loss import ClassLoss
from portable_nn.losses.loss import Reduction

__all__ = ["KLDivergence", "NegativeLogLikelihood"]


class NegativeLogLikelihood(ClassLoss):
    """The negative log-likelihood of labels or distributions, from log-probabilities y.

    l = - sum_c w_c t_c y_c for each label. y is (N, C), (N, T, C) or (N, C, H, W), what a network that ends in
    `LogSoftmax` gives; `SoftmaxWithLoss` does both from raw outputs, with less rounding. Labels and weights have the
    shapes that they have there.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
    class_weight, ignore_label, axis : optional
        As in `SoftmaxWithLoss`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> import portable_nn as pnn
    >>> loss = pnn.NegativeLogLikelihood()
    >>> print(f"{loss.forward(np.log([[0.5, 0.5], [0.9, 0.1]]), [0, 0]):.4f}")
    0.3993
    """

    kernel = "negative_log_likelihood"
    options = ("reduction", "class_weight", "ignore_label", "axis")


class KLDivergence(ClassLoss):
    """The Kullback-Leibler divergence of log-probabilities y from distributions t.

    l = sum_c t_c (log t_c - y_c) for each distribution, 0 where t_c is. Kullback and Leibler (1951), eq. 2.4.

    y is (N, C), (N, T, C) or (N, C, H, W), what a network that ends in `LogSoftmax` gives, and t has its shape. Sample
    weights are of the shape of y without its classes, or (N,).

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
        "mean" is over the distributions, as torch's "batchmean" and the definition have it.
    axis : int, optional
        Where the classes are in y, as in `SoftmaxWithLoss`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> import portable_nn as pnn
    >>> loss = pnn.KLDivergence()
    >>> print(f"{loss.forward(np.log([[0.5, 0.5]]), [[0.9, 0.1]]):.4f}")
    0.3681
    """

    kernel = "divergence"
    options = ("reduction", "axis")

    def __init__(self, reduction: Reduction = "mean", *, axis: int | None = None):
        super().__init__(reduction, axis=axis)

    def targets(self, shape: tuple[int, ...], t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t, distributions in the shape of y, and the sample weights or None."""
        if t.shape != shape:
            raise ShapeError(f"KLDivergence needs t of shape {shape}, distributions as y has them, got {t.shape}")
        return super().targets(shape, t, place, sample_weight)
