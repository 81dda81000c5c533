"""Normalization of each sample, group of channels by group. N = batch, C = channels."""

import math
from typing import Any

from portable_nn.errors import ShapeError
from portable_nn.initializers import constant, zeros
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.parameter import Parameter
from portable_nn.layers.weights import positive, size

__all__ = ["GroupNorm", "InstanceNorm"]


class _InGroups(Layer):
    channels: int
    groups: int
    epsilon: float

    def _declare(self, groups: int, channels: int, epsilon: float) -> None:
        self.groups, self.channels = groups, channels
        self.epsilon = positive(type(self).__name__, "epsilon", epsilon)
        self.parameters["gamma"] = Parameter((channels,), constant(1.0))
        self.parameters["beta"] = Parameter((channels,), zeros())

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return y; keeps x, its means and 1 / sqrt(variance + epsilon)."""
        y, center, inverse = run.kernels.group_norm(x, params["gamma"], params["beta"], self.groups, self.epsilon)
        return y, (x, center, inverse)

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dx, dgamma and dbeta."""
        dx, dgamma, dbeta = run.kernels.group_norm_gradient(dy, *saved, params["gamma"])
        return dx, {"gamma": dgamma, "beta": dbeta}


class GroupNorm(_InGroups):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, group by group: x and y (N, C) or (N, C, ...).

    Mean and variance (biased) are those of the C / groups channels of a group, one after the other, and of all further
    axes, of each sample for itself, in training and outside. Parameters: gamma (C,), 1 at first, and beta (C,), 0 at
    first, which the decay of an optimizer with `decay="weights"` leaves out. Wu, He, Group normalization (ECCV 2018).

    Parameters
    ----------
    groups : int
    channels : int
        C, a multiple of `groups`.
    epsilon : float
        More than 0.

    Raises
    ------
    ShapeError
        If a number is not positive, the channels cannot be parted so, or x has other ones.
    ValueError
        If `epsilon` is out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> layer = pnn.GroupNorm(2, 4)
    >>> print(layer.forward([[1.0, 3.0, 10.0, 30.0]]).round(3))
    [[-1.  1. -1.  1.]]
    """

    options = ("groups", "channels", "epsilon")

    def __init__(self, groups: int, channels: int, *, epsilon: float = 1e-5):
        super().__init__()
        groups, channels = size("GroupNorm", "groups", groups), size("GroupNorm", "channels", channels)
        if channels % groups:
            raise ShapeError(f"GroupNorm needs channels that are a multiple of groups={groups}, got {channels}")
        self._declare(groups, channels, epsilon)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x, (N, C) or (N, C, ...)."""
        if len(shape) < 2 or shape[1] != self.channels:
            raise ShapeError(f"{self} needs x of shape (N, {self.channels}) or (N, {self.channels}, ...), got {shape}")
        return shape


class InstanceNorm(_InGroups):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, channel by channel of each sample: x and y (N, C, ...).

    It is `GroupNorm` with as many groups as channels: mean and variance (biased) are those of the further axes, in
    training and outside. Parameters: gamma (C,), 1 at first, and beta (C,), 0 at first, which torch has with
    `affine=True` alone. Ulyanov, Vedaldi, Lempitsky, Instance normalization (arXiv 1607.08022), equation 2.

    Parameters
    ----------
    channels : int
        C.
    epsilon : float
        More than 0.

    Raises
    ------
    ShapeError
        If `channels` is not positive, or x has other channels, or but one value in each, which has no variance.
    ValueError
        If `epsilon` is out of its range.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> layer = pnn.InstanceNorm(2)
    >>> print(layer.forward([[[1.0, 3.0], [10.0, 30.0]]]).round(3))
    [[[-1.  1.]
      [-1.  1.]]]
    """

    options = ("channels", "epsilon")

    def __init__(self, channels: int, *, epsilon: float = 1e-5):
        super().__init__()
        channels = size("InstanceNorm", "channels", channels)
        self._declare(channels, channels, epsilon)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x, (N, C, ...)."""
        if len(shape) < 3 or shape[1] != self.channels or math.prod(shape[2:]) == 1:
            raise ShapeError(
                f"{self} needs x of shape (N, {self.channels}, ...) with more than one value in each channel, "
                f"got {shape}"
            )
        return shape
