"""The maths of the library: functions of arrays, no classes, no state; and plans of which functions to call."""

from portable_nn.kernels._dispatch import PORTABLE_KERNELS, Kernel, Kernels, kernels_at, kernels_for
from portable_nn.kernels.declarations import declares, is_ours, is_recordable
from portable_nn.kernels.donation import Donating
from portable_nn.kernels.plan import Plan
from portable_nn.kernels.recording import Recorder, UnrecordedError

__all__ = [
    "PORTABLE",
    "PORTABLE_KERNELS",
    "Donating",
    "Kernel",
    "Kernels",
    "Plan",
    "Recorder",
    "UnrecordedError",
    "declares",
    "is_ours",
    "is_recordable",
    "kernels_at",
    "kernels_for",
]

PORTABLE = Kernels()
"""The portable kernels alone, on any backend: the measure of the fast ones, and what autograd can follow."""
