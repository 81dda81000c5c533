"""Losses, each from the raw outputs of a network."""

from portable_nn.losses.by_output import LossByOutput
from portable_nn.losses.elementwise import Huber, MeanAbsoluteError, MeanSquaredError, PoissonLoss, SigmoidWithLoss
from portable_nn.losses.loss import Loss
from portable_nn.losses.softmax import SoftmaxWithLoss

__all__ = [
    "Huber",
    "Loss",
    "LossByOutput",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "PoissonLoss",
    "SigmoidWithLoss",
    "SoftmaxWithLoss",
]
