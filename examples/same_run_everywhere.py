"""Train the same network on every installed backend from one seed: it is the same run everywhere.

100 steps of gradient descent in float32, with dropout. Initial weights, the order of the samples and the dropout masks
are the same on every backend, so all that differs is how each rounds its sums. The losses stand side by side; all agree
with NumPy's within a hundred-thousandth. Name a backend to compare it alone with NumPy.
"""

import sys

import numpy as np

import portable_nn as pnn

backends = ["numpy", *(sys.argv[1:] or ["array_api_strict", "torch", "jax", "cupy"])]
(x, t), _ = pnn.datasets.load_digits()

weights, losses = {}, {}
for backend in backends:
    try:
        network = pnn.Sequential(
            pnn.Affine(64, 100),
            pnn.ReLU(),
            pnn.Dropout(0.5),
            pnn.Affine(100, 10),
            loss=pnn.SoftmaxWithLoss(),
            seed=0,
            xp=backend,
        )
    except (pnn.MissingExtraError, pnn.BackendError) as error:
        print(f"left out: {error}")
        continue
    weights[backend] = {name: np.array(pnn.to_numpy(array)) for name, array in network.parameters.items()}
    # A batch of all samples makes an epoch one step, so the history holds the loss of every single step.
    history = pnn.Trainer(network, pnn.SGD(lr=0.1)).fit(x, t, epochs=100, batch_size=len(x), progress=False)
    losses[backend] = np.array(history["loss"])

print("step  " + "  ".join(f"{backend:>16}" for backend in losses))
for step in (1, *range(10, 101, 10)):
    print(f"{step:4}  " + "  ".join(f"{curve[step - 1]:16.8f}" for curve in losses.values()))

for backend in losses:
    for name, array in weights["numpy"].items():
        assert weights[backend][name].tobytes() == array.tobytes(), f"{backend} began with another {name}"
    difference = np.max(np.abs(losses[backend] / losses["numpy"] - 1.0))
    print(f"{backend}: largest relative difference from NumPy's losses {difference:.1e}")
    assert difference < 1e-5
assert losses["numpy"][-1] < 0.5 * losses["numpy"][0]
print(f"the same run on {len(losses)} backends")
