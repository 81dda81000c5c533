"""Prove by central differences that gradients are right: of a whole network, of one layer, of a loss.

A derivative is (f(x + h) - f(x - h)) / 2h for a small h. That is slow, two forward passes for each number (79,520 for a
network of 784, 50 and 10 units), but too simple to get wrong; so it judges the gradients that backward passes find at
once. The images are three of MNIST, from the folder PORTABLE_NN_MNIST, or else three of the digits in the package.
"""

import os
import sys
from pathlib import Path

import numpy as np

import portable_nn as pnn
from portable_nn.testing import check_layer, check_network, numerical_gradient

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
beside_the_repository = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
folder = Path(os.environ.get("PORTABLE_NN_MNIST", beside_the_repository))
(x, t), _ = pnn.datasets.load_mnist(folder) if folder.is_dir() else pnn.datasets.load_digits()
x, t = x[:3], t[:3]
pixels = x.shape[1]

# 1. All parameters of a network: the mean absolute difference of the two gradients.
layers = pnn.Affine(pixels, 50, W=pnn.initializers.normal(0.01)), pnn.ReLU(), pnn.Affine(50, 10)
network = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=backend)
print(f"a network of {pixels}, 50 and 10 units on 3 images of {pixels} pixels:")
report = check_network(network, x, t)
for row in report.rows:
    print(f"{row.name:4}  mean absolute difference {row.mean_difference:.1e}")
assert all(row.mean_difference < 1e-9 for row in report.rows)

# 2. One layer's dx. A gradient needs a function with one number as its value, but a layer returns an array y. So weigh
# y with any dy and add up: the derivative of sum(y * dy) by x is what backward(dy) has to return.
affine = pnn.Affine(pixels, 5, dtype="float64", seed=1)
dy = np.random.default_rng(0).standard_normal((3, 5))
affine.forward(x)
dx = affine.backward(dy)
expected = numerical_gradient(lambda x: np.sum(affine.forward(x, training=False) * dy), x)
print(f"Affine's dx: largest difference {np.max(np.abs(dx - expected)):.1e}")
assert np.max(np.abs(dx - expected)) < 1e-8

# 3. A loss is one number already.
scores, loss = 5.0 * np.random.default_rng(1).standard_normal((3, 10)), pnn.SoftmaxWithLoss()
loss.forward(scores, t)
dscores = loss.backward()
expected = numerical_gradient(lambda scores: loss.forward(scores, t), scores)
print(f"SoftmaxWithLoss: largest difference {np.max(np.abs(dscores - expected)):.1e}")
assert np.max(np.abs(dscores - expected)) < 1e-8

# 4. check_layer does all that in one line on any backend, and asks torch and JAX as well where they are installed.
print(check_layer(affine, x, xp=backend))
print(check_layer(loss, scores, t, xp=backend))
