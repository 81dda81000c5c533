"""Fit a curve through noisy points: regression, one point at a time.

The points lie on the parabola y = x^2, plus noise of deviation 2. The network sees x and x^2 and has two hidden layers
of 100 and 400 sigmoids. Each step takes a single point and lowers its squared error (y - t)^2 at the rate 0.002; 200
epochs of 30 points are 6,000 steps. (With half the squared error as the loss, the same steps take twice the rate.)
"""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
pictures = Path(os.environ.get("EXAMPLES_OUT", "."))
NOISE = 2.0

x = np.linspace(-4, 4, 30)
y = x**2 + NOISE * np.random.default_rng(4).standard_normal(30)
fine = np.linspace(-4, 4, 201)


def features(x):
    return np.stack([x, x**2], axis=1)


network = pnn.Sequential(
    pnn.Affine(2, 100),
    pnn.Sigmoid(),
    pnn.Affine(100, 400),
    pnn.Sigmoid(),
    pnn.Affine(400, 1),
    loss=pnn.MeanSquaredError(),
    seed=4,
    xp=backend,
)
untrained = pnn.to_numpy(network.predict(features(fine)))[:, 0]
pnn.Trainer(network, pnn.SGD(lr=0.002)).fit(features(x), y, epochs=200, batch_size=1, progress=False)
fitted = pnn.to_numpy(network.predict(features(fine)))[:, 0]

if importlib.util.find_spec("matplotlib"):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(fine, fine**2, "--", color="0.5", label="the parabola $y = x^2$")
    axes.plot(x, y, "o", color="#1f77b4", ms=5, label="30 points with noise")
    axes.plot(fine, fitted, color="#d95f02", lw=2, label="what the network learnt")
    axes.set(xlabel="x", ylabel="y")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper center")
    figure.savefig(pictures / "parabola.png", dpi=150)

error, error_before = (np.sqrt(np.mean((curve - fine**2) ** 2)) for curve in (fitted, untrained))
print(f"distance from the parabola: {error:.2f} (before training {error_before:.2f}, the points {NOISE}) on {backend}")
assert error < NOISE < error_before, "the curve has to be nearer to the parabola than the points are"
