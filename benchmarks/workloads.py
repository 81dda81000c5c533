"""What is timed: sizes of networks, data in memory, and initial weights as plain NumPy, so that all start equal."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["WORKLOADS", "Workload"]


@dataclass(frozen=True)
class Workload:
    """One kind of step, taken again and again: training on a batch, or predicting one.

    Attributes
    ----------
    name : str
    sizes : tuple of int
        Inputs, hidden units, outputs.
    batch : int
        Rows a step. The data are walked through batch by batch, round and round.
    optimizer : "sgd" or "adam", optional
        Without it, a step only predicts.
    rate : float
        The learning rate.
    activation : "relu" or "sigmoid"
        After each hidden layer.
    loss : "softmax" or "squares"
        Cross-entropy of softmax over labels, or mean squared error.
    samples : int
        About as many rows of data; whole batches, unless they are whole epochs of `Trainer.fit`.
    epochs : bool
        Whether the workload is whole epochs of `Trainer.fit`, against the same steps without it.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    optimizer: Literal["sgd", "adam"] | None = "sgd"
    rate: float = 0.1
    activation: Literal["relu", "sigmoid"] = "relu"
    loss: Literal["softmax", "squares"] = "softmax"
    samples: int = 10_000
    epochs: bool = False

    @property
    def rows(self) -> int:
        """The rows of data."""
        return self.samples if self.epochs else self.samples // self.batch * self.batch

    @property
    def batches(self) -> int:
        """The batches of one walk through the data."""
        return -(-self.rows // self.batch)

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer with weights."""
        return list(itertools.pairwise(self.sizes))

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum(inputs * outputs + outputs for inputs, outputs in self.layers)

    @property
    def multiplications(self) -> int:
        """Those of one step's matrix products; the gradient by the inputs is not needed."""
        weights = [self.batch * inputs * outputs for inputs, outputs in self.layers]
        return 3 * sum(weights) - weights[0] if self.optimizer else sum(weights)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x (rows, inputs), and t: labels (rows,) in int64, or numbers (rows, outputs).

        With labels, which are random, x is like images: three in four of the inputs are 0, the others in [0, 1]. Else x
        and t are normal.
        """
        rng = np.random.default_rng(1)
        if self.loss == "squares":
            shapes = (self.rows, self.sizes[0]), (self.rows, self.sizes[-1])
            return rng.standard_normal(shapes[0], dtype=np.float32), rng.standard_normal(shapes[1], dtype=np.float32)
        x = rng.random((self.rows, self.sizes[0]), dtype=np.float32)
        np.maximum(x - np.float32(0.75), 0, out=x)
        x *= 4
        return x, rng.integers(0, self.sizes[-1], self.rows)

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return W (inputs, outputs) and b (outputs,) of each layer, always the same numbers, in new arrays."""
        rng = np.random.default_rng(2)
        gain = 2.0 if self.activation == "relu" else 1.0
        weights = [rng.standard_normal(shape, dtype=np.float32) for shape in self.layers]
        return [(W * np.float32((gain / len(W)) ** 0.5), np.zeros(W.shape[1], np.float32)) for W in weights]

    def cuts(self) -> Iterator[slice]:
        """Yield the slices of the batches, for ever."""
        starts = range(0, self.rows, self.batch)
        return itertools.cycle([slice(start, min(start + self.batch, self.rows)) for start in starts])

    def __str__(self) -> str:
        shape = "-".join(map(str, self.sizes))
        if self.epochs:
            return f"an epoch of Trainer.fit: {shape}, {self.optimizer}, {self.rows:,} samples, batches of {self.batch}"
        if self.optimizer is None:
            return f"predict {self.batch:,} row{'s' if self.batch > 1 else ''}: {shape}"
        return f"train {shape}, {self.activation}, {self.loss}, {self.optimizer}, batches of {self.batch}"


_SMALL, _LARGE = (784, 50, 10), (784, 512, 512, 10)

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W1", _SMALL, 100),
        Workload("W2", (784, 50, 100, 10), 100),
        Workload("W3", (2, 100, 400, 1), 30, rate=0.003, activation="sigmoid", loss="squares", samples=30),
        Workload("W4", _LARGE, 128, "adam", rate=1e-3),
        Workload("W5", (784, 2048, 2048, 10), 256, "adam", rate=1e-3),
        Workload("W9", (784, 4096, 4096, 10), 1024, "adam", rate=1e-3, samples=20_000),
        Workload("W6-1", _SMALL, 1, None),
        Workload("W6-10k", _SMALL, 10_000, None),
        Workload("W8-W1", _SMALL, 100, samples=60_000, epochs=True),
        Workload("W8-W4", _LARGE, 128, "adam", rate=1e-3, samples=60_000, epochs=True),
    )
}
