"""Keras 3 on whichever of its backends is installed: `fit`, whole epochs a call; prediction by `predict_on_batch`."""

import importlib.util
import os

os.environ.setdefault(
    "KERAS_BACKEND",
    next((name for name in ("jax", "torch") if importlib.util.find_spec(name)), "tensorflow"),
)

import keras

from benchmarks.contestants.loops import Predicting, losses_of_means
from benchmarks.workloads import Workload

__all__ = ["prepare"]


class Fitting:
    """Calls `fit`."""

    def __init__(self, workload: Workload):
        self.workload, self.stride = workload, workload.batches
        self.x, self.t = workload.data()
        self.model = _model(workload)

    def run(self, steps: int) -> None:
        """Train for as many epochs as the steps make."""
        self.model.fit(
            self.x,
            self.t,
            batch_size=self.workload.batch,
            epochs=steps // self.stride,
            shuffle=False,
            verbose=0,
        )

    def curve(self, steps: int) -> list[float]:
        """Return the losses of the first steps of `fit`, which tells their mean so far, epoch by epoch."""
        means = _Means()
        options = {"batch_size": self.workload.batch, "shuffle": False, "verbose": 0, "callbacks": [means]}
        rows = min(steps * self.workload.batch, len(self.x))
        epochs = -(-steps * self.workload.batch // rows)
        self.model.fit(self.x[:rows], self.t[:rows], epochs=epochs, **options)
        return [loss for epoch in means.epochs for loss in losses_of_means(epoch)][:steps]


class _Means(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append([])

    def on_train_batch_end(self, batch, logs=None):
        self.epochs[-1].append(float(logs["loss"]))


def prepare(workload: Workload) -> Fitting | Predicting:
    """Return the runner."""
    if workload.optimizer:
        return Fitting(workload)
    return Predicting(workload, workload.data()[0], _model(workload).predict_on_batch)


def _model(workload: Workload) -> keras.Model:
    *hidden, outputs = workload.sizes[1:]
    layers = [keras.layers.Dense(size, activation=workload.activation) for size in hidden]
    model = keras.Sequential([keras.Input((workload.sizes[0],)), *layers, keras.layers.Dense(outputs)])
    model.set_weights([array for pair in workload.weights() for array in pair])
    if workload.optimizer:
        rate = workload.rate
        optimizer = {
            "sgd": lambda: keras.optimizers.SGD(rate),
            "adam": lambda: keras.optimizers.Adam(rate, epsilon=1e-9),  # added to the uncorrected root, see sklearn.py
        }[workload.optimizer]
        loss = {
            "softmax": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "squares": keras.losses.MeanSquaredError(),
        }[workload.loss]
        model.compile(optimizer=optimizer(), loss=loss)
    return model
