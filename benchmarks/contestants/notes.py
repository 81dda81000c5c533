"""Plain NumPy as an introductory book writes it: layers that remember, new arrays everywhere, float32.

It stands for what one writes by hand. Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 6.5.
"""

import numpy as np

from benchmarks.contestants.loops import Predicting, Training
from benchmarks.workloads import Workload

__all__ = ["prepare"]


class Affine:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b

    def backward(self, dout):
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        return np.dot(dout, self.W.T)


class ReLU:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        return dout


class Sigmoid:
    def forward(self, x):
        self.out = 1 / (1 + np.exp(-x))
        return self.out

    def backward(self, dout):
        return dout * (1.0 - self.out) * self.out


class SoftmaxWithLoss:
    def forward(self, x, t):
        self.t = t
        x = x - np.max(x, axis=1, keepdims=True)
        self.y = np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)
        return -np.sum(np.log(self.y[np.arange(len(t)), t] + 1e-7)) / len(t)

    def backward(self):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dx / len(self.t)


class MeanSquaredError:
    def forward(self, x, t):
        self.difference = x - t
        return np.mean(self.difference**2)

    def backward(self):
        return 2.0 * self.difference / self.difference.size


class SGD:
    def __init__(self, rate):
        self.rate = rate

    def update(self, params, grads):
        for p, g in zip(params, grads, strict=True):
            p -= self.rate * g


class Adam:
    def __init__(self, rate):
        self.rate, self.steps, self.m, self.v = rate, 0, None, None

    def update(self, params, grads):
        if self.m is None:
            self.m, self.v = ([np.zeros_like(p) for p in params] for _ in range(2))
        self.steps += 1
        root = (1.0 - 0.999**self.steps) ** 0.5
        rate = self.rate * root / (1.0 - 0.9**self.steps)
        for p, g, m, v in zip(params, grads, self.m, self.v, strict=True):
            m += (1 - 0.9) * (g - m)
            v += (1 - 0.999) * (g**2 - v)
            p -= rate * m / (np.sqrt(v) + 1e-8 * root)


class Network:
    def __init__(self, workload: Workload):
        activation = {"relu": ReLU, "sigmoid": Sigmoid}[workload.activation]
        self.affines = [Affine(W, b) for W, b in workload.weights()]
        self.layers = [layer for affine in self.affines for layer in (affine, activation())][:-1]
        self.loss = {"softmax": SoftmaxWithLoss, "squares": MeanSquaredError}[workload.loss]()
        self.params = [p for affine in self.affines for p in (affine.W, affine.b)]

    def predict(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def gradient(self, x, t):
        loss = self.loss.forward(self.predict(x), t)
        dout = self.loss.backward()
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return loss, [g for affine in self.affines for g in (affine.dW, affine.db)]


def prepare(workload: Workload) -> Training | Predicting:
    """Return the runner."""
    network = Network(workload)
    x, t = workload.data()
    if workload.optimizer is None:
        return Predicting(workload, x, network.predict)
    optimizer = {"sgd": SGD, "adam": Adam}[workload.optimizer](workload.rate)

    def step(x, t):
        loss, grads = network.gradient(x, t)
        optimizer.update(network.params, grads)
        return loss

    return Training(workload, x, t, step)
