"""Callbacks: what watches a training run, keeps or shows what becomes of it, and may end it; one concept a file."""

from portable_nn.training.callbacks.averages import EMA, SWA
from portable_nn.training.callbacks.callback import Callback, Training, overrides
from portable_nn.training.callbacks.csv_log import CSVLog
from portable_nn.training.callbacks.early_stopping import EarlyStopping
from portable_nn.training.callbacks.freezing import Freeze
from portable_nn.training.callbacks.on_epoch import OnEpoch
from portable_nn.training.callbacks.print_log import PrintLog
from portable_nn.training.callbacks.saving import SaveBest, SaveEvery
from portable_nn.training.callbacks.scheduled_option import ScheduledOption
from portable_nn.training.callbacks.time_limit import TimeLimit

__all__ = [
    "EMA",
    "SWA",
    "CSVLog",
    "Callback",
    "EarlyStopping",
    "Freeze",
    "OnEpoch",
    "PrintLog",
    "SaveBest",
    "SaveEvery",
    "ScheduledOption",
    "TimeLimit",
    "Training",
    "overrides",
]
