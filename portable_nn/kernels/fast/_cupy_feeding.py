"""CuPy: batches from the host to a GPU. Written from the documentation of `cupy.cuda`."""

import importlib
from collections.abc import Callable
from typing import Any

import cupy as _cupy

from portable_nn.kernels.fast._feeding import Feeder

__all__ = ["feeder"]

cupy: Any = _cupy  # its types are in part unknown


class _Copier:
    def __init__(self, device: Any):
        self.device = device
        with device:
            self.stream = cupy.cuda.Stream(non_blocking=True)

    def computing(self) -> Any:
        return cupy.cuda.get_current_stream()

    def event(self) -> Any:
        return cupy.cuda.Event(disable_timing=True)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
        memory = importlib.import_module("cupyx").empty_pinned(shape, dtype)
        return memory, memory

    def empty_like(self, pinned: Any) -> Any:
        with self.device:
            return cupy.empty(pinned.shape, pinned.dtype)

    def copy(self, pinned: Any, target: Any) -> None:
        target.set(pinned, stream=self.stream)


def feeder(device: Any) -> Callable[[Any, Any], Any]:
    """Return the function (x, indices) -> the rows of x, on the GPU already while the steps before still run there."""
    return Feeder(_Copier(device))
