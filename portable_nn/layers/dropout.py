"""Dropout."""

from typing import Any

from portable_nn import random
from portable_nn.layers.layer import Arrays, Layer, Run

__all__ = ["Dropout"]


class Dropout(Layer):
    """In training, x with each element set to 0 with probability `rate` and the others divided by 1 - rate; else x.

    A network draws the masks from its seed and the number of the step, the same on every backend.
    Srivastava et al. (JMLR 15, 2014).

    Parameters
    ----------
    rate : float
        In [0, 1).
    seed : int
        For a layer that stands alone.

    Raises
    ------
    ValueError
        If `rate` is not in [0, 1).
    """

    options = ("rate",)
    is_random = True

    def __init__(self, rate: float = 0.5, *, seed: int | None = None):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout needs a rate in [0, 1), got {rate}")
        self.rate = float(rate)
        self._stream = random.KeyStream(random.checked_seed(seed))

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return x times a mask of zeros and 1 / (1 - rate); keeps the mask."""
        if not run.training or self.rate == 0:
            return x, None
        mask = run.kernels.dropout_mask(x, self.rate, *run.next_key())
        return run.kernels.multiply(x, mask), mask

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dy times the mask."""
        return dy if saved is None else run.kernels.multiply(dy, saved), {}
