"""Losses, each from the raw outputs of a network."""

from portable_nn.losses.answers import Hinge, SigmoidFocalLoss, SigmoidWithLoss, SquaredHinge
from portable_nn.losses.by_output import LossByOutput
from portable_nn.losses.likelihood import KLDivergence, NegativeLogLikelihood
from portable_nn.losses.loss import Loss
from portable_nn.losses.numbers import (
    GaussianLoss,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    PoissonLoss,
    QuantileLoss,
)
from portable_nn.losses.softmax import SoftmaxFocalLoss, SoftmaxWithLoss
from portable_nn.losses.triplets import TripletLoss
from portable_nn.losses.vectors import CosineSimilarityLoss

__all__ = [
    "CosineSimilarityLoss",
    "GaussianLoss",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossByOutput",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "NegativeLogLikelihood",
    "PoissonLoss",
    "QuantileLoss",
    "SigmoidFocalLoss",
    "SigmoidWithLoss",
    "SoftmaxFocalLoss",
    "SoftmaxWithLoss",
    "SquaredHinge",
    "TripletLoss",
]
