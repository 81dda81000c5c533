"""Graphs from a seed: layer after layer, each kept if its shapes fit and its values on some numbers stay tame."""

import numpy as np

import portable_nn as pnn
from portable_nn.kernels import PORTABLE, is_recordable

from . import users

__all__ = ["CLASS_LOSSES", "PLACE", "Inventor"]

SIZES = (1, 5, 6)
"""Batches for which all shapes must fit; a node's values are those of the last."""
PLACE = pnn.Place("numpy", None, "float64")
ROWS = 5
"""How many rows embeddings have."""
HIGHEST, MOST = 8.0, 400
"""What no value exceeds at first, and how many numbers a node has at most."""

ACTIVATIONS = [
    pnn.ReLU, pnn.ReLU, pnn.Sigmoid, pnn.Tanh, pnn.Softplus, pnn.SiLU, pnn.GELU, pnn.Identity, pnn.layers.Neg,
    pnn.Softmax, pnn.Flatten, pnn.SELU, pnn.Mish, pnn.Softsign, pnn.HardSigmoid, pnn.HardSwish, pnn.HardTanh, pnn.ReLU6,
    pnn.LogSoftmax,
]  # fmt: skip
PAIRS = [pnn.layers.Add, pnn.layers.Sub, pnn.layers.Mul, pnn.layers.Div, pnn.MatMul, pnn.layers.Concat]
LOSS_NODES = [
    pnn.MeanSquaredError, pnn.MeanAbsoluteError, pnn.Huber, pnn.SigmoidWithLoss, pnn.LogCosh, pnn.QuantileLoss,
    pnn.CosineSimilarityLoss,
]  # fmt: skip
CLASS_LOSSES = (pnn.SoftmaxWithLoss, pnn.NegativeLogLikelihood, pnn.KLDivergence)
POSITIVE = (pnn.Sigmoid, pnn.Softplus, pnn.Softmax, pnn.layers.Exp)
KEEP_SIGN = (
    pnn.layers.Add, pnn.layers.Mul, pnn.layers.Div, pnn.layers.Sum, pnn.layers.Mean, pnn.layers.Repeat, pnn.Identity,
    pnn.layers.Branch, pnn.layers.Power, pnn.Flatten, pnn.layers.Reshape, pnn.layers.Transpose, pnn.layers.Concat,
    pnn.layers.Split, pnn.MatMul,
)  # fmt: skip


class Value:
    """A node, its shapes for each of SIZES, and its values for the last of them."""

    def __init__(self, node, shapes, array, *, positive=False):
        self.node, self.shapes, self.array, self.positive = node, shapes, array, positive
        self.used = False

    @property
    def shape(self):
        return self.shapes[-1]

    def has_batch(self):
        """Tell whether the first axis is the batch, and the others do not depend on it."""
        return [shape[:1] for shape in self.shapes] == [(n,) for n in SIZES] and len(
            {shape[1:] for shape in self.shapes}
        ) == 1


