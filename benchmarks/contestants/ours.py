"""portable_nn, on one of its backends: a training step, or `predict`."""

from typing import Any

import portable_nn as pnn
from benchmarks.contestants.loops import Predicting, Training
from benchmarks.workloads import Workload
from portable_nn.errors import BackendError
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


def prepare(workload: Workload, backend: str) -> Training | Predicting:
    """Return the runner on a backend; ImportError if it is missing, or if its device does not answer."""
    try:
        network = network_of(workload).to(backend)
    except BackendError as error:
        raise ImportError(str(error)) from error
    x, t = workload.data()
    x = network.place.asarray(x)
    if workload.optimizer is None:
        return Predicting(workload, x, network.predict, finish)
    labels = network.place.index_dtype if workload.loss == "softmax" else None
    step = training_step(network, optimizer_of(workload))
    return Training(workload, x, network.place.asarray(t, labels), step, finish)


def finish(array: Any) -> None:
    """Wait until an array is there: some backends return before it is."""
    if hasattr(array, "block_until_ready"):
        array.block_until_ready()
    elif hasattr(array, "device") and hasattr(array.device, "synchronize"):
        array.device.synchronize()
