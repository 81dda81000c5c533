"""Batch normalization. N = batch, C = channels."""

import math
from typing import Any

from portable_nn.errors import ShapeError
from portable_nn.initializers import constant, zeros
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.parameter import Parameter, State
from portable_nn.layers.weights import positive, size

__all__ = ["BatchNorm"]


class BatchNorm(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, channel by channel: x and y (N, C) or (N, C, ...).

    In training, mean and variance (biased) are those of the batch, over all axes but the channels'; the states `mean`
    and `variance` follow them, s = (1 - momentum) s + momentum b, with the unbiased variance. Outside training mean and
    variance are these states. Parameters: gamma (C,), 1 at first, and beta (C,), 0 at first, which the decay of an
    optimizer with `decay="weights"` leaves out. With `fit(accumulate=k)` the batch is each of the k parts, one after
    the other. Ioffe and Szegedy, Batch normalization (ICML 2015).

    Freezing the layer keeps gamma and beta as they are, while mean and variance go on following the batches. To keep
    these, too, as one does with a trained body, set `frozen_statistics`:
    `for _, layer in net.leaves(): if isinstance(layer, pnn.BatchNorm): layer.frozen_statistics = True`.

    Parameters
    ----------
    channels : int
        C.
    momentum : float
        In [0, 1]: the share of a batch in the states, as in torch.
    epsilon : float
        More than 0.
    frozen_statistics : bool
        Whether to use the states in training as well, and leave them as they are.

    Raises
    ------
    ShapeError
        If `channels` is not positive, or x has other channels; in training also if there is but one value a channel,
        which has no variance.
    ValueError
        If `momentum` or `epsilon` is out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> layer = pnn.BatchNorm(2, momentum=0.5)
    >>> print(layer.forward([[1.0, 10.0], [3.0, 30.0]]).round(3))
    [[-1. -1.]
     [ 1.  1.]]
    >>> print(layer.states["mean"].value, layer.states["variance"].value)
    [ 1. 10.] [  1.5 100.5]
    """

    options = ("channels", "momentum", "epsilon", "frozen_statistics")

    def __init__(self, channels: int, *, momentum: float = 0.1, epsilon: float = 1e-5, frozen_statistics: bool = False):
        super().__init__()
        self.channels = size("BatchNorm", "channels", channels)
        if not 0.0 <= momentum <= 1.0:
            raise ValueError(f"BatchNorm needs a momentum in [0, 1], got {momentum}")
        self.momentum, self.epsilon = float(momentum), positive("BatchNorm", "epsilon", epsilon)
        self.frozen_statistics = bool(frozen_statistics)
        self.parameters["gamma"] = Parameter((self.channels,), constant(1.0))
        self.parameters["beta"] = Parameter((self.channels,), zeros())
        self.states["mean"] = State((self.channels,))
        self.states["variance"] = State((self.channels,), 1.0)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x, (N, C) or (N, C, ...)."""
        if len(shape) < 2 or shape[1] != self.channels:
            raise ShapeError(
                f"BatchNorm needs x of shape (N, {self.channels}) or (N, {self.channels}, ...), got {shape}"
            )
        return shape

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps x, and mean and variance, or the batch's mean and 1 / sqrt(variance + epsilon)."""
        gamma, beta, states = params["gamma"], params["beta"], run.states
        mean, variance = states["mean"], states["variance"]
        values = x.shape[0] * math.prod(x.shape[2:])
        if not run.training or self.frozen_statistics or not values:
            return run.kernels.normalize(x, gamma, beta, mean, variance, self.epsilon), (x, mean, variance, True)
        if values == 1:
            raise ShapeError(
                f"{self} needs more than one value a channel in training, got x of shape {tuple(x.shape)}: take a "
                "batch_size that leaves no batch of one sample, or frozen_statistics=True"
            )
        given = mean, variance, self.momentum, self.epsilon
        y, center, inverse, mean, variance = run.kernels.batch_norm(x, gamma, beta, *given)
        run.update("mean", mean)
        run.update("variance", variance)
        return y, (x, center, inverse, False)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx, dgamma and dbeta."""
        x, mean, other, is_fixed = saved
        if is_fixed:
            gradients = run.kernels.normalize_gradient(dy, x, params["gamma"], mean, other, self.epsilon)
        else:
            gradients = run.kernels.batch_norm_gradient(dy, x, mean, other, params["gamma"])
        dx, dgamma, dbeta = gradients
        return dx, {"gamma": dgamma, "beta": dbeta}
