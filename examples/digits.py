"""Train a network to read handwritten digits, and watch it learn.

The 1797 digits of 8 x 8 pixels come with the package, so there is nothing to download: a fifth of them is held out for
the test. Any backend that is installed does the same work:

    python examples/digits.py          python examples/digits.py torch
"""

import importlib.util
import os
import sys
from pathlib import Path

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
pictures = Path(os.environ.get("EXAMPLES_OUT", "."))

# The data: x holds one image a row, 64 numbers from 0 to 1; t holds the digit that each image shows.
(x, t), (x_test, t_test) = pnn.datasets.load_digits()

# The network: 64 pixels in, 100 hidden units, 10 outputs, one a digit; the largest output is the answer.
network = pnn.Sequential(
    pnn.Affine(64, 100),
    pnn.ReLU(),
    pnn.Affine(100, 10),
    loss=pnn.SoftmaxWithLoss(),
    seed=0,
    xp=backend,
)
print(network.summary())

# The training: 15 times through all images, 32 at a time, in a new order each time.
trainer = pnn.Trainer(network, pnn.Adam(lr=3e-3))
history = trainer.fit(x, t, epochs=15, batch_size=32, validation_data=(x_test, t_test), progress=False)

print("\nepoch  training loss  test loss  test accuracy")
rows = zip(history["loss"], history["val_loss"], history["val_accuracy"], strict=True)
for epoch, (loss, test_loss, test_accuracy) in enumerate(rows, 1):
    print(f"{epoch:5}  {loss:13.4f}  {test_loss:9.4f}  {test_accuracy:13.4f}")

# One image that the network has never seen: the outputs become probabilities by softmax.
probabilities = pnn.Softmax().forward(network.predict(x_test[:1]))[0, :]
print(f"\nThe first test image shows a {t_test[0]}; the network believes so by {float(probabilities[t_test[0]]):.1%}.")

if importlib.util.find_spec("matplotlib"):
    history.plot(pictures / "digits.png")
    print(f"The curves are in {pictures / 'digits.png'}.")

accuracy = network.accuracy(x_test, t_test)
print(f"test accuracy {accuracy:.4f} on {backend}")
assert accuracy >= 0.97
