"""Training: batches, the step, the loop around it, and what it records."""

from portable_nn.training.callbacks import EMA, SWA, Callback, EarlyStopping, Training
from portable_nn.training.history import History
from portable_nn.training.trainer import Trainer

__all__ = ["EMA", "SWA", "Callback", "EarlyStopping", "History", "Trainer", "Training"]
