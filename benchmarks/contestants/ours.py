"""portable_nn, on one of its backends: a training step, or `predict`."""

import sys
from typing import Any

import numpy as np

import portable_nn as pnn
from benchmarks.contestants.loops import Predicting, Training
from benchmarks.workloads import Workload
from portable_nn.errors import BackendError
from portable_nn.kernels.fast import _mkl
from portable_nn.training.compiled_step import CompiledStep
from portable_nn.training.step import training_step

__all__ = ["network_of", "optimizer_of", "prepare"]


def network_of(workload: Workload) -> pnn.Sequential:
    """Return the workload's network, with its initial weights, on NumPy."""
    activation = {"relu": pnn.ReLU, "sigmoid": pnn.Sigmoid}[workload.activation]
    loss = {"softmax": pnn.SoftmaxWithLoss, "squares": pnn.MeanSquaredError}[workload.loss]()
    layers: list[pnn.Layer] = []
    for W, b in workload.weights():
        layers += [pnn.Affine.from_arrays(W, b), activation()]
    return pnn.Sequential(*layers[:-1], loss=loss, seed=0)


def optimizer_of(workload: Workload) -> pnn.Optimizer:
    """Return the workload's optimizer."""
    return {"sgd": pnn.SGD, "adam": pnn.Adam}[workload.optimizer](lr=workload.rate)


class Joined:
    """Takes the steps that `Trainer.fit` joins in one call, in the order of the data."""

    def __init__(self, workload: Workload, step: CompiledStep, x: Any, t: Any):
        self.step, self.data, self.batch = step, [x, t, None], workload.batch
        self.stride = step.steps_in_a_call(workload.batch)
        self.starts, self.rows = 0, workload.rows

    def run(self, steps: int) -> None:
        """Take steps."""
        losses = None
        for _ in range(0, steps, self.stride):
            losses = self._next()
        finish(losses)

    def curve(self, steps: int) -> list[float]:
        """Return the losses of the next steps."""
        losses: list[float] = []
        while len(losses) < steps:
            losses += pnn.to_numpy(self._next()).tolist()
        return losses[:steps]

    def _next(self) -> Any:
        order = np.arange(self.starts, self.starts + self.stride * self.batch) % self.rows
        self.starts = (int(order[-1]) + 1) % self.rows
        return self.step.take(self.data, order.reshape(self.stride, self.batch)).losses


def prepare(
    workload: Workload, backend: str, how: str = "plain", device: str | None = None
) -> Joined | Predicting | Training:
    """Return the runner on a backend: `plain`, `compiled` or `compiled, with MKL`.

    ImportError if the backend, a compiler or MKL is missing, or if the device does not answer.
    """
    compiled = how.startswith("compiled")
    if workload.optimizer is None and how == "compiled":
        raise NotImplementedError("only training steps are compiled")
    if how.endswith("MKL") and _mkl.library() is None:
        raise ImportError('MKL needs the package mkl: python -m pip install "portable-nn[mkl]"')
    try:
        network = network_of(workload).to(backend, device=device)
    except BackendError as error:
        raise ImportError(str(error)) from error
    x, t = workload.data()
    x = network.place.asarray(x)
    if workload.optimizer is None:
        return Predicting(workload, x, network.predict, finish)
    t = network.place.asarray(t, network.place.index_dtype if workload.loss == "softmax" else None)
    compiled = compiled or backend == "jax"  # whose steps are compiled whole; nothing compiles those of CuPy
    step = training_step(network, optimizer_of(workload), compile=compiled)
    if isinstance(step, CompiledStep):
        return Joined(workload, step, x, t)
    return Training(workload, x, t, step, finish)


def finish(array: Any) -> None:
    """Wait until an array is there: some backends return before it is."""
    if hasattr(array, "block_until_ready"):
        array.block_until_ready()
    elif hasattr(array, "device") and hasattr(array.device, "synchronize"):
        array.device.synchronize()
    elif getattr(array, "is_cuda", False):
        sys.modules["torch"].cuda.synchronize(array.device)
