"""Learning rates, and other numbers, that change: functions of the number of updates made so far."""

from portable_nn.schedules.composed import Chain, WarmUp
from portable_nn.schedules.cycles import CosineRestarts, CosLog4, Cyclic, OneCycle
from portable_nn.schedules.falling import Cosine, Exponential, FlatCosine, MultiStepDecay, Polynomial, StepDecay
from portable_nn.schedules.plateau import ReduceOnPlateau
from portable_nn.schedules.schedule import (
    Constant,
    Schedule,
    as_schedule,
    check_blind,
    check_kept,
    observe,
    observe_epoch,
    restore,
    state_of,
)

__all__ = [
    "Chain",
    "Constant",
    "CosLog4",
    "Cosine",
    "CosineRestarts",
    "Cyclic",
    "Exponential",
    "FlatCosine",
    "MultiStepDecay",
    "OneCycle",
    "Polynomial",
    "ReduceOnPlateau",
    "Schedule",
    "StepDecay",
    "WarmUp",
    "as_schedule",
    "check_blind",
    "check_kept",
    "observe",
    "observe_epoch",
    "restore",
    "state_of",
]
