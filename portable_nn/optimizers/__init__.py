"""Optimizers: rules that turn gradients into updates."""

from portable_nn.optimizers.optimizer import Optimizer
from portable_nn.optimizers.parts import Numbers, Slots
from portable_nn.optimizers.rules import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSprop

__all__ = ["SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "Nesterov", "Numbers", "Optimizer", "RMSprop", "Slots"]
