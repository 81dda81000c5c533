"""Layers, losses and optimizers as users write them: most are opaque to plans, some say that they are recordable."""

from functools import wraps

import numpy as np

import portable_nn as pnn
from portable_nn.arrays import namespace_of, to_numpy
from portable_nn.layers.inputs import as_tuple

__all__ = ["FIXED", "LOSSES", "ONE_OUTPUT", "OPTIMIZERS", "Both", "OwnBatchNorm", "Twin"]


def watching(kind):
    """Let a class keep all that it gets and returns, and look at every pass whether that is still the same."""

    def keep(layer, *arrays):
        seen = layer.__dict__.setdefault("_seen", [])
        for saved, copy in seen:
            assert np.array_equal(to_numpy(saved), copy, equal_nan=True), "what an opaque layer keeps was written over"
        seen.extend((array, to_numpy(array).copy()) for array in arrays)

    def watched(function, first):
        @wraps(function)
        def wrapper(self, *arguments):
            keep(self, *arguments[first:])
            result = function(self, *arguments)
            keep(self, *as_tuple(result[0]))
            return result

        return wrapper

    kind.forward_pass, kind.backward_pass = watched(kind.forward_pass, 2), watched(kind.backward_pass, 3)
    return kind


@watching
class Halved(pnn.Layer):
    def forward_pass(self, run, params, x):
        return x * 0.5, None

    def backward_pass(self, run, params, saved, dy):
        return dy * 0.5, {}


@watching
class Through(pnn.Layer):
    """Returns what it gets, both ways."""

    def forward_pass(self, run, params, x):
        return x, x

    def backward_pass(self, run, params, saved, dy):
        return dy, {}


@watching
class Twin(pnn.Layer):
    """Returns one array twice in every other training pass, else two."""

    output_count = 2

    def __init__(self):
        super().__init__()
        self._passes = 0

    def output_shape(self, shape):
        return shape, shape

    def forward_pass(self, run, params, x):
        y, factor = x * 0.7, 1.0 - 0.5 * (self._passes % 2)
        self._passes += run.training
        return (y, y if factor == 1.0 else y * factor), factor

    def backward_pass(self, run, params, saved, one, other):
        return (one + other * saved) * 0.7, {}


@watching
class Both(pnn.Layer):
    """Returns one derivative, its own argument, for both inputs."""

    def output_shape(self, a, b):
        if a != b:
            raise pnn.errors.ShapeError(f"{a} is not {b}")
        return a

    def forward_pass(self, run, params, a, b):
        return a - b * -1.0, None

    def backward_pass(self, run, params, saved, dy):
        return (dy, dy), {}


@watching
class Counting(pnn.Layer):
    """Does something else in every training pass: what it returns is what it got in one of three."""

    def __init__(self):
        super().__init__()
        self._passes = 0

    def forward_pass(self, run, params, x):
        factor = 1.0 + 0.1 * (self._passes % 3)
        self._passes += run.training
        return x if factor == 1.0 else x * factor, factor

    def backward_pass(self, run, params, saved, dy):
        return dy if saved == 1.0 else dy * saved, {}


@watching
class Masked(pnn.Layer):
    is_random = True

    def forward_pass(self, run, params, x):
        mask = run.kernels.dropout_mask(x, 0.25, *run.next_key()) if run.training else None
        return x if mask is None else x * mask, mask

    def backward_pass(self, run, params, saved, dy):
        return dy * saved, {}


@watching
class Lazy(pnn.Layer):
    """Computes in its backward pass, from what it kept, and keeps no array but a function."""

    def forward_pass(self, run, params, x):
        return run.kernels.tanh(x), lambda dy: run.kernels.multiply(dy, 1.0 - run.kernels.tanh(x) ** 2)

    def backward_pass(self, run, params, saved, dy):
        return saved(dy), {}


@watching
class OwnReLU(pnn.ReLU):
    """Opaque, as it says nothing."""


class OwnTanh(pnn.Tanh):
    recordable = True


@watching
class Following(pnn.Layer):
    """x minus a running mean of all its elements: one number."""

    def __init__(self):
        super().__init__()
        self.states["mean"] = pnn.State((), 0.25)

    def forward_pass(self, run, params, x):
        run.update("mean", 0.5 * run.states["mean"] + 0.5 * run.place.xp.mean(x))
        return x - run.states["mean"], None

    def backward_pass(self, run, params, kept, dy):
        return dy, {}


@watching
class Remembering(pnn.Layer):
    """x plus a part of the first row that it got the last time: the state is memory of x."""

    def __init__(self, shape):
        super().__init__()
        self.states["row"] = pnn.State(shape[1:])

    def output_shape(self, shape):
        if shape[1:] != self.states["row"].shape or not shape or not shape[0]:
            raise pnn.errors.ShapeError(f"{shape}")
        return shape

    def forward_pass(self, run, params, x):
        before = run.states["row"]
        run.update("row", x[0, ...])
        return x + 0.3 * before, None

    def backward_pass(self, run, params, kept, dy):
        return dy, {}


