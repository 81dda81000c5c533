"""A body that has learnt one task is frozen under a new head, then thawed at a tenth of the rate.

The body learns to tell ten digits apart. A head that tells their remainders by three is trained on it with 60 samples:
first alone, so that the large gradients of a head that knows nothing do not spoil the body, then both.
"""

import sys
from copy import deepcopy

import numpy as np

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
(x, t), (x_test, t_test) = pnn.datasets.load_digits()
x_few, rest, rest_test = x[:60], t[:60] % 3, t_test % 3


def new_body():
    return pnn.Sequential(pnn.Affine(64, 64), pnn.ReLU(), pnn.Affine(64, 16), pnn.ReLU())


def classifier(body, classes):
    return pnn.Sequential(body, pnn.Affine(16, classes), loss=pnn.SoftmaxWithLoss(), seed=0, xp=backend)


body = new_body()
pnn.Trainer(classifier(body, 10), pnn.Adam(2e-3)).fit(x, t, epochs=30, progress=False)

net = classifier(deepcopy(body), 3)  # parameters: 0.0.W, 0.0.b, 0.2.W and 0.2.b of the body, 1.W and 1.b of the head
learnt = pnn.to_numpy(net.parameters["0.0.W"])
trainer = pnn.Trainer(net, pnn.Adam(1e-2, groups={"0.*": {"frozen_until": 21, "lr_scale": 0.1}}))
trainer.fit(x_few, rest, epochs=20, batch_size=10, progress=False)
assert np.array_equal(pnn.to_numpy(net.parameters["0.0.W"]), learnt)
print(f"the head alone: {net.accuracy(x_test, rest_test):.3f}")
trainer.fit(x_few, rest, epochs=40, batch_size=10, progress=False)
assert not np.array_equal(pnn.to_numpy(net.parameters["0.0.W"]), learnt)
thawed = net.accuracy(x_test, rest_test)

anew = classifier(new_body(), 3)
pnn.Trainer(anew, pnn.Adam(1e-2)).fit(x_few, rest, epochs=40, batch_size=10, progress=False)
without = anew.accuracy(x_test, rest_test)
print(f"the same network on the same samples, whose body has learnt nothing before: {without:.3f}")
assert thawed > max(0.85, without + 0.05)
print(f"thawed at a tenth of the rate: {thawed:.3f} on {backend}")
