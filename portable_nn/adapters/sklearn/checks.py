"""Checks of what comes into an estimator, in scikit-learn's words. N = samples."""

# scikit-learn declares no types, hence:
# pyright: basic

from typing import Any

import numpy as np
from sklearn.utils._array_api import get_namespace
from sklearn.utils.validation import _check_sample_weight

from portable_nn.arrays import Place, backend_name, device_of, namespace_of, to_numpy

__all__ = ["check_place", "given_both", "on_host", "stand_in", "weights_of"]


def given_both(X: Any, y: Any, weight: Any) -> bool:
    """Return whether samples to validate with are given; ValueError if only a part of them is."""
    if (X is None) != (y is None):
        raise ValueError("fit needs both of X_val and y_val, or neither")
    if X is None and weight is not None:
        raise ValueError("sample_weight_val needs X_val and y_val, which it is for")
    return X is not None


def weights_of(weight: Any, X: Any) -> Any:
    """Return the weights of the samples X (N, ...), checked, on the host; None for None."""
    return None if weight is None else _check_sample_weight(to_numpy(weight), stand_in(X))


def check_place(X: Any, place: Place, method: str) -> None:
    """Raise ValueError if X is not where an estimator was fitted, which `method` is of."""
    if place.holds(X):
        return
    backend = backend_name(namespace_of(X))
    raise ValueError(
        f"Inputs passed to {method} must use the same namespace and the same device as those passed to fit(): that was "
        f'{place}, X is an array of {backend} on {device_of(X)}. Move the estimator with .to("{backend}"), or X'
    )


def stand_in(X: Any) -> Any:
    """Return a NumPy array of zeros in the shape and data type of X that takes no memory."""
    dtype = str(X.dtype).rpartition(".")[2]
    return np.broadcast_to(np.zeros((), dtype), X.shape)


def on_host(y: Any) -> Any:
    """Return y as scikit-learn encodes labels: a NumPy array if it is an array of another library."""
    _, is_array_api = get_namespace(y)
    return to_numpy(y) if is_array_api else y
