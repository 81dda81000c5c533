"""CuPy: losses, each with its gradient, the affine layer before it and the gradient of its bias: one launch.

N = batch, O = outputs, C = classes.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, cast

from portable_nn.kernels.fast import _cuda

__all__ = ["LossKernels"]

_Out = Any  # an array of what was returned before, whose memory is given away, or None
_Table: TypeAlias = dict[tuple[str, str], Callable[..., Any]]


class LossKernels:
    """The kernels of losses, as a launcher runs them.

    Attributes
    ----------
    paired, fused : dict
        Those for more than a loss, as they stand in the tables of the module for CuPy.
    """

    def __init__(self, device: _cuda.Launcher):
        self._device = device
        self.paired: _Table = {}
        self.fused: _Table = {}
        self._tabulate("softmax_loss", partial(self._joined, self._softmax, keeps=True))
        for name in _cuda.ERRORS:
            joined, both = partial(self._joined, partial(self._error, name)), f"{name}_{name}_gradient"
            self.paired[name, f"{name}_gradient"] = joined
            self._tabulate(both, joined)

    def _tabulate(self, name: str, joined: Callable[..., Any]) -> None:
        self.paired[name, "affine_gradient_b"] = partial(joined, summed=True)
        self.fused["affine", name] = partial(joined, affine=True)
        self.fused["affine", f"{name}_affine_gradient_b"] = partial(joined, affine=True, summed=True)

    def _joined(
        self,
        launch: Callable[..., Any],
        *arguments: Any,
        keeps: bool = False,
        affine: bool = False,
        summed: bool = False,
        out: _Out = None,
    ) -> Any:
        """Return the loss and its gradient by y, as what it `keeps` or by itself; and the sums of that over the batch.

        The arguments are those of the affine kernel, without its result, before those of the loss.
        """
        total, dy, sums = (*_leaves(out), None, None)[:3]
        b = None
        if affine:
            x, W, b, *more = arguments
            y = dy = self._device.product(x, W, (x.shape[0], W.shape[1]), dy)
        else:
            y, *more = arguments
            dy = self._device.memory(dy, y.shape, y.dtype)
        sums = self._device.memory(sums, y.shape[1:], y.dtype) if summed else None
        loss = launch(y, *more, b=self._device.contiguous(b, y.dtype), dy=dy, sums=sums, out=total)
        result = loss, (dy,) if keeps else dy
        return (result, sums) if summed else result

    def _softmax(
        self, y: Any, t: Any, scale: Any, class_weight: Any, smoothing: float, *, b: Any, dy: Any, sums: Any, out: _Out
    ) -> Any:
        device, dtype, (rows, columns) = self._device, y.dtype, y.shape
        labels, targets = (device.contiguous(t, "int64"), None) if t.ndim == 1 else (None, device.contiguous(t, dtype))
        launch = _cuda.row_launch(rows, columns)
        numbers = (rows, columns, _cuda.share(rows, launch, launch[1][1]), 1.0 - smoothing, smoothing / max(columns, 1))
        more = (*numbers, *self._scaling(scale, dtype), device.contiguous(class_weight, dtype))
        arrays = (device.contiguous(y, dtype), b, labels, targets, dy, sums)
        return device.total("softmax_loss", launch, arrays, out, *more, columns=0 if sums is None else columns)

    def _error(
        self, name: str, y: Any, t: Any, scale: Any, *numbers: Any, b: Any, dy: Any, sums: Any, out: _Out = None
    ) -> Any:
        device, width = self._device, math.prod(y.shape[1:])
        if sums is None:
            launch = _cuda.sum_launch(y.size)
            share = _cuda.share(y.size, launch)
        else:
            launch = _cuda.sum_launch(y.size, most=max(y.shape[0], 1))
            share = _cuda.share(y.shape[0], launch) * width
        arrays = (device.contiguous(y, y.dtype), b, device.contiguous(t, y.dtype), dy, sums)
        more = (y.size, width, share, _portion(scale, y), *self._scaling(scale, y.dtype))
        more = (*more, *self._numbers(name, numbers, y))
        return device.total(name, launch, arrays, out, *more, columns=0 if sums is None else width)

    def _error_gradient(self, name: str, dout: Any, y: Any, t: Any, scale: Any, *numbers: Any, out: _Out) -> Any:
        device = self._device
        factor, scales = self._scaling(scale, y.dtype)
        outer, douts = self._scaling(dout, y.dtype)
        dy = device.memory(out, y.shape, y.dtype)
        arrays = (device.contiguous(y, y.dtype), device.contiguous(t, y.dtype), dy)
        more = (y.size, _portion(scale, y), outer * factor, scales, douts, *self._numbers(name, numbers, y))
        device.launch(f"{name}_gradient", _cuda.flat_launch(y.size), y.dtype, *arrays, *more)
        return dy

    def _numbers(self, name: str, numbers: tuple[Any, ...], y: Any) -> tuple[Any, ...]:
        """Return the numbers of a loss: of an array first how many elements each stands for, and how many there are."""
        if name == "sigmoid_loss" and (not numbers or numbers[0] is None):
            return 1, 1, None
        if not numbers or isinstance(numbers[0], float | int):
            return tuple(map(float, numbers))
        (each,) = numbers
        inner = math.prod(y.shape[y.ndim - each.ndim + 1 :])
        return inner, each.shape[0], self._device.contiguous(each, y.dtype)

    def _scaling(self, scale: Any, dtype: Any) -> tuple[float, Any]:
        """Return a scale as a number and an array or None."""
        if isinstance(scale, float | int):
            return float(scale), None
        return 1.0, self._device.contiguous(scale, dtype)

    def softmax_loss(
        self, y: Any, t: Any, scale: Any, class_weight: Any, smoothing: float, out: _Out = None
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return the cross-entropy of softmax(y), and its gradient for dout = 1."""
        return self._joined(self._softmax, y, t, scale, class_weight, smoothing, keeps=True, out=out)

    def softmax_loss_gradient(self, dout: Any, saved: tuple[Any, ...]) -> Any:
        """Return dy, the gradient that `softmax_loss` kept, times dout."""
        (dy,) = saved
        return dy if isinstance(dout, float | int) and dout == 1 else dy * dout

    def sigmoid_loss(self, y: Any, t: Any, scale: Any, positive: Any = None, out: _Out = None) -> Any:
        """Return the cross-entropy of sigmoid(y), one question an output."""
        return self._error("sigmoid_loss", y, t, scale, positive, b=None, dy=None, sums=None, out=out)

    def sigmoid_loss_gradient(
        self, dout: Any, y: Any, t: Any, scale: Any, positive: Any = None, out: _Out = None
    ) -> Any:
        """Return dy = dout s_n ((1 - t) sigmoid(y) - w t sigmoid(-y))."""
        return self._error_gradient("sigmoid_loss", dout, y, t, scale, positive, out=out)

    def sigmoid_focal_loss(
        self, y: Any, t: Any, scale: Any, gamma: float, yes: float, no: float, out: _Out = None
    ) -> Any:
        """Return the focal loss of sigmoid(y)."""
        return self._error("sigmoid_focal_loss", y, t, scale, gamma, yes, no, b=None, dy=None, sums=None, out=out)

    def sigmoid_focal_loss_gradient(
        self, dout: Any, y: Any, t: Any, scale: Any, gamma: float, yes: float, no: float, out: _Out = None
    ) -> Any:
        """Return the gradient of the focal loss."""
        return self._error_gradient("sigmoid_focal_loss", dout, y, t, scale, gamma, yes, no, out=out)

    def hinge_loss(self, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return the hinge loss."""
        return self._error("hinge_loss", y, t, scale, b=None, dy=None, sums=None, out=out)

    def hinge_loss_gradient(self, dout: Any, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return dy = -dout s_n t where t y < 1, else 0."""
        return self._error_gradient("hinge_loss", dout, y, t, scale, out=out)

    def squared_hinge_loss(self, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return the squared hinge loss."""
        return self._error("squared_hinge_loss", y, t, scale, b=None, dy=None, sums=None, out=out)

    def squared_hinge_loss_gradient(self, dout: Any, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return dy = -dout s_n 2 t max(0, 1 - t y)."""
        return self._error_gradient("squared_hinge_loss", dout, y, t, scale, out=out)

    def log_cosh_error(self, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return log cosh(y - t)."""
        return self._error("log_cosh_error", y, t, scale, b=None, dy=None, sums=None, out=out)

    def log_cosh_error_gradient(self, dout: Any, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return dy = dout s_n tanh(y - t)."""
        return self._error_gradient("log_cosh_error", dout, y, t, scale, out=out)

    def quantile_error(self, y: Any, t: Any, scale: Any, quantiles: Any, out: _Out = None) -> Any:
        """Return the pinball loss."""
        return self._error("quantile_error", y, t, scale, quantiles, b=None, dy=None, sums=None, out=out)

    def quantile_error_gradient(self, dout: Any, y: Any, t: Any, scale: Any, quantiles: Any, out: _Out = None) -> Any:
        """Return dy = dout s_n (-q where y < t, 1 - q where y > t, and 0 where y = t)."""
        return self._error_gradient("quantile_error", dout, y, t, scale, quantiles, out=out)

    def squared_error(self, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return the squared error."""
        return self._error("squared_error", y, t, scale, b=None, dy=None, sums=None, out=out)

    def squared_error_gradient(self, dout: Any, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return dy = dout s_n 2 (y - t)."""
        return self._error_gradient("squared_error", dout, y, t, scale, out=out)

    def absolute_error(self, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return the absolute error."""
        return self._error("absolute_error", y, t, scale, b=None, dy=None, sums=None, out=out)

    def absolute_error_gradient(self, dout: Any, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return dy = dout s_n sign(y - t)."""
        return self._error_gradient("absolute_error", dout, y, t, scale, out=out)

    def huber_error(self, y: Any, t: Any, scale: Any, delta: float, out: _Out = None) -> Any:
        """Return Huber's loss."""
        return self._error("huber_error", y, t, scale, float(delta), b=None, dy=None, sums=None, out=out)

    def huber_error_gradient(self, dout: Any, y: Any, t: Any, scale: Any, delta: float, out: _Out = None) -> Any:
        """Return dy = dout s_n d, with d = y - t cut to [-delta, delta]."""
        return self._error_gradient("huber_error", dout, y, t, scale, float(delta), out=out)

    def poisson_error(self, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return half the Poisson deviance of the mean exp(y)."""
        return self._error("poisson_error", y, t, scale, b=None, dy=None, sums=None, out=out)

    def poisson_error_gradient(self, dout: Any, y: Any, t: Any, scale: Any, out: _Out = None) -> Any:
        """Return dy = dout s_n (exp(y) - t)."""
        return self._error_gradient("poisson_error", dout, y, t, scale, out=out)

    def mean_scale(self, weight: Any, total: Any, factor: float = 1.0, out: _Out = None) -> Any:
        """Return factor times weight, or ones, divided by the sum of total, or zeros where all are zero."""
        device, dtype = self._device, total.dtype
        scale = device.memory(out, total.shape, dtype)
        arrays = (device.contiguous(weight, dtype), device.contiguous(total, dtype), scale)
        device.launch("mean_scale", _cuda.sum_launch(total.size, most=32), dtype, *arrays, total.size, float(factor))
        return scale

    def class_share(self, t: Any, class_weight: Any, weight: Any = None, out: _Out = None) -> Any:
        """Return what each sample (N,) counts by its class: t (N,) or (N, C), class_weight (C,), weight (N,)."""
        rows, arrays = t.shape[0], self._of_classes(t, class_weight, weight)
        share = self._device.memory(out, (rows,), class_weight.dtype)
        launch = _cuda.flat_launch(rows)
        self._device.launch("class_share", launch, share.dtype, *arrays, share, rows, class_weight.size)
        return share

    def class_total(self, t: Any, class_weight: Any, weight: Any = None, out: _Out = None) -> Any:
        """Return the sum of what `class_share` returns, 0-d."""
        arrays, rows = self._of_classes(t, class_weight, weight), t.shape[0]
        launch, dtype = _cuda.sum_launch(rows), class_weight.dtype
        return self._device.total("class_total", launch, arrays, out, rows, class_weight.size, dtype=dtype)

    def _of_classes(self, t: Any, class_weight: Any, weight: Any) -> tuple[Any, ...]:
        """Return labels or else targets, and both kinds of weights, as kernels take them."""
        device, dtype = self._device, class_weight.dtype
        labels, targets = (device.contiguous(t, "int64"), None) if t.ndim == 1 else (None, device.contiguous(t, dtype))
        return labels, targets, device.contiguous(class_weight, dtype), device.contiguous(weight, dtype)

    def total(self, weight: Any, factor: float = 1.0, out: _Out = None) -> Any:
        """Return factor times the sum of weights, 0-d."""
        arrays = (self._device.contiguous(weight, weight.dtype),)
        return self._device.total("total", _cuda.sum_launch(weight.size), arrays, out, weight.size, float(factor))


def _portion(scale: Any, y: Any) -> int:
    """Return how many elements of y have one scale: those of a sample, or one."""
    return 1 if getattr(scale, "ndim", 1) > 1 else math.prod(y.shape[1:])


def _leaves(tree: Any) -> list[Any]:
    """Return what stands in a tree of tuples, in order."""
    if not isinstance(tree, tuple):
        return [tree]
    return [leaf for part in cast("tuple[Any, ...]", tree) for leaf in _leaves(part)]
