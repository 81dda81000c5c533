"""Weights carried from scikit-learn's perceptrons to ours, and back."""

# scikit-learn declares no types, hence:
# pyright: basic

import copy
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.utils.validation import check_is_fitted

from portable_nn.adapters.sklearn.mlp import MLPClassifier, MLPRegressor
from portable_nn.arrays import to_numpy

__all__ = ["from_sklearn", "to_sklearn"]

_OURS = {neural_network.MLPClassifier: MLPClassifier, neural_network.MLPRegressor: MLPRegressor}


def from_sklearn(estimator: Any) -> Any:
    """Return our estimator with the parameters, weights and other fitted attributes of scikit-learn's.

    The moments of its optimizer are not carried over: `partial_fit` begins anew with them.

    Raises
    ------
    TypeError
        If it is not one of scikit-learn's two perceptrons.
    NotFittedError
        If it has not been fitted.
    """
    kind = _OURS.get(type(estimator))
    if kind is None:
        raise TypeError(f"an MLPClassifier or MLPRegressor of scikit-learn is needed, got {type(estimator).__name__}")
    check_is_fitted(estimator)
    params = estimator.get_params(deep=False)
    return _carried(estimator, kind(**params))


def to_sklearn(estimator: Any) -> Any:
    """Return scikit-learn's estimator with the parameters, weights and other fitted attributes of ours, on NumPy.

    Raises
    ------
    TypeError
        If it is not one of our two perceptrons.
    ValueError
        If it has an activation or a loss that scikit-learn does not know.
    NotFittedError
        If it has not been fitted.
    """
    kind = next((theirs for theirs, ours in _OURS.items() if type(estimator) is ours), None)
    if kind is None:
        raise TypeError(f"an MLPClassifier or MLPRegressor of ours is needed, got {type(estimator).__name__}")
    check_is_fitted(estimator)
    known = kind().get_params(deep=False)
    params = estimator.get_params(deep=False)
    theirs = kind(**{name: params[name] for name in known})
    unknown = [name for name in ("activation", "loss") if name in params and not _is_known(kind, name, params[name])]
    if unknown:
        raise ValueError(f"scikit-learn has no {unknown[0]} {params[unknown[0]]!r}")
    return _carried(estimator, theirs)


def _is_known(kind: Any, name: str, value: Any) -> bool:
    if name == "loss" and kind is neural_network.MLPClassifier:
        return value == "log_loss"
    return any(
        hasattr(rule, "options") and value in rule.options
        for rule in kind._parameter_constraints[name]
        if isinstance(value, str)
    )


def _carried(source: Any, target: Any) -> Any:
    for name, value in vars(source).items():
        if name.endswith("_") and not name.startswith("_"):
            setattr(target, name, copy.copy(value))
    if hasattr(source, "_label_binarizer"):
        target._label_binarizer = copy.deepcopy(source._label_binarizer)
    target.coefs_ = [np.array(to_numpy(W), order="C") for W in source.coefs_]
    target.intercepts_ = [np.array(to_numpy(b)) for b in source.intercepts_]
    target._no_improvement_count = source.__dict__.get("_no_improvement_count", 0)
    return target
