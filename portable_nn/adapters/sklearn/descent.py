"""The solvers of an estimator: stochastic ones step by step, L-BFGS on the vector of all parameters.

N = samples, K = outputs.
"""

# scikit-learn declares no types, hence:
# pyright: basic

import math
import time
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
from portable_nn.adapters.sklearn.watching import HeldOut, Watched
from portable_nn.arrays import copies, to_numpy
from portable_nn.metrics import RunningLoss
from portable_nn.networks.parts import instances
from portable_nn.schedules import observe_epoch
from portable_nn.training.base_step import TrainingStep
from portable_nn.training.batches import take
from portable_nn.training.callbacks import Callback
from portable_nn.training.evaluation_weights import EvaluationWeights, go_on
from portable_nn.training.measuring import evaluate
from portable_nn.training.progress import Progress
from portable_nn.training.step import training_step
from portable_nn.training.threads import threads_for
from portable_nn.training.vector import vector_loss

__all__ = ["Descent"]

_split_in_two: Any = train_test_split  # declared to return lists


class Descent:
    """How an estimator changes the weights of its network."""

    _network: PenalizedNetwork
    _optimizer: Solver
    _step: TrainingStep | None = None
    _begun: int = 0
    """Epochs with this optimizer: those of all calls of `partial_fit`."""

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
        if self.__dict__.get("_given") is not None:
            held_out = self._held_out(network, x, y, weight)[3]
            self._validated_on(held_out)
            self.best_validation_score_ = max(self.validation_scores_)
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
        instances("fit", "callbacks", self.callbacks, Callback, "pnn.OnEpoch(function), say")
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer, self._step, self._begun = solver_of(self), None, 0
        X, y, weight, held_out = self._held_out(network, X, y, weight)
        samples = X.shape[0]
        if self.batch_size != "auto" and self.batch_size > samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=4
            )
        size = min(200 if self.batch_size == "auto" else self.batch_size, samples)
        batches = self._batches(network, X, y, weight, size)
        go_on(network, self.__dict__.get("_aside"))
        step = self._step = training_step(network, self._optimizer.optimizer, self._step, self.compile)
        self._take_over()
        watched = Watched(self, network, self._optimizer.optimizer, validates=held_out is not None)
        watched.epochs = self._begun
        watched.evaluation = EvaluationWeights(watched, self.callbacks)
        step.watch(watched, self.callbacks)
        for callback in self.callbacks:
            callback.on_start(watched)
        try:
            with threads_for(network, size):
                self._run(step, batches, held_out, watched, 1 if incremental else self.max_iter, incremental)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        finally:
            self._aside = watched.evaluation.leave()
            if self.early_stopping and "_best" in self.__dict__:
                network.set_arrays(self._best)
            for callback in self.callbacks:
                callback.on_end(watched)
            self._take_over()

    def _run(
        self: Any, step: Any, batches: Any, held_out: Any, watched: Watched, epochs: int, incremental: bool
    ) -> None:
        solver = self._optimizer
        what = "Validation score" if self.early_stopping else "Training loss"
        self.n_iter_ = 0
        with Progress(epochs * batches.samples, shown=bool(self.progress)) as bar:
            for epoch in range(1, epochs + 1):
                bar.begin(f"epoch {epoch}/{epochs}")
                self._epoch(step, batches, held_out, watched, bar)
                if watched.history.stopped:
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

    def _epoch(self: Any, step: TrainingStep, batches: Any, held_out: Any, watched: Watched, bar: Progress) -> None:
        """Train on every sample once; tell the attributes, the schedule and the callbacks."""
        started, rate = time.perf_counter(), self._optimizer.learning_rate
        self._begun = watched.epochs = watched.epochs + 1
        self._optimizer.optimizer.begin_epoch(watched.epochs)
        if self.shuffle:
            batches.current = shuffle(batches.current, random_state=self._random_state)
        running = RunningLoss(step.network.criterion)
        for done in step.over(batches, watched.epochs):
            running.add(done.losses, done.rows)  # scikit-learn weighs losses by rows
            bar.advance(sum(done.rows))
        self.t_ += batches.samples
        with watched.evaluation.shown():
            self._end_epoch(held_out, watched, bar, running, rate, started)
        self._take_over()

    def _end_epoch(
        self: Any, held_out: Any, watched: Watched, bar: Progress, running: RunningLoss, rate: float, started: float
    ) -> None:
        self._take_over()
        self.n_iter_, self.loss_ = self.n_iter_ + 1, running.read()
        self.loss_curve_.append(self.loss_)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")  # noqa: T201  (asked for)
        record = {"loss": self.loss_} | self._validated_on(held_out)
        self._count_improvements(held_out)
        self._optimizer.end_epoch(self.t_)
        observe_epoch(self._optimizer.optimizer.schedule, record)
        record |= {"lr": rate, "seconds": time.perf_counter() - started}
        for callback in self.callbacks:
            callback.on_epoch(watched, self.n_iter_, record)
        watched.history.append(record)
        bar.end_epoch(record)

    def _batches(self: Any, network: PenalizedNetwork, X: Any, y: Any, weight: Any, size: int) -> Any:
        kind = SparseBatches if sparse.issparse(X) else OrderedBatches
        data = self._data(network, X, y, weight)
        return kind(data, size, shuffle=self.shuffle, place=network.place)

    def _held_out(self: Any, network: PenalizedNetwork, X: Any, y: Any, weight: Any) -> tuple[Any, Any, Any, Any]:
        """Return X, y and weight of the samples to train on, and those to validate with, if there are any."""
        given = self.__dict__.get("_given")
        if given is None and not self.early_stopping:
            return X, y, weight, None
        if given is None:
            X, y, weight, parts = self._split(X, y, weight)
        else:
            parts = given
        X_test, y_test, weight_test = parts
        labels = self._label_binarizer.inverse_transform(y_test) if is_classifier(self) else y_test
        batches = self._batches(network, X_test, y_test, weight_test, 1024)
        self.__dict__.setdefault("validation_loss_curve_", [])
        if self.__dict__.get("validation_scores_") is None:
            self.validation_scores_ = []
        self.best_validation_score_ = -np.inf  # of this fit, warm or not
        self.__dict__.pop("_best", None)
        return X, y, weight, HeldOut(X_test, labels, weight_test, batches)

    def _validated_on(self: Any, held_out: HeldOut | None) -> dict[str, float]:
        """Return what to record of the samples to validate with, after the attributes have got it."""
        if held_out is None:
            return {}
        score = self._score(held_out.X, held_out.y, sample_weight=held_out.weight)
        self.validation_scores_.append(score)
        loss = evaluate(self._network, held_out.batches)["loss"]
        self.validation_loss_curve_.append(loss)
        if self.verbose:
            print(f"Validation score: {score:f}")  # noqa: T201  (asked for)
        return {"val_loss": loss, "val_accuracy" if is_classifier(self) else "val_score": score}

    def _split(self: Any, X: Any, y: Any, weight: Any) -> tuple[Any, Any, Any, Any]:
        """Return X, y and weight of the samples to train on, and the three of those held out."""
        labels = self._label_binarizer.inverse_transform(y) if is_classifier(self) else y
        if labels.dtype.kind in "biuf":
            labels = y  # as in scikit-learn's messages; names speak for themselves
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
        held_out = part(X, test), y[test], None if weight is None else weight[test]
        return part(X, train), y[train], None if weight is None else weight[train], held_out

    def _score(self: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        predicted = to_numpy(self._predict(X, check_input=False))
        if predicted.dtype.kind == "f" and not np.isfinite(predicted).all():
            return math.nan
        measure = accuracy_score if is_classifier(self) else r2_score
        return measure(y, predicted, sample_weight=sample_weight)

    def _count_improvements(self: Any, held_out: HeldOut | None) -> None:
        """Count the epochs in a row without an improvement of more than `tol`, and keep the best weights."""
        if not self.early_stopping:
            self._no_improvement_count = (
                self._no_improvement_count + 1 if self.loss_ > self.best_loss_ - self.tol else 0
            )
            self.best_loss_ = min(self.best_loss_, self.loss_) if self.loss_ == self.loss_ else self.best_loss_
            if held_out is not None:
                self.best_validation_score_ = max(self.best_validation_score_, self.validation_scores_[-1])
            return
        score = self.validation_scores_[-1]
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
