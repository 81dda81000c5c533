"""PyTorch: batches from the host to a GPU. Written from the documentation of `torch.cuda`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch as _torch

from portable_nn.kernels.fast._feeding import Feeder
from portable_nn.kernels.portable import memory as portable

__all__ = ["feeder"]

torch: Any = _torch  # its types are in part unknown


class _Copier:
    def __init__(self, device: Any):
        self.device, self.stream = device, torch.cuda.Stream(device)

    def computing(self) -> Any:
        return torch.cuda.current_stream(self.device)

    def event(self) -> Any:
        return torch.cuda.Event()

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
        memory = torch.from_numpy(np.empty(shape, dtype)).pin_memory()
        return memory.numpy(), memory

    def empty_like(self, pinned: Any) -> Any:
        return torch.empty_like(pinned, device=self.device)

    def copy(self, pinned: Any, target: Any) -> None:
        with torch.cuda.stream(self.stream):
            target.copy_(pinned, non_blocking=True)


def feeder(device: Any) -> Callable[[Any, Any], Any]:
    """Return the function (x, indices) -> the rows of x, on a GPU already while the steps before still run there."""
    return Feeder(_Copier(device)) if device.type == "cuda" else portable.feeder(device)
