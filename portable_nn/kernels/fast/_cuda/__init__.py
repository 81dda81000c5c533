"""CUDA C++ for the CuPy backend: the text of every kernel, and how many threads run it. Nothing here imports CuPy."""

from portable_nn.kernels.fast._cuda.chains import CHAIN_FIRST, CHAIN_LAST, CHAINABLE, chained
from portable_nn.kernels.fast._cuda.elementwise import ACTIVATIONS
from portable_nn.kernels.fast._cuda.launcher import Launcher
from portable_nn.kernels.fast._cuda.launches import (
    BLOCKS,
    Launch,
    column_launch,
    flat_launch,
    matrix_launch,
    row_launch,
    share,
    sum_launch,
)
from portable_nn.kernels.fast._cuda.losses import ERRORS
from portable_nn.kernels.fast._cuda.texts import KERNELS, source
from portable_nn.kernels.fast._cuda.updates import NORM, RULES, chain, letters

__all__ = [
    "ACTIVATIONS",
    "BLOCKS",
    "CHAINABLE",
    "CHAIN_FIRST",
    "CHAIN_LAST",
    "ERRORS",
    "KERNELS",
    "NORM",
    "RULES",
    "Launch",
    "Launcher",
    "chain",
    "chained",
    "column_launch",
    "flat_launch",
    "letters",
    "matrix_launch",
    "row_launch",
    "share",
    "source",
    "sum_launch",
]
