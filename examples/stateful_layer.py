"""A layer of one's own with states: it takes from each sensor the mean of all that training has seen of it.

A state is an array that a pass changes and no gradient does. It is declared beside the parameters, read as
`run.states[name]` and changed by `run.update(name, value)`: the step writes it with the weights, predicting never does.
"""

import sys

import numpy as np

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"


class Centered(pnn.Layer):
    """y = x - m, with m, a constant for the gradient, the mean of all rows so far: x and y (N, features)."""

    options = ("features",)

    def __init__(self, features):
        super().__init__()
        self.features = features
        self.states["sum"] = pnn.State((features,))
        self.states["rows"] = pnn.State((), initial=0.0)

    def forward_pass(self, run, params, x):
        """Return x - m; in training m has these rows in it already."""
        if run.training:
            run.update("sum", run.states["sum"] + run.place.xp.sum(x, axis=0))
            run.update("rows", run.states["rows"] + float(x.shape[0]))
        return x - run.states["sum"] / (run.states["rows"] + 1e-9), None

    def backward_pass(self, run, params, saved, dy):
        """Return dy, and no gradients."""
        return dy, {}


rng = np.random.default_rng(0)
x = rng.normal([50.0, -20.0, 5.0], 1.0, (600, 3))  # three sensors, far from 0
t = (x.sum(axis=1) > 35.0).astype(int)
layers = Centered(3), pnn.Affine(3, 16), pnn.ReLU(), pnn.Affine(16, 2)
net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=backend)
pnn.Trainer(net, pnn.Adam(1e-2), compile=False).fit(x[:500], t[:500], epochs=20, progress=False)

accuracy = net.accuracy(x[500:], t[500:])
rows, mean = float(net.states["0.rows"]), pnn.to_numpy(net.states["0.sum"]) / float(net.states["0.rows"])
assert rows == 20 * 500  # measuring does not count
assert np.allclose(mean, x[:500].mean(axis=0), atol=0.02)
assert accuracy > 0.95
print(f"{rows:,.0f} rows of mean {mean.round(1)}, test accuracy {accuracy:.3f} on {backend}")
