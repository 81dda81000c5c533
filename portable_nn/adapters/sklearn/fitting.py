"""Fitting an estimator of scikit-learn by this library's training steps. N = samples, I = features, K = outputs.

scikit-learn's own methods check the input, encode the labels and draw the initial weights, so that errors, attributes
and random numbers are theirs.
"""

# scikit-learn declares no types, hence:
# pyright: basic

import copy
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._array_api import get_namespace, supported_float_dtypes
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from portable_nn.adapters.sklearn.checks import check_place, given_both, on_host, stand_in, weights_of
from portable_nn.adapters.sklearn.descent import Descent
from portable_nn.adapters.sklearn.params import NestedParams
from portable_nn.adapters.sklearn.problem import ACTIVATIONS, PenalizedNetwork, criterion, stack
from portable_nn.adapters.sklearn.solvers import solver_of
from portable_nn.arrays import Place, backend_name, device_of, namespace_of, overflow_unreported, to_numpy, widened
from portable_nn.kernels import PORTABLE, kernels_for
from portable_nn.layers import Layer
from portable_nn.losses import PoissonLoss
from portable_nn.training.threads import threads_for

__all__ = ["UNBALANCED", "Fitting"]

_validated: Any = validate_data  # declared to take strings

_ROWS = 4096
"""Rows of a sparse matrix that are made dense at a time."""

UNBALANCED = (
    "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
    "compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large enough sample of the "
    "full training set target to properly estimate the class frequency distributions. Pass the resulting weights as "
    "the class_weight parameter."
)
"""scikit-learn's words, of other estimators that learn in parts."""


