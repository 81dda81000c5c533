"""The solvers of an estimator: stochastic ones step by step, L-BFGS on the vector of all parameters.

N = samples, K = outputs.
"""

# scikit-learn declares no types, hence:
# pyright: basic

import math
import warnings
from typing import Any

import numpy as np
from scipy import optimize, sparse
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils import shuffle

from portable_nn.adapters.sklearn.batches import OrderedBatches, SparseBatches
from portable_nn.adapters.sklearn.problem import PenalizedNetwork
from portable_nn.adapters.sklearn.solvers import Solver, solver_of
from portable_nn.arrays import copies, to_numpy
from portable_nn.training.base_step import TrainingStep
from portable_nn.training.batches import take
from portable_nn.training.metrics import RunningLoss
from portable_nn.training.progress import Progress
from portable_nn.training.step import training_step
from portable_nn.training.vector import vector_loss

__all__ = ["Descent"]

_split_in_two: Any = train_test_split  # declared to return lists


class Descent:
    """How an estimator changes the weights of its network."""

    _network: PenalizedNetwork
    _optimizer: Solver
    _step: TrainingStep | None = None

    def _targets(self: Any, y: Any) -> Any:
        """Return encoded targets (N, K) as the network's loss takes them: labels (N,) for a softmax."""
        return y.argmax(axis=1) if self.out_activation_ == "softmax" else y.astype(self._network.place.dtype_name)

    def _data(self: Any, network: PenalizedNetwork, X: Any, y: Any, weight: Any) -> list[Any]:
        """Return [x, t, weight], all but x at the network's place."""
        shape = (X.shape[0], self.n_outputs_)
        t = self._targets(y)
        X = np.ascontiguousarray(X) if isinstance(X, np.ndarray) else X  # rows are gathered again and again
        return [X, *network.criterion.targets(shape, t, network.place, weight)]

    def _fit_lbfgs_on(self: Any, network: PenalizedNetwork, X: Any, y: Any, weight: Any) -> None:
        """Minimize over the vector of all parameters by L-BFGS. Byrd, Lu, Nocedal (1995)."""
        X = X.toarray() if sparse.issparse(X) else X
        x, t, weight = self._data(network, network.inputs(X), y, weight)
        function = vector_loss(network, x, t, weight)
        result = optimize.minimize(
            function,
            function.start,
            method="L-BFGS-B",
            jac=True,
            options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
        )
        self.n_iter_ = min(result.nit, self.max_iter)
        self.loss_ = float(result.fun)
        function.put(result.x)
        self._take_over()
        if result.status != 0:
            warnings.warn(
                f"lbfgs failed to converge after {result.nit} iteration(s) (status={result.status}): {result.message}. "
                "Increase the number of iterations (max_iter) or scale the data",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _fit_stochastic_on(
        self: Any, network: PenalizedNetwork, X: Any, y: Any, weight: Any, incremental: bool
    ) -> None:
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer, self._step = solver_of(self), None
        if self.early_stopping:
            X, y, weight, held_out = self._split(X, y, weight)
            self.best_validation_score_ = -np.inf  # of this fit, warm or not
            self.__dict__.pop("_best", None)
        else:
            held_out = None
        samples = X.shape[0]
        if self.batch_size != "auto" and self.batch_size > samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=4
            )
        size = min(200 if self.batch_size == "auto" else self.batch_size, samples)
        kind = SparseBatches if sparse.issparse(X) else OrderedBatches
        batches = kind(self._data(network, X, y, weight), size, shuffle=self.shuffle, place=network.place)
        step = self._step = training_step(network, self._optimizer.optimizer, self._step, self.compile)
        self._take_over()
        for callback in self.callbacks:
            callback.on_start(self)
        try:
            self._run(step, batches, held_out, 1 if incremental else self.max_iter, incremental)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        finally:
            for callback in self.callbacks:
                callback.on_end(self)
        if self.early_stopping:
            network.set_arrays(self._best)
            self._take_over()

    def _run(self: Any, step: TrainingStep, batches: Any, held_out: Any, epochs: int, incremental: bool) -> None:
        samples, solver = batches.samples, self._optimizer
        what = "Validation score" if self.early_stopping else "Training loss"
        self.n_iter_, self._stop_reason = 0, ""
        with Progress(epochs * samples, shown=bool(self.progress)) as bar:
            for epoch in range(1, epochs + 1):
                if self.shuffle:
                    batches.current = shuffle(batches.current, random_state=self._random_state)
                bar.begin(f"epoch {epoch}/{epochs}")
                running = RunningLoss(step.network.criterion)
                for done in step.over(batches, epoch):
                    running.add(done.losses, done.rows)  # scikit-learn weighs losses by rows
                    bar.advance(sum(done.rows))
                self._take_over()
                self.n_iter_, self.loss_ = epoch, running.read()
                self.t_ += samples
                self.loss_curve_.append(self.loss_)
                bar.show({"loss": self.loss_})
                if self.verbose:
                    print(f"Iteration {epoch}, loss = {self.loss_:.8f}")  # noqa: T201  (asked for)
                self._count_improvements(held_out)
                solver.end_epoch(self.t_)
                for callback in self.callbacks:
                    callback.on_epoch(self, epoch, {"loss": self.loss_})
                if self._stop_reason:
                    return
                if self._no_improvement_count > self.n_iter_no_change:
                    patience = f"tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs."
                    if solver.stops(f"{what} did not improve more than {patience}", verbose=self.verbose):
                        return
                    self._no_improvement_count = 0
        if not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def stop(self: Any, reason: str) -> None:
        """End the running fit after its epoch; for callbacks."""
        self._stop_reason = reason

    def _split(self: Any, X: Any, y: Any, weight: Any) -> tuple[Any, Any, Any, Any]:
        """Return X, y and weight of the samples to train on, and the three of those held out."""
        labels = self._label_binarizer.inverse_transform(y) if is_classifier(self) else y
        stratify = labels if is_classifier(self) and self.n_outputs_ == 1 else None
        train, test = _split_in_two(
            np.arange(X.shape[0]),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=stratify,
        )
        if test.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        part = _rows
        held_out = part(X, test), labels[test], None if weight is None else weight[test]
        return part(X, train), y[train], None if weight is None else weight[train], held_out

    def _score(self: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        predicted = to_numpy(self._predict(X, check_input=False))
        if predicted.dtype.kind == "f" and not np.isfinite(predicted).all():
            return math.nan
        measure = accuracy_score if is_classifier(self) else r2_score
        return measure(y, predicted, sample_weight=sample_weight)

    def _count_improvements(self: Any, held_out: Any) -> None:
        """Count the epochs in a row without an improvement of more than `tol`, and keep the best weights."""
        if held_out is None:
            self._no_improvement_count = (
                self._no_improvement_count + 1 if self.loss_ > self.best_loss_ - self.tol else 0
            )
            self.best_loss_ = min(self.best_loss_, self.loss_) if self.loss_ == self.loss_ else self.best_loss_
            return
        score = self._score(held_out[0], held_out[1], sample_weight=held_out[2])
        self.validation_scores_.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")  # noqa: T201  (asked for)
        missed = score < self.best_validation_score_ + self.tol
        self._no_improvement_count = self._no_improvement_count + 1 if missed else 0
        if score > self.best_validation_score_ or "_best" not in self.__dict__:
            self.best_validation_score_ = max(self.best_validation_score_, score)
            self._best = copies(self._network.arrays())


def _rows(X: Any, indices: Any) -> Any:
    """Return the rows of an array or a sparse matrix."""
    if sparse.issparse(X) or isinstance(X, np.ndarray):
        return X[indices]
    return take(X, indices)
