"""All kernels in one text, which NVRTC compiles at the first launch, once for each floating type.

It includes no header. Arrays are contiguous, row after row. `real` is float or double; `integer` has 64 bits, because
arrays may have more than 2^31 elements. Numbers arrive as CuPy passes them from Python, an int as `integer` and a float
as `double`, and are rounded to `real` where they are used, as NumPy rounds them.
"""

from portable_nn.kernels.fast._cuda.elementwise import ELEMENTWISE
from portable_nn.kernels.fast._cuda.losses import LOSSES
from portable_nn.kernels.fast._cuda.norms import NORMS
from portable_nn.kernels.fast._cuda.prelude import PRELUDE
from portable_nn.kernels.fast._cuda.rows import ROWS
from portable_nn.kernels.fast._cuda.updates import UPDATES

__all__ = ["KERNELS", "source"]

KERNELS = {**ELEMENTWISE, **LOSSES, **NORMS, **ROWS, **UPDATES}
"""The text of each kernel by its name; the function is called `kernel_<name>`, because CUDA has a `tanh` already."""

_REALS = {"f": "float", "d": "double"}


def source(character: str, kernels: str = "".join(KERNELS.values())) -> str:
    """Return the whole text for arrays whose data type has this character, "f" or "d"; or that of other `kernels`."""
    return f"typedef {_REALS[character]} real;\n{PRELUDE}{kernels}"
