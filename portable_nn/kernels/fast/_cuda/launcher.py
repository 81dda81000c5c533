"""Running the kernels: memory for results, contiguous arguments, one launch. CuPy comes from the caller."""

import math
import re
import sys
import threading
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any

from portable_nn.kernels.fast._cuda.launches import BLOCKS, Launch, flat_launch, matrix_launch
from portable_nn.kernels.fast._cuda.texts import KERNELS, source

__all__ = ["Launcher"]

_NUMBERS = 256
"""How many numbers are made at a time: more than the losses and weights that training keeps before it reads them."""


class _Kept(threading.local):
    """What one thread keeps, by device and stream: what is launched there one after the other may share memory.

    Streams of several threads may have one address: that of CUDA's default stream of each thread. And what lasts for
    several launches must not be written between them, on a stream that threads share.
    """

    def __init__(self) -> None:
        self.scratches: dict[Any, Any] = {}
        self.tickets: dict[Any, Any] = {}
        self.numbers: dict[Any, deque[Any]] = {}


_UNSEEN = 2
"""References to what stands in a deque, while they are counted, if nobody else has any."""


class Launcher:
    """The kernels on the current device and stream of CuPy. Nothing is compiled before the first launch.

    Parameters
    ----------
    cupy : module
        CuPy, or what has as much of it as stands below.
    """

    def __init__(self, cupy: Any):
        self._cupy = cupy
        self._module = cache(self._new_module)
        self._kernel = cache(self._new_kernel)
        self._kept = _Kept()

    def memory(self, out: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return contiguous memory of this shape and dtype: `out`, where it is that."""
        if out is not None and out.flags.c_contiguous and out.shape == shape and out.dtype == dtype:
            return out
        return self._cupy.empty(shape, dtype=dtype) if shape else self._number(dtype)

    def scratch(self, size: int, dtype: Any, use: str = "partials") -> Any:
        """Return memory of at least this size that lasts for a launch, or until `use` is asked for again."""
        scratches, key = self._kept.scratches, (*self._here(), dtype, use)
        memory = scratches.get(key)
        if memory is None or memory.size < size:
            memory = scratches[key] = self._cupy.empty(max(size, BLOCKS), dtype=dtype)
        return memory

    def contiguous(self, array: Any, dtype: Any) -> Any:
        """Return `array`, or where it is not contiguous or of another dtype, a copy that is; None for None."""
        return None if array is None else array.astype(dtype, order="C", copy=False)

    def product(self, a: Any, b: Any, shape: tuple[int, ...], out: Any) -> Any:
        """Return the product of two matrices in another shape; a (N, ...) has its further axes as one."""
        a = a if a.ndim == 2 else a.reshape(a.shape[0], math.prod(a.shape[1:]))
        y = self.memory(out, shape, a.dtype)
        a.dot(b, y.reshape(a.shape[0], b.shape[1]))  # it writes to `out` without a copy; `matmul` has more overhead
        return y

    def launch(self, kernel: str, launch: Launch, dtype: Any, *arguments: Any) -> None:
        """Run a kernel, its name or else its text, of this floating dtype.

        The arguments are contiguous arrays or None, ints and floats, as its text has them.
        """
        self._kernel(kernel, dtype.char)(*launch, arguments)

    def elementwise(self, name: str, arrays: Sequence[Any], out: Any, *numbers: float) -> Any:
        """Return what a kernel makes of each element by itself: `out` may be the first of `arrays`."""
        shape, dtype = arrays[0].shape, arrays[0].dtype
        result = self.memory(out, shape, dtype)
        arrays = [self.contiguous(array, dtype) for array in arrays]
        self.launch(name, flat_launch(result.size), dtype, *arrays, result, result.size, *map(float, numbers))
        return result

    def add_bias(self, name: str, y: Any, b: Any, *numbers: float) -> Any:
        """Return contiguous y (N, O), into which a kernel has put a function of y + b: b (O,)."""
        arrays = (y, self.contiguous(b, y.dtype))
        self.launch(name, matrix_launch(*y.shape), y.dtype, *arrays, *y.shape, *map(float, numbers))
        return y

    def column_sums(self, name: str, arrays: Sequence[Any], out: Any, *numbers: float) -> Any:
        """Return column sums (O,) of what a kernel makes of contiguous arrays (N, O)."""
        return self.sums(name, arrays[0].shape, arrays, out, *map(float, numbers))

    def sums(self, kernel: str, shape: tuple[int, int], arrays: Sequence[Any], out: Any, *numbers: Any) -> Any:
        """Return the same for arrays of which not all are of this shape (N, O), and numbers as they are."""
        dtype, (rows, columns) = arrays[0].dtype, shape
        launch = matrix_launch(rows, columns, summed=True)
        sums = self.memory(out, (columns,), dtype)
        arrays = (*arrays, sums, self.scratch(launch[0][1] * columns, dtype), self.tickets())
        self.launch(kernel, launch, dtype, *arrays, rows, columns, *numbers)
        return sums

    def total(
        self,
        name: str,
        launch: Launch,
        arrays: Sequence[Any],
        out: Any,
        *arguments: Any,
        columns: int = 0,
        dtype: Any = None,
    ) -> Any:
        """Return the number (0-d) that a kernel adds up from contiguous arrays, beside the sums of its columns."""
        dtype = arrays[0].dtype if dtype is None else dtype
        total, partials = self.memory(out, (), dtype), self.scratch(launch[0][0] * (1 + columns), dtype)
        self.launch(name, launch, dtype, *arrays, total, partials, self.tickets(), *arguments)
        return total

    def update(self, kernel: str, launch: Launch, arrays: Sequence[Any], written: Sequence[bool], *more: Any) -> None:
        """Let a kernel go over arrays, and write into those that are said to be `written`."""
        dtype = arrays[0].dtype
        given = [self.contiguous(array, dtype) for array in arrays]
        self.launch(kernel, launch, dtype, *given, *more)
        for array, result, changed in zip(arrays, given, written, strict=True):
            if changed and result is not array:
                array[...] = result

    def tickets(self) -> Any:
        """Return the tickets of the current stream: zeros, and zeros again when a launch has ended."""
        kept, here = self._kept.tickets, self._here()
        if here not in kept:
            kept[here] = self._cupy.zeros(BLOCKS, dtype="uint32")
        return kept[here]

    def _new_module(self, kernels: str | None, character: str) -> Any:
        return self._cupy.RawModule(code=source(character) if kernels is None else source(character, kernels))

    def _new_kernel(self, kernel: str, character: str) -> Any:
        if kernel in KERNELS:
            return self._module(None, character).get_function(f"kernel_{kernel}")
        (name,) = re.findall(r"void (kernel_\w+)", kernel)
        return self._module(kernel, character).get_function(name)

    def _number(self, dtype: Any) -> Any:
        """Return memory for a number (0-d): that of one which nobody has any more, or new."""
        ring = self._kept.numbers.setdefault((*self._here(), dtype), deque())
        while ring and sys.getrefcount(ring[0]) > _UNSEEN:
            ring.popleft()  # somebody's own from now on
        if not ring:
            # Each has memory of its own: then views of it refer to it, and not to the memory of them all.
            ring.extend(self._cupy.empty((), dtype=dtype) for _ in range(_NUMBERS))
        ring.rotate(-1)
        return ring[-1]

    def _here(self) -> tuple[int, int]:
        """Return the current device and stream."""
        cuda = self._cupy.cuda
        return cuda.runtime.getDevice(), cuda.get_current_stream().ptr
