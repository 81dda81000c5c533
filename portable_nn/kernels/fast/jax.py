"""JAX."""

from collections.abc import Callable
from typing import Any

import jax as _jax

__all__ = ["compile_step"]


def compile_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return `step` compiled as a whole, with the memory of its first two arguments reused for its results."""
    jax: Any = _jax  # its types are in part unknown
    return jax.jit(step, donate_argnums=(0, 1))
