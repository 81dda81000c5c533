"""CuPy: normalization of channels, rows and groups by one kernel, and its gradient by two.

N = batch, C = channels, F = the axes of gamma.
"""

import math
from typing import Any, NamedTuple

from portable_nn.kernels.fast import _cuda
from portable_nn.kernels.portable import group_norm as by_groups

__all__ = ["NormKernels"]

_Out = Any  # arrays of what was returned before, whose memory is given away, or None


class _Units(NamedTuple):
    """What is normalized together, as `_cuda.norms` says it."""

    units: int
    size: int
    stride: int
    length: int
    jump: int
    kinds: int
    inner: int

    @classmethod
    def channels(cls, x: Any) -> "_Units":
        """Return the channels of x (N, C, ...)."""
        samples, channels, positions = x.shape[0], x.shape[1], math.prod(x.shape[2:])
        return cls(
            channels, samples * positions, positions, positions, channels * positions, channels, samples * positions
        )

    @classmethod
    def rows(cls, count: int, size: int, kinds: int = 1, inner: int = 1) -> "_Units":
        """Return rows that lie one after the other."""
        return cls(count, size, size, size, 0, kinds, inner)

    @classmethod
    def last_axes(cls, x: Any, gamma: Any) -> "_Units":
        """Return the rows of x (..., *F)."""
        return cls.rows(math.prod(x.shape[: x.ndim - gamma.ndim]), math.prod(gamma.shape))

    @classmethod
    def groups(cls, x: Any, groups: int) -> "_Units":
        """Return the groups of channels of x (N, C, ...)."""
        positions = math.prod(x.shape[2:])
        return cls.rows(x.shape[0] * groups, x.shape[1] // groups * positions, groups, positions)


class NormKernels:
    """The kernels of normalization, as a launcher runs them."""

    def __init__(self, device: _cuda.Launcher):
        self._device = device

    def batch_norm(
        self,
        x: Any,
        gamma: Any,
        beta: Any,
        mean: Any,
        variance: Any,
        momentum: float,
        epsilon: float,
        out: _Out = None,
    ) -> tuple[Any, Any, Any, Any, Any]:
        """Return y, mean and 1 / sqrt(variance + epsilon) of the batch, and the running mean and variance after it."""
        y, *others = out or (None,) * 5
        center, inverse, *after = (self._device.memory(one, gamma.shape, x.dtype) for one in others)
        given = (gamma, beta), epsilon, y, center, inverse
        y = self._normalized(_Units.channels(x), x, *given, (mean, variance), after, momentum)
        return y, center, inverse, after[0], after[1]

    def batch_norm_gradient(
        self, dy: Any, x: Any, center: Any, inverse: Any, gamma: Any, out: _Out = None
    ) -> tuple[Any, Any, Any]:
        """Return dx, dgamma and dbeta."""
        return self._differentiated(_Units.channels(x), dy, x, center, inverse, gamma, out)

    def normalize(
        self, x: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float, out: _Out = None
    ) -> Any:
        """Return y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
        device, y = self._device, self._device.memory(out, x.shape, x.dtype)
        arrays = [device.contiguous(array, x.dtype) for array in (x, gamma, beta, mean, variance)]
        numbers = y.size, x.shape[1], math.prod(x.shape[2:]), float(epsilon)
        device.launch("normalize", _cuda.flat_launch(y.size), x.dtype, *arrays, y, *numbers)
        return y

    def layer_norm(self, x: Any, gamma: Any, beta: Any, epsilon: float, out: _Out = None) -> tuple[Any, Any, Any]:
        """Return y, the mean and 1 / sqrt(variance + epsilon) of each row."""
        y, *others = out or (None,) * 3
        center, inverse = (self._device.memory(one, _statistics_shape(x, gamma), x.dtype) for one in others)
        y = self._normalized(_Units.last_axes(x, gamma), x, (gamma, beta), epsilon, y, center, inverse)
        return y, center, inverse

    def layer_norm_gradient(
        self, dy: Any, x: Any, center: Any, inverse: Any, gamma: Any, out: _Out = None
    ) -> tuple[Any, Any, Any]:
        """Return dx, dgamma and dbeta."""
        return self._differentiated(_Units.last_axes(x, gamma), dy, x, center, inverse, gamma, out)

    def rms_norm(self, x: Any, gamma: Any, epsilon: float, out: _Out = None) -> tuple[Any, Any]:
        """Return y, and what each row is multiplied by."""
        y, inverse = out or (None, None)
        inverse = self._device.memory(inverse, _statistics_shape(x, gamma), x.dtype)
        y = self._normalized(_Units.last_axes(x, gamma), x, (gamma, None), epsilon, y, None, inverse)
        return y, inverse

    def rms_norm_gradient(self, dy: Any, x: Any, inverse: Any, gamma: Any, out: _Out = None) -> tuple[Any, Any]:
        """Return dx and dgamma."""
        return self._differentiated(_Units.last_axes(x, gamma), dy, x, None, inverse, gamma, out)[:2]

    def group_norm(
        self, x: Any, gamma: Any, beta: Any, groups: int, epsilon: float, out: _Out = None
    ) -> tuple[Any, Any, Any]:
        """Return y, the mean and 1 / sqrt(variance + epsilon) of each group."""
        if not x.size:
            return by_groups.group_norm(x, gamma, beta, groups, epsilon)
        y, *others = out or (None,) * 3
        center, inverse = (self._device.memory(one, (x.shape[0], groups), x.dtype) for one in others)
        y = self._normalized(_Units.groups(x, groups), x, (gamma, beta), epsilon, y, center, inverse)
        return y, center, inverse

    def group_norm_gradient(
        self, dy: Any, x: Any, center: Any, inverse: Any, gamma: Any, out: _Out = None
    ) -> tuple[Any, Any, Any]:
        """Return dx, dgamma and dbeta."""
        if not x.size:
            return by_groups.group_norm_gradient(dy, x, center, inverse, gamma)
        return self._differentiated(_Units.groups(x, center.shape[1]), dy, x, center, inverse, gamma, out)

    def _normalized(
        self,
        units: _Units,
        x: Any,
        parameters: tuple[Any, Any],
        epsilon: float,
        y: Any,
        center: Any,
        inverse: Any,
        running: Any = (None, None),
        after: Any = (None, None),
        momentum: float = 0.0,
    ) -> Any:
        device, y = self._device, self._device.memory(y, x.shape, x.dtype)
        x, gamma, beta, *running = (device.contiguous(array, x.dtype) for array in (x, *parameters, *running))
        arrays, numbers = (x, gamma, beta, y, center, inverse, *running, *after), (float(epsilon), float(momentum))
        launch = _cuda.row_launch(units.units, units.size)
        device.launch("normalization", launch, x.dtype, *arrays, *units, *numbers)
        return y

    def _differentiated(
        self, units: _Units, dy: Any, x: Any, center: Any, inverse: Any, gamma: Any, out: _Out
    ) -> tuple[Any, Any, Any]:
        device, dtype, is_centered = self._device, x.dtype, center is not None
        dx, dgamma, dbeta = (*(out or (None, None, None)), None)[:3]
        dx, dgamma = device.memory(dx, x.shape, dtype), device.memory(dgamma, gamma.shape, dtype)
        dbeta = device.memory(dbeta, gamma.shape, dtype) if is_centered else None
        dy, x, center, inverse, gamma = (device.contiguous(a, dtype) for a in (dy, x, center, inverse, gamma))
        rests = device.scratch(units.units, dtype, "rests")
        arrays, launch = (dy, x, center, inverse), _cuda.row_launch(units.units, units.size)
        device.launch("normalization_gradient", launch, dtype, *arrays, gamma, dx, rests, *units)
        launch = _cuda.column_launch(gamma.size, side_by_side=units.inner == 1)
        device.launch("normalization_sums", launch, dtype, *arrays, rests, dgamma, dbeta, *units)
        return dx, dgamma, dbeta


def _statistics_shape(x: Any, gamma: Any) -> tuple[int, ...]:
    return *x.shape[: x.ndim - gamma.ndim], *(1,) * gamma.ndim
