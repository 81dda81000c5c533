"""CuPy: copies from the host to a GPU. Written from the documentation of `cupy.cuda`."""

import importlib
from typing import Any

__all__ = ["CupyCopier"]


class CupyCopier:
    """What `Feeder` asks of CuPy, which is passed in as a module. It is made and used on the current device."""

    def __init__(self, cupy: Any):
        self.cupy = cupy
        self.stream = cupy.cuda.Stream(non_blocking=True)

    def computing(self) -> Any:
        """Return the stream that computes."""
        return self.cupy.cuda.get_current_stream()

    def event(self) -> Any:
        """Return a new event."""
        return self.cupy.cuda.Event(disable_timing=True)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
        """Return page-locked memory, which is a NumPy array here."""
        memory = importlib.import_module("cupyx").empty_pinned(shape, dtype)
        return memory, memory

    def empty_like(self, pinned: Any) -> Any:
        """Return memory on the device."""
        return self.cupy.empty(pinned.shape, pinned.dtype)

    def copy(self, pinned: Any, target: Any) -> None:
        """Begin to copy."""
        target.set(pinned, stream=self.stream)
