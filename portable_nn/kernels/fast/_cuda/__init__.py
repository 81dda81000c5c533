"""CUDA C++ for the CuPy backend: the text of every kernel, and how many threads run it. Nothing here imports CuPy."""

from portable_nn.kernels.fast._cuda.elementwise import ACTIVATIONS
from portable_nn.kernels.fast._cuda.launcher import Launcher
from portable_nn.kernels.fast._cuda.launches import BLOCKS, Launch, flat_launch, matrix_launch, row_launch, sum_launch
from portable_nn.kernels.fast._cuda.texts import KERNELS, source
from portable_nn.kernels.fast._cuda.updates import RULES

__all__ = [
    "ACTIVATIONS",
    "BLOCKS",
    "KERNELS",
    "RULES",
    "Launch",
    "Launcher",
    "flat_launch",
    "matrix_launch",
    "row_launch",
    "source",
    "sum_launch",
]
