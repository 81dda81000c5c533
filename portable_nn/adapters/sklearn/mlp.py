"""scikit-learn's two multi-layer perceptrons, with its parameters and more. N = samples, I = features, K = outputs."""

# scikit-learn declares no types, hence:
# pyright: basic

from numbers import Real
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from portable_nn.adapters.sklearn.fitting import Fitting
from portable_nn.adapters.sklearn.params import construct
from portable_nn.adapters.sklearn.problem import ACTIVATIONS
from portable_nn.arrays import backend_name, indices_beside, namespace_of, to_numpy
from portable_nn.layers import Layer
from portable_nn.losses import Loss
from portable_nn.optimizers import Optimizer

__all__ = ["MLPClassifier", "MLPRegressor"]

_OWN = {
    "activation": [StrOptions(set(ACTIVATIONS)), Layer, "array-like"],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
    "optimizer": [str, Optimizer, None],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "progress": ["boolean"],
    "callbacks": [list, tuple],
    "device": "no_validation",
    "dtype": [StrOptions({"float32", "float64"}), None],
    "compile": [StrOptions({"auto"}), "boolean"],
}


class MLPClassifier(Fitting, neural_network.MLPClassifier):
    """A multi-layer perceptron that classifies, in the place of `sklearn.neural_network.MLPClassifier`.

    Parameters and attributes are scikit-learn's, with the same meaning; these are more.

    Parameters
    ----------
    activation : str, Layer, or a sequence of them
        One for all hidden layers or one for each. Names are identity, logistic, tanh and relu; elu, gelu, leaky_relu,
        silu and softplus.
    loss : "log_loss" or Loss
        Instead of the cross-entropy a loss of this library: a `SoftmaxWithLoss` for several classes, a
        `SigmoidWithLoss` for two or for several labels.
    class_weight : dict, "balanced" or None
        What the samples of each class count.
    dropout : float or sequence of floats
        After the hidden layers, in training.
    optimizer : str or Optimizer, optional
        Instead of `solver`: one of this library, with its schedule, or the name of one.
    clip_norm : float, optional
        The most that the norm of a gradient may be.
    progress : bool
        Whether to show a bar.
    callbacks : sequence of Callback
        As in `Trainer`; see `Watched` for what they get in its place. Held out samples give `val_loss`.
    device, dtype : optional
        Where to train, and in which precision; that of X by default.
    compile : "auto", True or False
        As in `Trainer`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from portable_nn.adapters.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> MLPClassifier((20,), max_iter=500, learning_rate_init=0.01, random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    _parameter_constraints = (
        neural_network.MLPClassifier._parameter_constraints
        | _OWN
        | {
            "loss": [StrOptions({"log_loss"}), Loss],
            "class_weight": [dict, StrOptions({"balanced"}), None],
        }
    )

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        loss="log_loss",
        class_weight=None,
        dropout=0.0,
        optimizer=None,
        clip_norm=None,
        progress=False,
        callbacks=(),
        device=None,
        dtype=None,
        compile="auto",
    ):
        construct(self, neural_network.MLPClassifier, locals())

    def predict(self, X: Any) -> Any:
        """Return the classes of X (N, I): (N,), or (N, K) of several labels."""
        _check_is_fitted(self)
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Any:
        y = self._forward_pass_fast(X, check_input=check_input)
        if self._label_binarizer.y_type_.startswith("multilabel"):
            xp = namespace_of(y)
            return xp.astype(y > 0.5, xp.int64)
        found = y > 0.5 if self.n_outputs_ == 1 else None
        if len(self.classes_) == 1:
            return np.repeat(self.classes_, y.shape[0])
        xp = namespace_of(y)
        indices = xp.argmax(y, axis=1) if found is None else xp.astype(found[:, 0], xp.int64)
        if backend_name(xp) == "numpy" or self.classes_.dtype.kind not in "biuf":
            return self.classes_[to_numpy(indices)]
        return xp.take(indices_beside(y, self.classes_), indices, axis=0)

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of the classes, in the order of `classes_`: (N, K)."""
        return self._probabilities(X, "predict_proba")

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of the probabilities."""
        p = self._probabilities(X, "predict_log_proba")
        return namespace_of(p).log(p)

    def _probabilities(self, X: Any, method: str) -> Any:
        _check_is_fitted(self)
        y = self._forward_pass_fast(X, method=method)
        return y if self.n_outputs_ > 1 else namespace_of(y).concat([1 - y, y], axis=1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags


class MLPRegressor(Fitting, neural_network.MLPRegressor):
    """A multi-layer perceptron that predicts numbers, in the place of `sklearn.neural_network.MLPRegressor`.

    Parameters and attributes are scikit-learn's, with the same meaning, and those that `MLPClassifier` has beside them,
    but for `class_weight`. `loss` may also be a loss of this library: of numbers, element by element.
    """

    _parameter_constraints = (
        neural_network.MLPRegressor._parameter_constraints
        | _OWN
        | {
            "loss": [StrOptions({"squared_error", "poisson"}), Loss],
        }
    )

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dropout=0.0,
        optimizer=None,
        clip_norm=None,
        progress=False,
        callbacks=(),
        device=None,
        dtype=None,
        compile="auto",
    ):
        construct(self, neural_network.MLPRegressor, locals())

    def predict(self, X: Any) -> Any:
        """Return the predictions for X (N, I): (N,), or (N, K) for several outputs."""
        _check_is_fitted(self)
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Any:
        y = self._forward_pass_fast(X, check_input=check_input)
        return y[:, 0] if y.shape[1] == 1 else y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags


def _check_is_fitted(estimator: Any) -> None:
    """Raise NotFittedError for an estimator that is not; scikit-learn's own check takes longer than a prediction."""
    if "coefs_" not in estimator.__dict__:
        check_is_fitted(estimator)
