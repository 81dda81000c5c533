"""Batch normalization in a residual network: twenty blocks at a learning rate at which they diverge without it.

Each block adds to what it gets, y = x + F(x), with F = Affine(ReLU(BatchNorm(x))) (He et al., Identity mappings in deep
residual networks, ECCV 2016). Training normalizes by the batch, predicting by the running means and variances, which
are states: training changes them and no gradient does.
"""

import sys

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
(x, t), test = pnn.datasets.load_digits()
EPOCHS, BATCH = 10, 64


def network(normalized):
    norm = pnn.BatchNorm if normalized else lambda size: pnn.Identity()
    blocks = [pnn.Residual(norm(64), pnn.ReLU(), pnn.Affine(64, 64)) for _ in range(20)]
    head = norm(64), pnn.ReLU(), pnn.Affine(64, 10)
    return pnn.Sequential(pnn.Affine(64, 64), *blocks, *head, loss=pnn.SoftmaxWithLoss(), seed=0, xp=backend)


def train(net):
    rate = pnn.Cosine(0.1, steps=EPOCHS * -(-len(x) // BATCH))
    optimizer = pnn.Momentum(rate, weight_decay=1e-4, decay="weights")  # spares biases, gamma and beta
    pnn.Trainer(net, optimizer).fit(x, t, epochs=EPOCHS, batch_size=BATCH, progress=False)
    return net.accuracy(*test)


try:
    plain = f"{train(network(normalized=False)):.3f}"
except pnn.DivergenceError:
    plain = "none, as it diverges"
net = network(normalized=True)
accuracy = train(net)
print(f"test accuracy without normalization: {plain}")

states = {name: pnn.to_numpy(array).copy() for name, array in net.states.items()}
net.predict(test[0])
assert all((pnn.to_numpy(net.states[name]) == array).all() for name, array in states.items())
assert len(states) == 42
assert accuracy > 0.97
print(f"test accuracy with it: {accuracy:.3f}, and {len(states)} states, on {backend}")
