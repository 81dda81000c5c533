"""Training: batches, the step, the loop around it, and what it records."""

from portable_nn.training.callbacks import (
    EMA,
    SWA,
    Callback,
    CSVLog,
    EarlyStopping,
    Freeze,
    OnEpoch,
    PrintLog,
    SaveBest,
    SaveEvery,
    ScheduledOption,
    TimeLimit,
    Training,
)
from portable_nn.training.history import History
from portable_nn.training.lr_range import LRRange, lr_range_test
from portable_nn.training.trainer import Trainer

__all__ = [
    "EMA",
    "SWA",
    "CSVLog",
    "Callback",
    "EarlyStopping",
    "Freeze",
    "History",
    "LRRange",
    "OnEpoch",
    "PrintLog",
    "SaveBest",
    "SaveEvery",
    "ScheduledOption",
    "TimeLimit",
    "Trainer",
    "Training",
    "lr_range_test",
]
