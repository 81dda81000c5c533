"""Write a layer of your own: Swish with a slope that is learnt, checked, trained, saved and loaded.

y = x sigmoid(beta x), with one beta a feature (Ramachandran, Zoph, Le: Searching for activation functions, 2017). A
layer is two pure functions, one there and one back; they work on the arrays of any backend.
"""

import os
import sys
from pathlib import Path

import numpy as np

import portable_nn as pnn
from portable_nn.testing import check_layer

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
path = Path(os.environ.get("EXAMPLES_OUT", ".")) / "swish.safetensors"


class Swish(pnn.Layer):
    """y = x sigmoid(beta x): x and y (N, features), beta (features,)."""

    options = ("features",)  # what a file has to remember to make the layer again
    recordable = True  # computes with arrays and kernels alone, the same for all data: JAX may compile it

    def __init__(self, features):
        super().__init__()
        self.features = features
        self.parameters["beta"] = pnn.Parameter((features,), pnn.initializers.constant(1.0))

    def forward_pass(self, run, params, x):
        """Return y, and what the way back will need."""
        s = run.kernels.sigmoid(params["beta"] * x)
        return x * s, (x, s)

    def backward_pass(self, run, params, saved, dy):
        """Return dx and the gradient of each parameter."""
        x, s = saved
        dz = dy * x * s * (1.0 - s)  # the derivative by z = beta x
        return dy * s + dz * params["beta"], {"beta": run.place.xp.sum(dz * x, axis=0)}


# Checked: by central differences, and by torch and JAX where they are installed. A wrong sign would raise here.
print(check_layer(Swish(4), np.random.default_rng(0).standard_normal((5, 4)), xp=backend))

(x, t), (x_test, t_test) = pnn.datasets.load_digits()
layers = pnn.Affine(64, 50), Swish(50), pnn.Affine(50, 10)  # trained between layers of the library
network = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=backend)
pnn.Trainer(network, pnn.Adam(lr=3e-3)).fit(x, t, epochs=15, progress=False)
beta = pnn.to_numpy(network.parameters["1.beta"])
print(f"beta began at 1 everywhere and is now between {beta.min():.2f} and {beta.max():.2f}")
assert beta.max() - beta.min() > 0.1

# Saved and loaded: a file never says where to import code from, so load is told which classes it may use.
network.save(path)
loaded = pnn.load(path, xp=backend, classes=[Swish])
assert np.array_equal(pnn.to_numpy(loaded.predict(x_test)), pnn.to_numpy(network.predict(x_test)))
print(f"test accuracy {loaded.accuracy(x_test, t_test):.4f} on {backend}")
assert loaded.accuracy(x_test, t_test) >= 0.96
