"""Share one weight matrix between two layers: an autoencoder whose decoder is its encoder, transposed.

The encoder squeezes an image of 64 pixels into 16 numbers, y = tanh(x W + b); the decoder unfolds them into an image
again, z = y W^T + c. There is one W: it is stored once, it gets the sum of the gradients of both its uses, and it is
still one W after saving and loading.
"""

import os
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
path = Path(os.environ.get("EXAMPLES_OUT", ".")) / "autoencoder.safetensors"
(x, _), (x_test, _) = pnn.datasets.load_digits()

encoder = pnn.Affine(64, 16)
decoder = pnn.Affine(16, 64, W=encoder.parameters["W"].T)
tied = pnn.Sequential(encoder, pnn.Tanh(), decoder, loss=pnn.MeanSquaredError(), seed=0, xp=backend)
print(tied.summary())

# The same network with two matrices of equal values: their gradients add up to that of the shared one.
two_layers = pnn.Affine(64, 16), pnn.Tanh(), pnn.Affine(16, 64)
untied = pnn.Sequential(*two_layers, loss=pnn.MeanSquaredError(), xp=backend)
untied.parameters.update(tied.parameters)
untied.parameters["2.W"] = tied.parameters["0.W"].T
gradient = {name: pnn.to_numpy(array) for name, array in tied.gradient(x, x).items()}
apart = {name: pnn.to_numpy(array) for name, array in untied.gradient(x, x).items()}
np.testing.assert_allclose(gradient["0.W"], apart["0.W"] + apart["2.W"].T, rtol=1e-4, atol=1e-7)

# It learns to draw digits that it has never seen from 16 numbers each.
pnn.Trainer(tied, pnn.Adam(lr=3e-3)).fit(x, x, epochs=30, progress=False)
error = float(tied.loss(x_test, x_test))
error_of_mean = float(np.mean((x_test - x.mean(axis=0)) ** 2))
print(f"squared error a pixel: {error:.4f}; of the mean image for every digit: {error_of_mean:.4f}")
assert error < 0.25 * error_of_mean

# The file holds W once, and so does the loaded network: with that W zero, nothing is left of an image but c.
tied.save(path)
print(f"in the file: {', '.join(sorted(load_file(path)))}")
assert sorted(load_file(path)) == ["0.W", "0.b", "2.b"]
loaded = pnn.load(path, xp=backend)
assert np.array_equal(pnn.to_numpy(loaded.predict(x_test)), pnn.to_numpy(tied.predict(x_test)))
loaded.parameters["0.W"] = 0.0 * loaded.parameters["0.W"]
only_c = np.broadcast_to(pnn.to_numpy(loaded.parameters["2.b"]), x_test.shape)
assert np.array_equal(pnn.to_numpy(loaded.predict(x_test)), only_c)
print(f"one W, tied in training and after loading, on {backend}")
