"""Random networks for the fuzzing of plans: a seed makes a graph, a loss, an optimizer, and batches of several sizes.

All numbers stay tame: what is compared are two ways of computing the same, not their overflow.
"""

import numpy as np

import portable_nn as pnn

ACTIVATIONS = [
    pnn.ReLU,
    pnn.LeakyReLU,
    pnn.Sigmoid,
    pnn.Tanh,
    pnn.Softplus,
    pnn.ELU,
    pnn.SiLU,
    pnn.GELU,
    pnn.Softmax,
    pnn.Identity,
    pnn.Flatten,
    pnn.Neg,
]


class Same(pnn.Layer):
    """Returns what it gets."""

    def forward_pass(self, run, params, x):
        return x, None

    def backward_pass(self, run, params, kept, dy):
        return dy, {}


class Sometimes(pnn.Layer):
    """Returns what it gets, or twice that: the data decide."""

    def forward_pass(self, run, params, x):
        return (x, 1.0) if float(run.place.xp.sum(x)) > 0 else (2.0 * x, 2.0)

    def backward_pass(self, run, params, kept, dy):
        return (dy if kept == 1.0 else kept * dy), {}


class Twice(pnn.Layer):
    """Returns one array as both of its outputs, and one as the derivative and what it keeps."""

    output_count = 2

    def output_shape(self, shape):
        return shape, shape

    def forward_pass(self, run, params, x):
        return (x, x), x

    def backward_pass(self, run, params, kept, first, second):
        return first + second, {}


class Remembers(pnn.Layer):
    """y = s x / (1 + max |x|), the maximum a Python number; keeps every input, which must stay as it was."""

    def __init__(self, features):
        super().__init__()
        self.parameters["s"] = pnn.Parameter((features,))
        self.seen = []

    def forward_pass(self, run, params, x):
        self.seen.append((x, pnn.to_numpy(x).copy()))
        self.seen = self.seen[-20:]
        top = 1.0 + float(run.place.xp.max(run.place.xp.abs(x)))
        return params["s"] * x / top, (x, top)

    def backward_pass(self, run, params, kept, dy):
        x, top = kept
        return dy * params["s"] / top, {"s": run.place.xp.sum(dy * x, axis=0) / top}


class OwnSquaredError(pnn.Loss):
    """The mean of (y - t)^2, which is a Python number here."""

    def targets(self, shape, t, place, sample_weight=None):
        return place.asarray(t), None

    def forward_pass(self, run, params, y, t, weight=None):
        d = y - t
        return float(run.place.xp.mean(d * d)), d

    def gradient(self, run, kept, dout=1.0):
        return kept * (2.0 * dout / (kept.shape[0] * kept.shape[1]))


class OwnSGD(pnn.Optimizer):
    """p - lr (g + |g|_2 p / 100), which needs the shapes."""

    def rule(self, kernels, params, grads, slots, numbers):
        sizes = [(g * g).sum() ** 0.5 for g in grads]
        return [p - numbers["lr"] * (g + 0.01 * n * p) for p, g, n in zip(params, grads, sizes, strict=True)], []


