"""The maths of the library: functions of arrays, no classes, no state."""

from portable_nn.kernels._dispatch import PORTABLE_KERNELS, Kernels, kernels_for

__all__ = ["PORTABLE", "PORTABLE_KERNELS", "Kernels", "kernels_for"]

PORTABLE = Kernels()
"""The portable kernels alone, on any backend: the measure of the fast ones, and what autograd can follow."""
