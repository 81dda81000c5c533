"""Which learning rate? A range test says where the loss falls fastest, and where it blows up (Smith, 2017)."""

import tempfile
from pathlib import Path

import portable_nn as pnn

(x, t), test = pnn.datasets.load_digits()
net = pnn.Sequential(pnn.Affine(64, 64), pnn.ReLU(), pnn.Affine(64, 10), loss=pnn.SoftmaxWithLoss(), seed=0)

found = pnn.lr_range_test(pnn.Trainer(net, pnn.SGD()), x, t, batch_size=32, progress=False)  # trains a copy
print(found)
try:
    picture = Path(tempfile.gettempdir()) / "rates.png"
    found.plot(picture)
    print(f"see {picture}")
except pnn.MissingExtraError as error:
    print(error)

steps = 15 * -(-len(x) // 32)
for lr in (found.suggestion / 100, found.suggestion):
    net.initialize()
    schedule = pnn.WarmUp(pnn.Cosine(lr, steps=steps), steps=20)
    pnn.Trainer(net, pnn.Nesterov(schedule, 0.5)).fit(x, t, epochs=15, progress=False)
    print(f"rate {lr:.4f}: accuracy {net.accuracy(*test):.3f}")
assert net.accuracy(*test) > 0.95
