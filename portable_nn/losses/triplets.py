"""Losses of embeddings by their distances within a batch. N = batch, E = features of an embedding."""

import math
from typing import Any, Literal, TypeAlias

from portable_nn.arrays import Place, move, namespace_of
from portable_nn.errors import DTypeError, ShapeError
from portable_nn.layers.layer import Arrays, Run
from portable_nn.losses.loss import Loss, Reduction

__all__ = ["TripletLoss"]

Mining: TypeAlias = Literal["hardest", "all"]


class TripletLoss(Loss):
    """Embeddings y (N, E) of one label nearer to each other than to others, by a margin: integer labels t (N,).

    Each row a of a batch is an anchor, with the other rows p of its label and the rows n of other labels:
    l_a = [margin + max_p |y_a - y_p| - min_n |y_a - y_n|]_+, or with `mining="all"` the sum over all pairs of
    [margin + |y_a - y_p| - |y_a - y_n|]_+. An anchor without a p or an n in the batch counts nothing. Hermans, Beyer,
    Leibe, In defense of the triplet loss (arXiv 1703.07737), eq. 5, and their "batch all".

    Labels may be any whole numbers. A batch needs several rows of a label; where shuffling many labels does not give
    that, pass batches that hold each of theirs a few times. There are no sample weights, no padding of rows and no
    `accumulate`, as each row counts in the losses of others. (torch's `TripletMarginLoss` takes triplets that are mined
    already; TensorFlow Addons' `TripletSemiHardLoss` mines others.)

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
        "mean" is over the anchors that have a p and an n, or with `mining="all"` over all triplets; 0 without any.
        "none" leaves l_a (N,).
    margin : float
        Above 0: how much nearer.
    mining : "hardest" or "all"

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> y, t = [[0.0, 0.0], [3.0, 4.0], [0.0, 5.5], [9.0, 9.0]], [0, 0, 1, 2]  # the last two have no p
    >>> print(pnn.TripletLoss("none", margin=1.0).forward(y, t).round(3).tolist())
    [0.5, 2.646, 0.0, 0.0]
    >>> print(f"{pnn.TripletLoss(margin=1.0).forward(y, t):.3f}")
    1.573
    """

    options = ("reduction", "margin", "mining")
    compares = ("outputs",)
    sums_over_samples = False

    def __init__(self, reduction: Reduction = "mean", *, margin: float = 1.0, mining: Mining = "hardest"):
        super().__init__(reduction)
        if not 0 < margin < math.inf:
            raise ValueError(f"TripletLoss needs a finite margin above 0, got {margin}")
        if mining not in ("hardest", "all"):
            raise ValueError(f'TripletLoss needs mining "hardest" or "all", got {mining!r}')
        self.margin, self.mining = float(margin), mining

    def forward_pass(self, run: Run, params: Arrays, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss; keeps y and the slopes by its distances."""
        hardest = self.mining == "hardest"
        if self.reduction == "none":
            return run.kernels.each_triplet_loss(y, t, self.margin, hardest)
        return run.kernels.triplet_loss(y, t, self.margin, hardest, self.reduction == "mean")

    def gradient(self, run: Run, saved: Any, dout: Any = 1.0) -> Any:
        """Return dy."""
        return run.kernels.triplet_loss_gradient(dout, saved)

    def total_weight(self, run: Run, t: Any, weight: Any = None) -> Any:
        """Return the number of anchors that count, or of triplets."""
        return run.kernels.triplet_count(t, self.mining == "hardest", run.place.dtype_name)

    def padded_axis(self, shape: tuple[int, ...], axis: int) -> None:
        """Return None: padding would be a partner."""

    def weighted_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the labels."""
        return shape[:1]

    def output_shape(
        self, y: tuple[int, ...], t: tuple[int, ...], weight: tuple[int, ...] | None = None
    ) -> tuple[int, ...]:
        """Return (), the shape of the loss, or with reduction "none" that of the labels."""
        if len(y) != 2 or not y[1]:
            raise ShapeError(f"TripletLoss needs y of shape (N, E), embeddings of E numbers, got {y}")
        if t != y[:1]:
            raise ShapeError(f"TripletLoss needs t of shape {y[:1]}, labels for y of shape {y}, got {t}")
        return y[:1] if self.reduction == "none" else ()

    def targets(self, shape: tuple[int, ...], t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return t, integer labels (N,), and None: there are no sample weights."""
        self.output_shape(shape, t.shape)
        if sample_weight is not None:
            raise ValueError("TripletLoss takes no sample weights: each sample counts in the losses of others, too")
        ready = place.is_ready(t, place.index_dtype)
        if not ready and not namespace_of(t).isdtype(t.dtype, "integral"):
            raise DTypeError(f"TripletLoss needs integer labels, got {t.dtype}; cast with t.astype(int)")
        return t if ready else move(t, place, place.index_dtype, name="t"), None
