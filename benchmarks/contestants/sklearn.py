"""scikit-learn's multi-layer perceptron: `fit` over the data, whole epochs a call; prediction by `predict_proba`."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.contestants.loops import Predicting, losses_of_means
from benchmarks.workloads import Workload

__all__ = ["prepare"]

EPSILON_HAT = 1e-9
"""What is added to the uncorrected root; others add 1e-8 to the corrected one, which is this about step 10."""


class Fitting:
    """Calls `fit`, which goes on from the weights that are there."""

    def __init__(self, workload: Workload):
        self.workload, self.stride = workload, workload.batches
        self.x, self.t = workload.data()
        self.t = self.t[:, 0] if workload.loss == "squares" else self.t
        self.network = _network(workload, self.x, self.t)

    def run(self, steps: int) -> None:
        """Train for as many epochs as the steps make."""
        _fit(self.network, self.x, self.t, epochs=steps // self.stride)

    def curve(self, steps: int) -> list[float]:
        """Return the losses of the first steps, of which `fit` only tells the mean: one, two, ... are fitted anew."""
        squares = self.workload.loss == "squares"
        if self.stride == 1:
            network = _network(self.workload, self.x, self.t)
            _fit(network, self.x, self.t, epochs=steps)
            losses = network.loss_curve_
        else:
            means: list[float] = []
            for rows in range(self.workload.batch, steps * self.workload.batch + 1, self.workload.batch):
                network = _network(self.workload, self.x, self.t)
                _fit(network, self.x[:rows], self.t[:rows], epochs=1)
                means.append(network.loss_)
            losses = losses_of_means(means)
        return [float(loss) * (2 if squares else 1) for loss in losses]


def prepare(workload: Workload) -> Fitting | Predicting:
    """Return the runner."""
    if workload.optimizer:
        return Fitting(workload)
    x, t = workload.data()
    network = _network(workload, x, t)
    runner = Predicting(workload, x, network.predict_proba)
    runner.curve = Predicting(workload, x, network.predict_log_proba).curve
    return runner


def _network(workload: Workload, x: np.ndarray, t: np.ndarray) -> MLPClassifier | MLPRegressor:
    """Return a network with the initial weights; its squared error is half of the others', so its rate is twice."""
    squares = workload.loss == "squares"
    network = (MLPRegressor if squares else MLPClassifier)(
        hidden_layer_sizes=workload.sizes[1:-1],
        activation={"relu": "relu", "sigmoid": "logistic"}[workload.activation],
        solver=workload.optimizer or "sgd",
        alpha=0.0,
        batch_size=min(workload.batch, len(x)),
        learning_rate_init=workload.rate * (2 if squares else 1),
        max_iter=1,
        shuffle=False,
        epsilon=EPSILON_HAT,
        n_iter_no_change=10**9,
        momentum=0.0,
        nesterovs_momentum=False,
        warm_start=True,
    )
    _fit(network, x[: max(1000, workload.batch)], t[: max(1000, workload.batch)], epochs=1)  # makes the arrays
    network.coefs_, network.intercepts_ = map(list, zip(*workload.weights(), strict=True))
    return network


def _fit(network: MLPClassifier | MLPRegressor, x: np.ndarray, t: np.ndarray, epochs: int) -> None:
    network.max_iter = epochs
    network.loss_curve_ = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(x, t)
