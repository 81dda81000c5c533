"""Layers that are random in training: dropout, and noise. N = batch, C = channels.

A network draws from its seed and the number of the step, the same on every backend; `kernels/portable/dropout.py` says
how.
"""

import math
from collections.abc import Sequence
from typing import Any

from portable_nn import random
from portable_nn.errors import ShapeError
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.padding import Axes
from portable_nn.layers.shapes import from_front, integer

__all__ = ["AlphaDropout", "Dropout", "GaussianNoise", "SpatialDropout"]


class _Random(Layer):
    is_random = True

    def __init__(self, seed: int | None):
        super().__init__()
        self._stream = random.KeyStream(random.checked_seed(seed))

    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
        """Return the axes of x if they are among the first two: longer rows draw what shorter ones draw."""
        return axes[0] if axes[0] in ((0,), (1,)) else None


class Dropout(_Random):
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

    Examples
    --------
    >>> import portable_nn as pnn
    >>> layer = pnn.Dropout(0.5, seed=0)
    >>> print(layer.forward([[1.0, 2.0, 3.0, 4.0]]))
    [[0. 4. 6. 0.]]
    >>> print(layer.forward([[1.0, 2.0, 3.0, 4.0]], training=False))
    [[1. 2. 3. 4.]]
    """

    options = ("rate",)

    def __init__(self, rate: float = 0.5, *, seed: int | None = None):
        super().__init__(seed)
        if not 0 <= rate < 1:
            raise ValueError(f"{type(self).__name__} needs a rate in [0, 1), got {rate}")
        self.rate = float(rate)

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return x times a mask of zeros and 1 / (1 - rate); keeps the mask."""
        if not run.training or self.rate == 0:
            return x, None
        mask = run.kernels.dropout_mask(x, self.rate, *run.next_key())
        return run.kernels.multiply(x, mask), mask

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dy times the mask."""
        return dy if saved is None else run.kernels.multiply(dy, saved), {}


class SpatialDropout(Dropout):
    """In training, x with whole channels set to 0 with probability `rate` and the others divided by 1 - rate; else x.

    x (N, C, ...), or with another axis (N, ..., C, ...): neighbours in an image or a sequence are much alike, and what
    `Dropout` takes from one of them is known from the others. torch has it as Dropout1d and Dropout2d. Tompson,
    Goroshin, Jain, LeCun, Bregler (CVPR 2015).

    Parameters
    ----------
    rate, seed
        As in `Dropout`.
    axis : int
        That of the channels: 1 for images (N, C, H, W), -1 for sequences (N, T, F).

    Raises
    ------
    ValueError
        If `rate` is not in [0, 1).
    ShapeError
        If x has no such axis, or it is the first, that of the batch.

    Examples
    --------
    >>> import numpy as np
    >>> import portable_nn as pnn
    >>> print(pnn.SpatialDropout(0.5, axis=-1, seed=0).forward(np.ones((1, 2, 4))))
    [[[0. 2. 2. 0.]
      [0. 2. 2. 0.]]]
    """

    options = ("rate", "axis")

    def __init__(self, rate: float = 0.5, axis: int = 1, *, seed: int | None = None):
        super().__init__(rate, seed=seed)
        self.axis = integer("SpatialDropout", "axis", axis)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x."""
        if from_front(self, self.axis, shape) == 0:
            raise ShapeError(f"{self} needs channels along another axis than the batch, got x of shape {shape}")
        return shape

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return x times a mask of zeros and 1 / (1 - rate) for its channels; keeps the mask."""
        if not run.training or self.rate == 0:
            return x, None
        mask = run.kernels.channel_mask(x, self.rate, from_front(self, self.axis, x.shape), *run.next_key())
        return run.kernels.multiply(x, mask), mask


class AlphaDropout(Dropout):
    """Dropout for networks of `SELU`: it keeps mean 0 and variance 1.

    In training, a x + b with each x, with probability `rate`, replaced by f = -1.7581, the lower limit of SELU; else x.
    a = ((1 - rate) (1 + rate f^2))^(-1/2), b = -a rate f. Klambauer, Unterthiner, Mayr, Hochreiter (NIPS 2017).

    Parameters
    ----------
    rate, seed
        As in `Dropout`.

    Raises
    ------
    ValueError
        If `rate` is not in [0, 1).

    Examples
    --------
    >>> import portable_nn as pnn
    >>> print(pnn.AlphaDropout(0.5, seed=0).forward([[1.0, 2.0, 3.0, 4.0]]).round(3))
    [[-0.779  2.552  3.438 -0.779]]
    """

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps the mask."""
        if not run.training or self.rate == 0:
            return x, None
        mask = run.kernels.dropout_mask(x, self.rate, *run.next_key())
        return run.kernels.alpha_dropout(x, mask, self.rate), mask

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return a dy where x was kept, else 0."""
        return dy if saved is None else run.kernels.alpha_dropout_gradient(dy, saved, self.rate), {}


class GaussianNoise(_Random):
    """In training, x plus normal numbers of mean 0; else x.

    A network draws them from its seed and the number of the step, the same on every backend but for rounding. Bishop,
    Training with noise is equivalent to Tikhonov regularization (Neural Computation 7, 1995).

    Parameters
    ----------
    std : float
        Their standard deviation, at least 0.
    seed : int
        For a layer that stands alone.

    Raises
    ------
    ValueError
        If `std` is negative or infinite.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> layer = pnn.GaussianNoise(0.1, seed=0)
    >>> print(layer.forward([[1.0, 2.0, 3.0]]).round(3))
    [[1.011 1.895 3.071]]
    """

    options = ("std",)

    def __init__(self, std: float, *, seed: int | None = None):
        super().__init__(seed)
        if not 0 <= std < math.inf:
            raise ValueError(f"GaussianNoise needs a std of at least 0, got {std}")
        self.std = float(std)

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps nothing."""
        if not run.training or self.std == 0:
            return x, None
        return run.kernels.gaussian_noise(x, self.std, *run.next_key()), None

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dy."""
        return dy, {}
