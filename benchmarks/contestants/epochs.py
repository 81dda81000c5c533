"""portable_nn on NumPy over whole epochs: `Trainer.fit`, with its bar and history, or the bare steps on its batches."""

import portable_nn as pnn
from benchmarks.contestants.ours import network_of, optimizer_of
from benchmarks.workloads import Workload
from portable_nn.training.batches import Batches
from portable_nn.training.step import training_step

__all__ = ["prepare"]


class Fitting:
    """Calls `Trainer.fit`, an epoch a call."""

    def __init__(self, workload: Workload):
        self.stride, self.batch = workload.batches, workload.batch
        self.trainer = pnn.Trainer(network_of(workload), optimizer_of(workload))
        self.x, self.t = workload.data()

    def run(self, steps: int) -> None:
        """Train for as many epochs as the steps make."""
        for _ in range(0, steps, self.stride):
            self.trainer.fit(self.x, self.t, epochs=1, batch_size=self.batch)

    def curve(self, steps: int) -> list[float]:
        """Return the loss of an epoch."""
        self.run(self.stride)
        return [self.trainer.history["loss"][0]]


class Stepping:
    """Takes the same steps in a plain loop."""

    def __init__(self, workload: Workload):
        self.stride, self.epochs = workload.batches, 0
        network = network_of(workload)
        self.step = training_step(network, optimizer_of(workload))
        self.batches = Batches(
            [*workload.data(), None], workload.batch, shuffle=True, seed=network.seed, place=network.place
        )

    def run(self, steps: int) -> None:
        """Take steps."""
        for _ in range(0, steps, self.stride):
            self._epoch()

    def curve(self, steps: int) -> list[float]:
        """Return the loss of an epoch."""
        losses, weights = zip(*((float(loss), rows) for loss, rows in self._epoch()), strict=True)
        return [sum(loss * rows for loss, rows in zip(losses, weights, strict=True)) / sum(weights)]

    def _epoch(self) -> list[tuple[object, int]]:
        self.epochs += 1
        return [(self.step(x, t), x.shape[0]) for x, t, _ in self.batches.epoch(self.epochs)]


def prepare(workload: Workload, how: str) -> Fitting | Stepping:
    """Return the runner of `fit` or of `steps`."""
    return {"fit": Fitting, "steps": Stepping}[how](workload)
