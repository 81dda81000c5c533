"""A row of the conformance table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from portable_nn import random
from portable_nn.layers import Layer
from portable_nn.losses import Loss

__all__ = ["Case", "Inputs"]

Inputs: TypeAlias = Callable[[np.random.Generator], tuple[Any, ...]]


@dataclass(frozen=True)
class Case:
    """How to make a layer or loss, and inputs for it.

    Attributes
    ----------
    layer : callable
        Returns a new layer or loss.
    inputs : callable
        Takes a `numpy.random.Generator` and returns NumPy arrays: the inputs of a layer, or y, t and perhaps sample
        weights.
    batched : bool
        Whether all inputs have the batch axis first, and any size of it, 0 too, makes sense.
    """

    layer: Callable[[], Layer | Loss]
    inputs: Inputs
    batched: bool = True

    def make(self) -> tuple[Layer | Loss, tuple[Any, ...]]:
        """Return a new layer, drawn from seed 0, and its inputs: float64 or int64; the same each time."""
        return self.layer(), self.inputs(random.generator(0, "case"))
