"""Metrics: numbers that tell over many batches how good a network is."""

from portable_nn.metrics.running_accuracy import RunningAccuracy
from portable_nn.metrics.running_loss import RunningLoss

__all__ = ["RunningAccuracy", "RunningLoss"]