class Inventor:
    """Makes one graph.

    Parameters
    ----------
    rng : numpy.random.Generator
    opaque : bool
        Whether layers may be opaque.
    most : int
        How many layers there are at most, but for those that lead all to the output.
    """

    def __init__(self, rng, *, opaque, most):
        self.rng, self.opaque, self.most = rng, opaque, most
        self.layers = []
        self.values = []
        self.whole_numbers = rng.random() < 0.2

    def pick(self, things):
        return things[self.rng.integers(len(things))]

    def chance(self, probability):
        return self.rng.random() < probability

    def whole(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def graph(self, loss):
        """Return a graph of random layers with a loss; its output suits it."""
        self.g = pnn.Graph(loss=loss, seed=self.whole(0, 10**6), dtype="float64")
        sample = tuple(self.whole(1, 5) for _ in range(1 if self.chance(0.7) else 2))
        shapes = [(n, *sample) for n in SIZES]
        self.x = Value(self.g.input("x"), shapes, self.numbers(shapes[-1]))
        self.values = [self.x]
        if self.whole_numbers:
            self.must(self.an_embedding(), [self.x])
        for _ in range(self.whole(1, self.most)):
            self.grow()
        self.finish(loss)
        return self.g

    def numbers(self, shape):
        """Return numbers for x: those of rows of embeddings, in some graphs."""
        if self.whole_numbers:
            return self.rng.integers(0, ROWS, shape)
        return np.clip(self.rng.normal(size=shape), -1.5, 1.5)

    def an_embedding(self):
        return pnn.Embedding(ROWS, self.whole(1, 4), padding_index=self.pick([None, None, 0]))

    def grow(self):
        """Add one layer, or a few that belong together."""
        for _ in range(12):
            layer, inputs = self.pick(self.ways())()
            if layer is not None and self.apply(layer, inputs):
                return

    def ways(self):
        simple = [self.activation] * 4 + [self.shaped] * 4 + [self.affine] * 4 + [self.pair] * 4
        if self.whole_numbers:
            simple += [self.embedding] * 2
        others = [self.tie, self.again, self.loss_node, self.reduction, self.reduction, self.norm]
        return [*simple, *others, *[self.users] * 3]

    def value(self):
        """Return a value: often the last or one that nothing uses yet."""
        unused = [value for value in self.values if not value.used]
        return self.pick(unused) if unused and self.chance(0.6) else self.pick(self.values)

    def apply(self, layer, inputs, *, again=False, tame=True):
        """Put a layer behind values, and return whether that was possible."""
        try:
            shapes = [layer.output_shape(*(value.shapes[i] for value in inputs)) for i in range(len(SIZES))]
        except pnn.errors.ShapeError:
            return False
        if layer.kind_of_input(0) == "integral" and any(value.array.dtype.kind != "i" for value in inputs):
            return False
        if not again:
            self.draw(layer)
        run = pnn.Run(PLACE, PORTABLE, training=False)
        with np.errstate(all="ignore"):
            arrays, _ = run.forward(layer, layer.pass_arrays(), *given(layer, inputs))
        several = layer.output_count > 1
        arrays, shapes = (arrays, list(zip(*shapes, strict=True))) if several else ([arrays], [shapes])
        if tame and not all(is_tame(array) for array in arrays):
            return False
        nodes = layer(*(value.node for value in inputs))
        positive = isinstance(layer, POSITIVE) or (
            isinstance(layer, KEEP_SIGN) and not layer.parameters and all(value.positive for value in inputs)
        )
        for value in inputs:
            value.used = True
        for node, each, array in zip(nodes if several else [nodes], shapes, arrays, strict=True):
            self.values.append(Value(node, list(each), np.asarray(array), positive=positive))
        self.layers.append((layer, len(inputs)))
        return True

    def draw(self, layer):
        """Give a layer's new parameters values."""
        for parameter in layer.parameters.values():
            if isinstance(parameter, pnn.Parameter) and parameter.value is None:
                size = parameter.shape[0] if len(parameter.shape) > 1 else 4
                array = self.rng.normal(size=parameter.shape) / np.sqrt(size)
                parameter.set(np.asarray(array), PLACE, "p")
        for state in layer.states.values():
            state.initialize(PLACE)
        layer.place = PLACE

    # Ways to go on: each returns a layer and its inputs, or no layer where it does not fit.

    def activation(self):
        value, rng = self.value(), self.rng
        others = [
            pnn.LeakyReLU(float(rng.uniform(0.01, 0.5))), pnn.ELU(self.pick([1.0, 0.6])),
            pnn.Dropout(self.pick([0.0, 0.3, 0.5])), pnn.layers.Power(self.pick([1, 2, 3, 0])),
            pnn.AlphaDropout(0.2), pnn.SpatialDropout(0.3, axis=self.whole(-1, 1)), pnn.GaussianNoise(0.1),
            pnn.CELU(0.6), pnn.GELU("tanh"), pnn.PReLU(init=0.1), pnn.HardTanh(-0.2, 0.9),
            pnn.PReLU((*value.shape, 1, 1)[1]), self.pick([pnn.GLU, pnn.SwiGLU, pnn.Softmax, pnn.LogSoftmax])(axis=1),
            pnn.Maxout(self.whole(1, 3), axis=self.whole(-1, 1)),
        ]  # fmt: skip
        if value.array.max(initial=0) < 2.5:
            others.append(pnn.layers.Exp())
        if value.positive and value.array.min() > 0.1:
            others += [pnn.layers.Log(), pnn.layers.Power(-1), pnn.layers.Power(0.5)]
        return self.pick([*others, self.pick(ACTIVATIONS)(), self.pick(ACTIVATIONS)()]), [value]

    def shaped(self):
        value = self.value()
        ndim = value.array.ndim
        if not ndim:
            return None, []
        axis = self.whole(-ndim, ndim - 1)
        size = value.shape[axis]
        rest = int(np.prod(value.shape[1:]))
        first = self.pick([n for n in range(1, rest + 1) if rest % n == 0])
        layers = [
            pnn.layers.Branch(self.whole(2, 3)), pnn.layers.Repeat(self.whole(1, 3), axis),
            pnn.layers.Reshape([first, rest // first]), pnn.layers.Reshape([rest]), pnn.Flatten(),
            pnn.layers.Transpose(self.rng.permutation(ndim).tolist()),
        ]  # fmt: skip
        if size > 1:
            cut = self.whole(1, size - 1)
            layers += [pnn.layers.Split([cut, size - cut], axis)] * 2
        return self.pick(layers), [value]

    def affine(self):
        value = self.value()
        if value.array.ndim < 2:
            return None, []
        inputs, outputs = int(np.prod(value.shape[1:])), self.whole(1, 6)
        if self.chance(0.7 if value.array.ndim == 2 else 0.3):
            layer = pnn.Affine(inputs, outputs, bias=self.chance(0.8))
        else:
            layer = pnn.MatMul(value.shape[-1], outputs)
        if self.chance(0.5) and self.apply(layer, [value]):  # what plans fuse
            return self.pick([pnn.ReLU, pnn.ReLU, pnn.Sigmoid, pnn.Tanh])(), [self.values[-1]]
        return layer, [value]

    def embedding(self):
        """Rows whose numbers are those of x, or moved from there."""
        return self.an_embedding(), [self.pick([v for v in self.values if v.array.dtype.kind == "i" and v.array.ndim])]

    def tie(self):
        """A layer that shares a parameter, or its transpose."""
        weighted = [layer for layer, _ in self.layers if "W" in layer.parameters]
        if not weighted:
            return None, []
        shared = self.pick(weighted).parameters["W"]
        if self.chance(0.6):
            shared = shared.parameter if isinstance(shared, pnn.Transposed) else shared.T
        kind = self.pick([pnn.Affine, pnn.MatMul])
        return kind(*shared.shape, W=shared), [self.value()]

    def again(self):
        """A layer that is there already."""
        if self.layers:
            layer, count = self.pick(self.layers)
            self.apply(layer, [self.value() for _ in range(count)], again=True)
        return None, []

    def pair(self):
        layer = self.pick(PAIRS)()
        a, b = self.value(), self.value()
        if isinstance(layer, pnn.layers.Concat):
            layer.axis = self.whole(-1, 1)
            return layer, [a, b, a][: self.whole(1, 3)]
        if isinstance(layer, pnn.layers.Div) and not (b.positive and b.array.min() > 0.2):
            return None, []
        if isinstance(layer, pnn.MatMul) and a.array.ndim >= 2 and self.chance(0.5):
            self.apply(pnn.layers.Transpose(), [a])
            b = self.values[-1]
        return layer, [a, b]

    def reduction(self):
        value = self.value()
        axis = self.pick([None, *range(-value.array.ndim, value.array.ndim)])
        kind = self.pick([pnn.layers.Sum, pnn.layers.Mean])
        return kind(axis, keepdims=self.chance(0.5)), [value]

    def norm(self):
        """A normalization; that of batches, by the batch where there are several values a channel in every batch."""
        value = self.value()
        if value.array.ndim < 2:
            return None, []
        if self.chance(0.5):
            of_samples = [
                pnn.LayerNorm(value.shape[-1], epsilon=0.1), pnn.RMSNorm(value.shape[-1], epsilon=0.1),
                pnn.GroupNorm(1, value.shape[1], epsilon=0.1), pnn.LocalResponseNorm(3, alpha=0.5),
            ]  # fmt: skip
            return self.pick(of_samples), [value]
        several = min(np.prod(shape) // shape[1] for shape in value.shapes) > 1
        kind = self.pick([pnn.BatchNorm, users.OwnBatchNorm])
        kind = kind if self.allows(kind) else pnn.BatchNorm
        frozen = not several or self.chance(0.2)
        return kind(value.shape[1], momentum=0.3, epsilon=0.1, frozen_statistics=frozen), [value]

    def loss_node(self):
        """A loss between two values of one shape."""
        a = self.value()
        same = [value for value in self.values if value.shapes == a.shapes]
        layer = self.pick(LOSS_NODES)(self.pick(["mean", "sum", "none"]))
        if isinstance(layer, pnn.SigmoidWithLoss):
            same = [value for value in same if value.positive and value.array.max(initial=0) <= 1]
        return (layer, [a, self.pick(same)]) if same and a.array.ndim else (None, [])

    def users(self):
        """Somebody's own layer, often behind one that returns a view."""
        value = self.value()
        view, inputs = self.shaped() if self.chance(0.4) else (None, [])
        if view is not None and self.apply(view, inputs):
            value = self.values[-1]
        chosen = self.whole(0, 9)
        layer, inputs = self.pick(users.ONE_OUTPUT)(), [value]
        if chosen < 4:
            layer = self.pick(users.FIXED)(value.shape)
            if type(layer).__name__.endswith("Gain") and not value.array.ndim:
                return None, []
        elif chosen == 4:
            layer = users.Twin()
        elif chosen == 5:
            layer, inputs = users.Both(), [value, self.pick([v for v in self.values if v.shapes == value.shapes])]
        return (layer, inputs) if self.allows(type(layer)) else (None, [])

    def allows(self, kind):
        """Tell whether somebody's own class may be part of the run."""
        return self.opaque or is_recordable(kind)

    # The end.

    def finish(self, loss):
        """Lead all values to one output."""
        unused = [value for value in self.values if not value.used and value is not self.x] or [self.x]
        trunk = next((value for value in reversed(unused) if value.has_batch()), self.x)
        wide = trunk.array.ndim == 1
        if wide:
            trunk = self.must(pnn.layers.Reshape([1]), [trunk])
        narrow = isinstance(loss, CLASS_LOSSES) and (trunk.array.ndim < 2 or self.chance(0.5))
        if narrow or not self.weights() or self.chance(0.4):
            trunk = self.must(pnn.Affine(int(np.prod(trunk.shape[1:])), self.whole(1, 4)), [trunk])
        for value in unused:
            if not value.used and value is not trunk:
                trunk = self.must(pnn.layers.Add(), [trunk, self.fitting(value, trunk)])
        if isinstance(loss, pnn.PoissonLoss) or np.abs(trunk.array).max(initial=0) > 4:
            trunk = self.must(pnn.Tanh(), [trunk])
        self.g.output(trunk.node)
        self.freeze()

    def fitting(self, value, trunk):
        """Return a value of another's shape, or one that broadcasts to it, in which a value takes part."""
        if value.shapes == trunk.shapes:
            return value
        if value.has_batch() and trunk.array.ndim == 2 and self.chance(0.7):
            rest = int(np.prod(value.shape[1:]))
            flat = value if value.array.ndim > 1 else self.must(pnn.layers.Reshape([1]), [value])
            return self.must(pnn.Affine(rest, trunk.shape[1], bias=self.chance(0.5)), [flat])
        return self.must(pnn.layers.Mean(), [value])

    def must(self, layer, inputs):
        """Put a layer behind values though the result may be less tame, and return it."""
        assert self.apply(layer, inputs, tame=False), (layer, [value.shape for value in inputs])
        return self.values[-1]

    def weights(self):
        return [layer for layer, _ in self.layers if layer.parameters]

    def freeze(self):
        for name in list(self.g.parameters):
            if self.chance(0.15) and len(self.g.trainable()) > 1:
                self.g.freeze(name)


def given(layer, inputs):
    """Return the values that a layer gets: whole numbers only where it asks for them, or all that it moves are such."""
    arrays = [value.array for value in inputs]
    kind = layer.kind_of_input(0)
    if kind == "integral" or (kind == "any" and all(array.dtype.kind == "i" for array in arrays)):
        return arrays
    return [array.astype(float) for array in arrays]


def is_tame(array):
    """Tell whether values are finite, neither too many nor too large."""
    return array.size <= MOST and bool(np.isfinite(array).all()) and np.abs(array).max(initial=0) <= HIGHEST
