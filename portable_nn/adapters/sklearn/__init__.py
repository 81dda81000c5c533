"""Estimators of scikit-learn on the networks of this library: they train where the data are.

`MLPClassifier` and `MLPRegressor` take the place of scikit-learn's own, with the same parameters, attributes and random
numbers. `NetworkClassifier` and `NetworkRegressor` make an estimator of any network.
"""

from portable_nn.errors import MissingExtraError

try:
    import sklearn as _  # noqa: F401  (says what is missing before the files below stumble over it)
except ImportError:
    raise MissingExtraError.of("scikit-learn", "sklearn", "an estimator") from None

from portable_nn.adapters.sklearn.conversion import from_sklearn, to_sklearn
from portable_nn.adapters.sklearn.mlp import MLPClassifier, MLPRegressor
from portable_nn.adapters.sklearn.wrappers import NetworkClassifier, NetworkRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "NetworkClassifier", "NetworkRegressor", "from_sklearn", "to_sklearn"]
