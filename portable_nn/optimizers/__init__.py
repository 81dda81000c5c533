"""Optimizers: rules that turn gradients into updates."""

from portable_nn.optimizers.adafactor import Adafactor
from portable_nn.optimizers.adam import Adam, AdamW
from portable_nn.optimizers.adam_variants import Adamax, NAdam, RAdam
from portable_nn.optimizers.layerwise import LAMB, LARS
from portable_nn.optimizers.muon import Muon
from portable_nn.optimizers.optimizer import Optimizer
from portable_nn.optimizers.parts import Numbers, Slots
from portable_nn.optimizers.rules import SGD, Adadelta, AdaGrad, Momentum, Nesterov, RMSprop
from portable_nn.optimizers.schedule_free import ScheduleFreeAdamW
from portable_nn.optimizers.signs import Lion, Rprop

__all__ = [
    "LAMB",
    "LARS",
    "SGD",
    "AdaGrad",
    "Adadelta",
    "Adafactor",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Momentum",
    "Muon",
    "NAdam",
    "Nesterov",
    "Numbers",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "ScheduleFreeAdamW",
    "Slots",
]
