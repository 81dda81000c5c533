"""PyTorch: a whole training step as one compiled function."""

from collections.abc import Callable
from typing import Any

import torch as _torch

__all__ = ["compile_step"]

torch: Any = _torch  # its types are in part unknown


def compile_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return the step (params, slots, *batch, key, numbers) compiled by `torch.compile`, once for each batch shape.

    Numbers and key go in as tensors: `torch.compile` takes Python's for constants, and would compile at every change.
    """
    compiled = torch.compile(step, dynamic=False)

    def call(params: Any, slots: Any, *rest: Any) -> Any:
        *batch, key, numbers = rest
        place = {"dtype": params[0].dtype, "device": params[0].device}
        words = [torch.tensor(word, dtype=torch.int32, device=params[0].device) for word in key]
        with torch.no_grad():
            return compiled(
                params, slots, *batch, words, {name: torch.tensor(number, **place) for name, number in numbers.items()}
            )

    return call
