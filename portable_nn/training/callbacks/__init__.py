"""Callbacks: what watches a training run, keeps or shows what becomes of it, and may end it; one concept a file."""

from portable_nn.training.callbacks.averages import EMA, SWA
from portable_nn.training.callbacks.callback import Callback, Training, overrides
from portable_nn.training.callbacks.early_stopping import EarlyStopping

__all__ = ["EMA", "SWA", "Callback", "EarlyStopping", "Training", "overrides"]
