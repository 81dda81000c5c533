"""Any network as an estimator of scikit-learn. N = samples, I = features, K = outputs."""

# scikit-learn declares no types, hence:
# pyright: basic

import math
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets, type_of_target

from portable_nn.adapters.sklearn.checks import given_both, weights_of
from portable_nn.adapters.sklearn.network_estimator import NetworkEstimator
from portable_nn.arrays import backend_name, indices_beside, namespace_of, to_numpy
from portable_nn.kernels import PORTABLE
from portable_nn.losses import MeanSquaredError, PoissonLoss, SigmoidWithLoss, SoftmaxWithLoss

__all__ = ["NetworkClassifier", "NetworkRegressor"]


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    """A network that classifies: one output a class, or one an answer if its loss is a `SigmoidWithLoss`.

    Parameters
    ----------
    network : Network, or a function (inputs, outputs) -> Network
        A network is copied and drawn anew by each `fit`, and given a loss if it has none; a function is asked for one
        that suits the data.
    optimizer : Optimizer, optional
        Copied by each `fit`; Adam by default. `get_params` and `set_params` reach into it, on a copy: `optimizer__lr`,
        `optimizer__weight_decay`, ...; likewise `network__hidden` is the parameter `hidden` of a function or class that
        was given as network.
    epochs, batch_size, accumulate : int
        As in `Trainer.fit`.
    validation_split : float
        The share of the samples that is held out and evaluated after every epoch, with their weights; of each class
        alike. Not by `partial_fit`.
    shuffle : bool
    random_state : int, RandomState or None
        Decides weights, order and dropout masks.
    progress : bool
        Whether to show a bar.
    callbacks : sequence of Callback
        Copied by each `fit`.
    device, dtype : optional
        Where to train, and in which precision; that of X by default.
    compile : "auto", True or False
        As in `Trainer`.
    warm_start : bool
        Whether `fit` goes on with the network that there is.

    Attributes
    ----------
    classes_ : array of shape (K,)
    network_ : Network
    history_ : History
        Of the last `fit`; `history_.plot()` draws it.
    validation_scores_, validation_loss_curve_ : lists of float
        After each epoch, of the samples held out or given to the last `fit`, if there were any.
    n_features_in_ : int
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Train on X (N, I) and labels y: (N,), or (N, K) of zeros and ones for several labels.

        X_val and y_val are samples to evaluate after every epoch, in the place of a `validation_split`, weighted by
        `sample_weight_val`.
        """
        first = self._first()
        X, t, weight = self._encoded(X, y, sample_weight, reset=first, classes=None)
        held_out = None
        if given_both(X_val, y_val, sample_weight_val):
            held_out = self._encoded(X_val, y_val, sample_weight_val, reset=False, classes=self.classes_)
        self._train(X, t, len(self.classes_), self._loss(), weight, held_out, first)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch; the first call needs all `classes`."""
        first = _check_partial_fit_first_call(self, classes)
        X, t, weight = self._encoded(X, y, sample_weight, reset=first, classes=self.classes_)
        self._train_in_part(X, t, len(self.classes_), self._loss(), weight)
        return self

    def _loss(self) -> Any:
        return SigmoidWithLoss() if self._is_multilabel else SoftmaxWithLoss()

    def _encoded(self, X: Any, y: Any, weight: Any, *, reset: bool, classes: Any) -> tuple[Any, Any, Any]:
        """Return X, targets and weights, checked; without `classes`, these are those of y."""
        X, y = self._checked(X, y, reset=reset, multi_output=True)
        check_classification_targets(y)
        weight = weights_of(weight, X)
        is_multilabel = type_of_target(y).startswith("multilabel")
        y = y if is_multilabel else column_or_1d(y, warn=True)
        found = np.arange(y.shape[1]) if is_multilabel else np.unique(y)
        if classes is None and not reset:
            classes = self.classes_
            if set(found) != set(classes):
                raise ValueError(f"warm_start needs y of the same classes as before: {classes}, got {found}")
        if classes is None:
            self.classes_ = classes = found
        unknown = np.setdiff1d(found, classes)
        if len(unknown):
            raise ValueError(f"y has classes that are not in classes_: {unknown}")
        self._is_multilabel = is_multilabel
        return X, y.astype(float) if is_multilabel else np.searchsorted(classes, y), weight

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of the classes, in the order of `classes_`: (N, K)."""
        return self._probabilities(X, "predict_proba")

    def _probabilities(self, X: Any, method: str) -> Any:
        y = self._outputs(X, method)
        if not isinstance(self.network_.criterion, SigmoidWithLoss):
            return PORTABLE.softmax(y)
        p = PORTABLE.sigmoid(y)
        return p if self._is_multilabel else namespace_of(y).concat([1 - p, p], axis=1)

    def predict(self, X: Any) -> Any:
        """Return the classes of X (N, I): (N,), or (N, K) of several labels."""
        p = self._probabilities(X, "predict")
        xp = namespace_of(p)
        if self._is_multilabel:
            return xp.astype(p > 0.5, xp.int64)
        indices = xp.argmax(p, axis=1)
        if backend_name(xp) == "numpy" or self.classes_.dtype.kind not in "biuf":
            return self.classes_[to_numpy(indices)]
        return xp.take(indices_beside(p, self.classes_), indices, axis=0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class NetworkRegressor(RegressorMixin, NetworkEstimator):
    """A network that predicts numbers: one output for each column of y.

    Parameters
    ----------
    network : Network, or a function (inputs, outputs) -> Network
        A network is copied and drawn anew by each `fit`, and given a loss if it has none; a function is asked for one
        that suits the data.
    optimizer : Optimizer, optional
        Copied by each `fit`; Adam by default. `get_params` and `set_params` reach into it, on a copy: `optimizer__lr`,
        `optimizer__weight_decay`, ...; likewise `network__hidden` is the parameter `hidden` of a function or class that
        was given as network.
    epochs, batch_size, accumulate : int
        As in `Trainer.fit`.
    validation_split : float
        The share of the samples that is held out and evaluated after every epoch, with their weights; of each class
        alike. Not by `partial_fit`.
    shuffle : bool
    random_state : int, RandomState or None
        Decides weights, order and dropout masks.
    progress : bool
        Whether to show a bar.
    callbacks : sequence of Callback
        Copied by each `fit`.
    device, dtype : optional
        Where to train, and in which precision; that of X by default.
    compile : "auto", True or False
        As in `Trainer`.
    warm_start : bool
        Whether `fit` goes on with the network that there is.

    Attributes
    ----------
    network_ : Network
    history_ : History
        Of the last `fit`; `history_.plot()` draws it.
    validation_scores_, validation_loss_curve_ : lists of float
        After each epoch, of the samples held out or given to the last `fit`, if there were any.
    n_features_in_ : int
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Train on X (N, I) and numbers y: (N,) or (N, K).

        X_val and y_val are samples to evaluate after every epoch, in the place of a `validation_split`, weighted by
        `sample_weight_val`.
        """
        first = self._first()
        X, t, weight = self._encoded(X, y, sample_weight, reset=first)
        held_out = None
        if given_both(X_val, y_val, sample_weight_val):
            held_out = self._encoded(X_val, y_val, sample_weight_val, reset=False)
        self._train(X, t, t.shape[1], MeanSquaredError(), weight, held_out, first)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch."""
        X, t, weight = self._encoded(X, y, sample_weight, reset=not hasattr(self, "network_"))
        self._train_in_part(X, t, t.shape[1], MeanSquaredError(), weight)
        return self

    def _encoded(self, X: Any, y: Any, weight: Any, *, reset: bool) -> tuple[Any, Any, Any]:
        """Return X, targets and weights, checked."""
        X, y = self._checked(X, y, reset=reset, multi_output=True, y_numeric=True)
        weight = weights_of(weight, X)
        y = column_or_1d(y, warn=True) if y.shape[1:] == (1,) else y
        self._is_flat = y.ndim == 1
        return X, y.astype(float).reshape(len(y), math.prod(y.shape[1:])), weight

    def predict(self, X: Any) -> Any:
        """Return the predictions for X (N, I): (N,) or (N, K), as y was; of a `PoissonLoss` the rates."""
        y = self._outputs(X, "predict")
        y = PORTABLE.exp(y) if isinstance(self.network_.criterion, PoissonLoss) else y
        return y[:, 0] if self._is_flat else y