class Drifting(pnn.Layer):
    """x plus a state that becomes a state of kernels alone: recorded, and updated twice a pass."""

    recordable = True

    def __init__(self):
        super().__init__()
        self.states["drift"] = pnn.State((), 0.5)

    def forward_pass(self, run, params, x):
        k = run.kernels
        for factor in (0.5, 0.25):
            old = run.states["drift"]
            run.update("drift", k.add_scaled(old, k.mean_along(x, tuple(range(x.ndim)), False), factor))
            run.update("drift", k.tanh(run.states["drift"]))
        return k.add(x, run.states["drift"]), None

    def backward_pass(self, run, params, kept, dy):
        return dy, {}


@watching
class OwnBatchNorm(pnn.BatchNorm):
    """Opaque, as it says nothing."""


class Offset(pnn.Layer):
    """x + p, of one shape: the derivative by p is dy itself."""

    recordable = True

    def __init__(self, shape):
        super().__init__()
        self.parameters["p"] = pnn.Parameter(shape, pnn.initializers.zeros())

    def output_shape(self, shape):
        if shape != self.parameters["p"].shape:
            raise pnn.errors.ShapeError(f"{shape}")
        return shape

    def forward_pass(self, run, params, x):
        return run.kernels.add(x, params["p"]), None

    def backward_pass(self, run, params, saved, dy):
        return dy, {"p": dy}


@watching
class OpaqueOffset(Offset):
    pass


class Gain(pnn.Layer):
    """x p along the last axis."""

    recordable = True

    def __init__(self, shape):
        super().__init__()
        self.parameters["p"] = pnn.Parameter(shape[-1:], pnn.initializers.zeros())

    def output_shape(self, shape):
        if shape[-1:] != self.parameters["p"].shape:
            raise pnn.errors.ShapeError(f"{shape}")
        return shape

    def forward_pass(self, run, params, x):
        return run.kernels.multiply(x, params["p"]), x

    def backward_pass(self, run, params, saved, dy):
        p = params["p"]
        dx = run.kernels.multiply_gradient(dy, p, saved.shape)
        return dx, {"p": run.kernels.multiply_gradient(dy, saved, p.shape)}


@watching
class OpaqueGain(Gain):
    pass


ONE_OUTPUT = (Halved, Halved, Through, Counting, Masked, Lazy, OwnReLU, OwnTanh, Following, Drifting)
FIXED = (Offset, OpaqueOffset, Gain, OpaqueGain, Remembering)
"""Those whose parameter or state depends on the shape of their input."""


class OwnError(pnn.MeanSquaredError):
    """Opaque, as it says nothing."""


class OwnSoftmax(pnn.SoftmaxWithLoss):
    """Opaque, as it says nothing."""


class OwnHuber(pnn.Huber):
    recordable = True


class Fourth(pnn.MeanSquaredError):
    """The mean of (y - t)^4, without kernels."""

    def forward_pass(self, run, params, y, t, weight=None):
        d = y - t if weight is None else (y - t) * weight.reshape((-1,) + (1,) * (y.ndim - 1))
        size = 1
        for n in y.shape:
            size *= n
        return namespace_of(d).sum(d**4) / size, (d, weight, size)

    def gradient(self, run, saved, dout=1.0):
        d, weight, size = saved
        dy = d**3 * (4.0 * dout / size)
        return dy if weight is None else dy * weight.reshape((-1,) + (1,) * (d.ndim - 1))


LOSSES = (OwnError, OwnSoftmax, OwnHuber, Fourth)


class Normed(pnn.optimizers.Optimizer):
    """Steps whose length depends on the norm of the whole gradient of a parameter; one slot is one number."""

    recordable = True
    slots = ("velocity", "norm")

    def new_slots(self, parameter):
        xp = namespace_of(parameter)
        return xp.zeros_like(parameter), xp.sum(parameter * 0.0)[...]

    def rule(self, kernels, params, grads, slots, numbers):
        norms = [0.5 * norm + kernels.half_squares(g) for g, norm in zip(grads, slots[1], strict=True)]
        lr = numbers["lr"]
        velocity = [0.9 * v - lr * g / (n + 1.0) for v, g, n in zip(slots[0], grads, norms, strict=True)]
        return [p + v for p, v in zip(params, velocity, strict=True)], [velocity, norms]


class Reading(pnn.optimizers.Optimizer):
    """An elementwise rule that reads its arguments after a kernel got them."""

    elementwise = True
    recordable = True

    def rule(self, kernels, params, grads, slots, numbers):
        once = kernels.sgd(params, grads, numbers["lr"])
        return [new + 0.1 * numbers["lr"] * (p - g) for new, p, g in zip(once, params, grads, strict=True)], []


class OwnAdam(pnn.Adam):
    """Neither elementwise nor recordable, as it says nothing."""


OPTIMIZERS = (Normed, Reading, OwnAdam)