class Program:
    """What a seed makes.

    Attributes
    ----------
    network : Graph
    optimizer : Optimizer
    batches : list of (x, t, weight)
    """

    def __init__(self, seed, *, opaque=True, shapes=3, **place):
        self.seed, self._opaque = seed, opaque
        self._rng = np.random.default_rng(seed)
        self._affine = {}
        inputs, outputs = self._size(), self._size()
        self._criterion = self._loss(outputs)
        self.network = pnn.Graph(loss=self._criterion, seed=seed, **place)
        self._layers(inputs, outputs)
        self.optimizer = self._optimizer()
        self._freeze()
        sizes = [int(size) for size in self._rng.choice([1, 2, 5, 8], shapes)]
        self.batches = [self._batch(size, inputs, outputs) for size in [*sizes, *sizes[::-1], sizes[0]]]

    def __str__(self):
        return f"seed {self.seed}: {self.network.to_postfix()}, {self.network.loss_function}, {self.optimizer}"

    def _pick(self, *things):
        return things[self._rng.integers(len(things))]

    def _size(self):
        return int(self._pick(2, 4, 6, 40))

    def _layers(self, inputs, outputs):
        self._nodes = [(self.network.input("x"), inputs)]
        self._used = set()
        for _ in range(self._rng.integers(1, 9)):
            step = self._pick(
                self._product,
                self._product,
                self._activation,
                self._activation,
                self._two,
                self._parts,
                self._views,
                self._sums,
                self._opaque_layer,
            )
            for node, size in step():
                self._nodes.append((node, size))
        loose = [(node, size) for node, size in self._nodes if node.name not in self._used]
        while len(loose) > 1:
            (a, m), (b, n) = loose.pop(), loose.pop()
            loose.append((pnn.Concat()(a, b), m + n))
        ((node, size),) = loose
        if size != outputs or node.name == "x" or self._rng.random() < 0.5:
            node = self._pick(pnn.Affine, pnn.MatMul)(size, outputs)(node)
        if self._rng.random() < 0.3:
            node = self._pick(pnn.Flatten, pnn.Identity)()(node)
        if isinstance(self._criterion, pnn.PoissonLoss):
            node = pnn.Tanh()(node)  # of which the loss takes the exponential
        self.network.output(node)

    def _take(self, *, of_size=None):
        """Return a node, the newest as a rule; of one size, if there is one."""
        nodes = [pair for pair in self._nodes if of_size in (None, pair[1])]
        node, size = nodes[-1] if self._rng.random() < 0.6 else self._pick(*nodes)
        self._used.add(node.name)
        return node, size

    def _product(self):
        node, size = self._take()
        layer = self._affine.get(size)
        if layer is None or self._rng.random() < 0.6:
            outputs = self._size()
            kind = self._rng.random()
            tied = self._affine.get(outputs)
            if kind < 0.2 and tied is not None and tied.outputs == size:
                layer = pnn.Affine(size, outputs, W=tied.parameters["W"].T)
            elif kind < 0.5:
                return [(pnn.MatMul(size, outputs)(node), outputs)]
            else:
                layer = self._affine[size] = pnn.Affine(size, outputs, bias=bool(self._rng.random() < 0.8))
        return [(layer(node), layer.outputs)]

    def _activation(self):
        node, size = self._take()
        layer = pnn.Dropout(0.3) if self._rng.random() < 0.15 else self._pick(*ACTIVATIONS)()
        return [(layer(node), size)]

    def _two(self):
        a, size = self._take()
        b, _ = self._take(of_size=size)
        if self._rng.random() < 0.2:
            return [(pnn.Div()(a, pnn.Softplus()(pnn.Exp()(pnn.Tanh()(b)))), size)]
        return [(self._pick(pnn.Add, pnn.Sub, pnn.Mul)()(pnn.Tanh()(a), b), size)]

    def _parts(self):
        node, size = self._take()
        if size % 2 == 0 and self._rng.random() < 0.5:
            return [(part, size // 2) for part in pnn.Split(2)(node)]
        return [(part, size) for part in pnn.Branch(int(self._pick(2, 3)))(node)]

    def _views(self):
        node, size = self._take()
        rows = 2 if size % 2 == 0 else 1
        for _ in range(self._rng.integers(1, 4)):
            node = pnn.Reshape((rows, size // rows))(node)
            node = pnn.Transpose((0, 2, 1))(node)
            node = self._pick(pnn.Flatten(), pnn.Reshape((size,)))(node)
        return [(node, size)]

    def _sums(self):
        node, size = self._take()
        total = self._pick(pnn.Sum, pnn.Mean)(1, keepdims=True)(pnn.Tanh()(node))
        if self._rng.random() < 0.5:
            return [(pnn.Repeat(size, 1)(total), size)]
        power = pnn.Power(2)(pnn.Log()(pnn.Softplus()(pnn.Tanh()(total))))
        return [(pnn.Repeat(size, 1)(power), size)]

    def _opaque_layer(self):
        if not self._opaque:
            return self._activation()
        node, size = self._take()
        layer = self._pick(Same(), Sometimes(), Twice(), Remembers(size))
        made = layer(node)
        return [(part, size) for part in (made if isinstance(made, tuple) else (made,))]

    def _loss(self, outputs):
        reduction = self._pick("mean", "mean", "sum")
        if self._opaque and self._rng.random() < 0.1:
            return OwnSquaredError()
        if self._rng.random() < 0.5:
            weights = list(self._rng.uniform(0.5, 2.0, outputs)) if self._rng.random() < 0.3 else None
            smoothing = float(self._pick(0.0, 0.0, 0.1))
            return pnn.SoftmaxWithLoss(reduction, label_smoothing=smoothing, class_weight=weights)
        kind = self._pick(pnn.MeanSquaredError, pnn.MeanAbsoluteError, pnn.Huber, pnn.SigmoidWithLoss, pnn.PoissonLoss)
        return kind(reduction)

    def _optimizer(self):
        options = {"weight_decay": float(self._pick(0.0, 0.0, 0.01)), "clip_norm": self._pick(None, None, 0.5)}
        adaptive = [pnn.AdaGrad, pnn.RMSprop, pnn.Adam, pnn.AdamW]
        kind = self._pick(pnn.SGD, pnn.Momentum, pnn.Nesterov, *adaptive, *([OwnSGD] if self._opaque else []))
        if kind in adaptive:
            options["epsilon"] = 1e-3  # with less, a gradient that is zero but for rounding makes a step of its own
        return kind(1e-3, **options)

    def _freeze(self):
        frozen = [name for name in self.network.parameters if self._rng.random() < 0.1]
        if frozen:
            self.network.freeze(*frozen)
        if not self.network.trainable():
            self.network.unfreeze()

    def _batch(self, size, inputs, outputs):
        x, loss = self._rng.standard_normal((size, inputs)), self.network.loss_function
        if isinstance(loss, pnn.SoftmaxWithLoss):
            t = self._rng.integers(0, outputs, size)
            t = np.eye(outputs)[t] if self._rng.random() < 0.3 else t
        else:
            t = self._rng.uniform(0.0, 1.0, (size, outputs))
        weight = None if isinstance(loss, OwnSquaredError) or self._rng.random() < 0.7 else self._rng.random(size)
        return x, t, weight
