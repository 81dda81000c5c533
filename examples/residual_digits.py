"""A residual network beside a plain one of the same size: what the shortcut around each block is good for.

Ten blocks of two layers. In the plain network each block replaces what it gets, y = f(x); in the residual one it adds
to it, y = x + f(x) (He et al., Deep residual learning, CVPR 2016). That is one more line of code: the layer Add.
"""

import sys

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
(x, t), (x_test, t_test) = pnn.datasets.load_digits()


def network(residual):
    graph = pnn.Graph(loss=pnn.SoftmaxWithLoss(), seed=0, xp=backend)
    h = pnn.Affine(64, 32)(graph.input("x"))
    for _ in range(10):
        f = pnn.Affine(32, 32)(pnn.ReLU()(pnn.Affine(32, 32)(h)))
        h = pnn.Add()(h, f) if residual else f
    graph.output(pnn.Affine(32, 10)(pnn.ReLU()(h)))
    return graph


accuracies = {}
for name in ("plain", "residual"):
    net = network(residual=name == "residual")
    count = sum(pnn.to_numpy(array).size for array in net.parameters.values())
    rate = pnn.Cosine(2e-3, steps=20 * 45)  # 20 epochs of 45 batches
    pnn.Trainer(net, pnn.Adam(rate)).fit(x, t, epochs=20, progress=False)
    accuracies[name] = net.accuracy(x_test, t_test)
    print(f"{name}: {len(net.layers)} layers, {count:,} parameters, test accuracy {accuracies[name]:.4f}")
assert accuracies["residual"] >= max(accuracies["plain"], 0.95)
print(f"the residual network is at least as good, on {backend}")