class Fitting(NestedParams, Descent):
    """What takes the place of scikit-learn's `_fit` and `_forward_pass_fast`.

    `coefs_` and `intercepts_` are the arrays of the network, W (I, O) and b (O,) of each layer.
    """

    # scikit-learn's interface to what follows.

    def fit(
        self: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Fit the estimator to X (N, I) and y.

        Parameters
        ----------
        X, y : arrays
            As in scikit-learn.
        sample_weight : array of shape (N,), optional
        X_val, y_val : arrays, optional
            Samples to measure the estimator on after every epoch (L-BFGS: at the end), in `validation_scores_` and
            `validation_loss_curve_`. With `early_stopping` they take the place of a share of X.
        sample_weight_val : array, optional
            The weights of these: scores and losses are weighted by them.

        Raises
        ------
        ValueError
            If an argument does not fit.
        """
        self._own = (X_val, y_val, sample_weight_val) if given_both(X_val, y_val, sample_weight_val) else None
        try:
            return super().fit(X, y, sample_weight)  # type: ignore[misc]  (of the other base)
        finally:
            self.__dict__.pop("_own", None)
            self.__dict__.pop("_given", None)

    def _fit(self: Any, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False) -> Any:
        hidden = _sizes(self.hidden_layer_sizes)
        for check in (self._activations, self._rates):
            check(len(hidden))
        solver_of(self)
        if incremental and self.__dict__.get("class_weight") == "balanced":
            raise ValueError(UNBALANCED)
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        X, y = self._validate_input(X, y, incremental, reset=first)
        sample_weight = self._weighted_by_class(y, weights_of(sample_weight, X))
        y = y.reshape((-1, 1)) if y.ndim == 1 else y
        self.n_outputs_ = y.shape[1]
        self._random_state = check_random_state(self.random_state)
        place = self._place_for(X)
        if self.__dict__.get("_own") is not None:
            self._given = self._encoded(*self._own, place)
        if first:
            self._initialize(y, [X.shape[1], *hidden, self.n_outputs_], place.dtype_name)
            if isinstance(self.loss, PoissonLoss):
                self.out_activation_ = "exp"
            self._step = None
            self.validation_loss_curve_ = []
        network = self._synced(place)
        if network.alpha != float(self.alpha):
            network.alpha, self._step = float(self.alpha), None  # a plan has the penalty written into it
        with overflow_unreported():
            if self.solver == "lbfgs":
                self._fit_lbfgs_on(network, X, y, sample_weight)
            else:
                self._fit_stochastic_on(network, X, y, sample_weight, incremental)
        kernels = kernels_for(place.xp)
        if not all(bool(kernels.all_finite(array)) for array in network.arrays()):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed."
            )
        return self

    def _forward_pass_fast(self: Any, X: Any, check_input: bool = True, method: str = "predict") -> Any:
        """Return what the output activation makes of the network's outputs for X: (N, K); `method` wants them."""
        network = self._synced()
        if check_input:
            X = self._checked(X, network.place, method)
        with threads_for(network, X.shape[0]):
            if sparse.issparse(X):
                rows = [X[i : i + _ROWS].toarray() for i in range(0, max(X.shape[0], 1), _ROWS)]
                y = np.concatenate([network.predict(part) for part in rows])
            else:
                y = network.predict(X)
        # The portable ones keep all digits of small probabilities.
        kernel = {"logistic": PORTABLE.sigmoid, "softmax": PORTABLE.softmax, "exp": PORTABLE.exp}.get(
            self.out_activation_
        )
        return y if kernel is None else kernel(y)

    def _validate_input(self: Any, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        xp, is_array_api = get_namespace(X)
        if not is_array_api or backend_name(xp) == "numpy":
            return super()._validate_input(X, on_host(y), incremental, reset)  # type: ignore[misc]  (of the other base)
        X = _validated(self, X, dtype=supported_float_dtypes(xp), reset=reset)
        # The labels are encoded on the host, beside a matrix of the same shape.
        _, y = super()._validate_input(stand_in(X), on_host(y), incremental, False)  # type: ignore[misc]
        return X, y

    def _encoded(self: Any, X: Any, y: Any, weight: Any, place: Place) -> tuple[Any, Any, Any]:
        """Return samples to validate with as `_fit` has those to train on."""
        X, y = self._checked(X, place, "fit"), np.asarray(on_host(y))
        check_consistent_length(X, y)
        if is_classifier(self):
            if y.ndim == 1 and len(np.setdiff1d(y, self.classes_)):
                raise ValueError(f"y_val has classes that y has not: {np.setdiff1d(y, self.classes_)}")
            y = self._label_binarizer.transform(y).astype(bool)
        y = y.reshape((-1, 1)) if y.ndim == 1 else y
        if y.shape[1] != self.n_outputs_:
            raise ValueError(f"y_val needs as many columns as y, got {y.shape[1]}, not {self.n_outputs_}")
        return X, y, weights_of(weight, X)

    def _checked(self: Any, X: Any, place: Place, method: str) -> Any:
        """Return X checked for prediction, quickly if it is as it should be."""
        plain = type(X) is np.ndarray and X.ndim == 2 and X.dtype.char in "fd" and place.backend == "numpy"
        if plain and X.shape[0] and X.shape[1] == self.n_features_in_ and not hasattr(self, "feature_names_in_"):
            with overflow_unreported():
                finite = np.isfinite(X.sum())
            if finite:
                return X
        xp, is_array_api = get_namespace(X)
        dtypes = supported_float_dtypes(xp) if is_array_api else (np.float64, np.float32)
        X = _validated(self, X, accept_sparse=["csr", "csc"], dtype=dtypes, reset=False)
        if not sparse.issparse(X):
            check_place(X, place, f"{type(self).__name__}.{method}()")
        return X

    # The network.

    def _place_for(self: Any, X: Any) -> Place:
        """Return where to train: where X is, unless the estimator has a device or data type of its own."""
        if sparse.issparse(X):
            return Place("numpy", None, self.dtype or str(X.dtype))
        xp = namespace_of(X)
        dtype = self.dtype or str(widened(X).dtype).rpartition(".")[2]
        return Place(xp, device_of(X) if self.device is None else self.device, dtype)

    def _activations(self: Any, count: int) -> list[Layer]:
        """Return an activation for each hidden layer."""
        given = self.activation
        names = [given] * count if isinstance(given, str | Layer) else list(given)
        if len(names) != count:
            raise ValueError(f"activation needs one name for each of the {count} hidden layers, got {given!r}")
        unknown = [name for name in names if not isinstance(name, Layer) and name not in ACTIVATIONS]
        if unknown:
            raise ValueError(f"activation needs to be one of {sorted(ACTIVATIONS)}, got {unknown[0]!r}")
        return [copy.deepcopy(name) if isinstance(name, Layer) else ACTIVATIONS[name]() for name in names]

    def _rates(self: Any, count: int) -> list[float]:
        """Return the dropout rate after each hidden layer."""
        rates: list[Any] = [self.dropout] * count if isinstance(self.dropout, float | int) else list(self.dropout)
        if len(rates) != count or not all(0 <= rate < 1 for rate in rates):
            raise ValueError(
                f"dropout needs a rate in [0, 1) for each of the {count} hidden layers, got {self.dropout!r}"
            )
        return rates

    def _synced(self: Any, place: Place | None = None) -> PenalizedNetwork:
        """Return the network that has the arrays of `coefs_` and `intercepts_`, which somebody may have replaced."""
        network = self.__dict__.get("_network")
        if place is None:
            place = Place("numpy", None, str(self.coefs_[0].dtype)) if network is None else network.place
        return self._network_at(place, network)

    def _network_at(self: Any, place: Place, network: Any) -> PenalizedNetwork:
        """Return `network` if it is there and has these arrays, else a new one."""
        arrays = [array for pair in zip(self.coefs_, self.intercepts_, strict=True) for array in pair]
        if network is not None and network.place == place:
            mine = network.arrays()
            if len(mine) == len(arrays) and all(one is other for one, other in zip(mine, arrays, strict=True)):
                return network
        count = len(self.coefs_) - 1
        dropout = self._rates(count)
        pairs = [
            tuple(map(place.asarray, map(to_numpy, pair))) for pair in zip(self.coefs_, self.intercepts_, strict=True)
        ]
        state = getattr(self, "_random_state", None)
        seed = 0 if state is None or not any(dropout) else int(state.randint(2**31 - 1))
        layers = stack(pairs, self._activations(count), dropout)
        replaced, network = (
            network,
            PenalizedNetwork(*layers, loss=criterion(self.loss, self.out_activation_), seed=seed),
        )
        if replaced is not None:
            network.identity = replaced.identity  # for the optimizer it is the same
        self._network, self._step = network, None
        self._take_over()
        return network

    def _take_over(self: Any) -> None:
        """Make the network's arrays those of the estimator."""
        arrays = self._network.arrays()
        self.coefs_, self.intercepts_ = arrays[::2], arrays[1::2]

    def to(self: Any, xp: Any = None, *, device: Any = None, dtype: str | None = None) -> Any:
        """Return a copy of the fitted estimator whose network is elsewhere; see `Network.to`.

        Raises
        ------
        NotFittedError
            If it has not been fitted.
        """
        check_is_fitted(self)
        moved = copy.copy(self)
        moved.__dict__.update(_network=self._synced().to(xp, device=device, dtype=dtype), _step=None)
        moved.__dict__.pop("_optimizer", None)
        moved._take_over()
        return moved

    def __getstate__(self: Any) -> Any:
        state: Any = super().__getstate__()
        return state | {"_step": None}  # plans are functions; they are made anew

    def _weighted_by_class(self: Any, y: Any, weight: Any) -> Any:
        if self.__dict__.get("class_weight") is None:
            return weight
        labels = self._label_binarizer.inverse_transform(y)
        by_class = compute_sample_weight(self.class_weight, labels)
        return by_class if weight is None else weight * by_class


def _sizes(given: Any) -> list[int]:
    """Return the sizes of the hidden layers."""
    sizes = list(given) if hasattr(given, "__iter__") else [given]
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return sizes
