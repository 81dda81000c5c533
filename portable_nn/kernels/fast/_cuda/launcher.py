"""Running the kernels: memory for results, contiguous arguments, one launch. CuPy comes from the caller."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from portable_nn.kernels.fast._cuda.launches import BLOCKS, Launch, flat_launch, matrix_launch, sum_launch
from portable_nn.kernels.fast._cuda.texts import source

__all__ = ["Launcher"]


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
        self._tickets_of = cache(self._new_tickets)

    def memory(self, out: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return contiguous memory of this shape and dtype: `out`, where it is that."""
        if out is not None and out.flags.c_contiguous and out.shape == shape and out.dtype == dtype:
            return out
        return self._cupy.empty(shape, dtype=dtype)

    def contiguous(self, array: Any, dtype: Any) -> Any:
        """Return `array`, or where it is not contiguous or of another dtype, a copy that is."""
        return array.astype(dtype, order="C", copy=False)

    def launch(self, name: str, launch: Launch, dtype: Any, *arguments: Any) -> None:
        """Run a kernel of this floating dtype: contiguous arrays or None, ints and floats as its text has them."""
        self._kernel(name, dtype.char)(*launch, arguments)

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
        dtype, (rows, columns) = arrays[0].dtype, arrays[0].shape
        launch = matrix_launch(rows, columns, summed=True)
        sums = self.memory(out, (columns,), dtype)
        partials = self._cupy.empty((launch[0][1], columns), dtype=dtype)
        arrays = (*arrays, sums, partials, self._tickets())
        self.launch(name, launch, dtype, *arrays, rows, columns, *map(float, numbers))
        return sums

    def total(self, name: str, launch: Launch, arrays: Sequence[Any], out: Any, *arguments: Any) -> Any:
        """Return the number (0-d) that a kernel adds up from contiguous arrays."""
        dtype = arrays[0].dtype
        total = self.memory(out, (), dtype)
        partials = self._cupy.empty(launch[0][0], dtype=dtype)
        self.launch(name, launch, dtype, *arrays, total, partials, self._tickets(), *arguments)
        return total

    def update(self, name: str, arrays: Sequence[Any], written: Sequence[bool], *numbers: float) -> None:
        """Let a kernel go over the first of `arrays`, and write into those that are said to be `written`."""
        dtype = arrays[0].dtype
        given = [self.contiguous(array, dtype) for array in arrays]
        self.launch(name, flat_launch(arrays[0].size), dtype, *given, arrays[0].size, *numbers)
        for array, result, changed in zip(arrays, given, written, strict=True):
            if changed and result is not array:
                array[...] = result

    def sum_of_squares(self, arrays: Sequence[Any]) -> Any:
        """Return the sums of squares of arrays, (number of arrays,)."""
        dtype = arrays[0].dtype
        totals = self._cupy.empty(len(arrays), dtype=dtype)
        for k, array in enumerate(arrays):
            given = (self.contiguous(array, dtype),)
            self.total("sum_of_squares", sum_launch(array.size), given, totals[k : k + 1].reshape(()), array.size)
        return totals

    def _new_module(self, character: str) -> Any:
        return self._cupy.RawModule(code=source(character))

    def _new_kernel(self, name: str, character: str) -> Any:
        return self._module(character).get_function(f"kernel_{name}")

    def _new_tickets(self, device: int, stream: int) -> Any:
        return self._cupy.zeros(BLOCKS, dtype="uint32")

    def _tickets(self) -> Any:
        """Return the tickets of the current stream: zeros, and zeros again when a launch has ended."""
        cuda = self._cupy.cuda
        return self._tickets_of(cuda.runtime.getDevice(), cuda.get_current_stream().ptr)
