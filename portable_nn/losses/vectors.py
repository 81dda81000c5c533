"""Losses of vectors along the last axis. N = batch, F = features, ... = axes between."""

from typing import Any

from portable_nn.errors import ShapeError
from portable_nn.layers.layer import Arrays, Run
from portable_nn.losses.element_loss import ElementLoss, as_scale

__all__ = ["CosineSimilarityLoss"]


class CosineSimilarityLoss(ElementLoss):
    """One minus the cosine of the angle between y and t, averaged: y, t (N, ..., F), with vectors along the last axis.

    l = 1 - y . t / (|y| |t|), from 0, the same direction, to 2, the opposite one, whatever the lengths. A vector of
    zeros has the cosine 0 with every other, and no gradient. Sample weights are (N,) or of the shape of y without its
    last axis. As a node it has a derivative by both, as two embeddings that shall agree need. (torch's
    `CosineEmbeddingLoss` for a target of 1; Keras's `CosineSimilarity` leaves out the one.)

    Parameters
    ----------
    reduction : "mean", "sum" or "none"

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.CosineSimilarityLoss("none").forward([[2.0, 0.0], [0.0, 3.0]], [[1.0, 0.0], [1.0, 0.0]]).tolist())
    [0.0, 1.0]
    """

    kernel = "cosine_loss"
    constants = (2,)

    def _targets_of(self, y: tuple[int, ...]) -> tuple[int, ...]:
        if len(y) < 2 or not y[-1]:
            raise ShapeError(f"CosineSimilarityLoss needs y of shape (N, ..., F), vectors of F numbers, got {y}")
        return y

    def _losses_of(self, t: tuple[int, ...]) -> tuple[int, ...]:
        return t[:-1]

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dout: Any) -> tuple[Any, Arrays]:
        """Return dy and dt."""
        dy = self.gradient(run, saved, dout)
        if self.reduction == "none":
            dout, saved = as_scale(run, dout, saved, self.weighted_shape(saved[0].shape))
        y, t, scale = saved
        return (dy, run.kernels.cosine_loss_gradient(dout, t, y, scale)), {}
