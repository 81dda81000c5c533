"""Compiling a training step: nothing to do where arrays are computed at once."""

from collections.abc import Callable
from typing import Any

__all__ = ["compile_step"]


def compile_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does what `step` does; parameters and optimizer slots passed to it are given away."""
    return step
