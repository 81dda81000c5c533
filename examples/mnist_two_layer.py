"""Train the classic two-layer network on MNIST with plain gradient descent.

784 pixels, 50 hidden units with ReLU, 10 outputs; weights drawn from a normal distribution of deviation 0.01; batches
of 100 images; learning rate 0.1. One epoch is 600 steps, so 15 epochs are 9,000 steps, after which 97 of 100 images
that the network has never seen are read right.

Takes the folder of MNIST's four files from the environment variable PORTABLE_NN_MNIST, or downloads them if that says
"download".
"""

import os
import sys
import time
from pathlib import Path

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
beside_the_repository = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
folder = os.environ.get("PORTABLE_NN_MNIST", str(beside_the_repository))
if folder != "download" and not Path(folder).is_dir():
    print("MNIST is not here: set PORTABLE_NN_MNIST to the folder of its files, or to download")
    sys.exit()
(x, t), (x_test, t_test) = pnn.datasets.load_mnist(None if folder == "download" else folder)

network = pnn.Sequential(
    pnn.Affine(784, 50, W=pnn.initializers.normal(0.01)),
    pnn.ReLU(),
    pnn.Affine(50, 10, W=pnn.initializers.normal(0.01)),
    loss=pnn.SoftmaxWithLoss(),
    seed=0,
    xp=backend,
)


class Accuracies(pnn.Callback):
    """Measures the network on all 60,000 images for training and all 10,000 for test."""

    def on_epoch(self, trainer, epoch, record):
        """Print the share of the images that are read right."""
        train_accuracy = trainer.evaluate(x, t)["accuracy"]
        print(f"step {600 * epoch:5}  train {train_accuracy:.4f}  test {record['val_accuracy']:.4f}", flush=True)


start = time.perf_counter()
trainer = pnn.Trainer(network, pnn.SGD(lr=0.1))
trainer.fit(x, t, epochs=15, batch_size=100, validation_data=(x_test, t_test), callbacks=[Accuracies()], progress=False)

accuracy = network.accuracy(x_test, t_test)
print(f"test accuracy {accuracy:.4f} on {backend} in {time.perf_counter() - start:.1f} s")
assert accuracy >= 0.966
