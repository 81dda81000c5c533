"""Any network as an estimator of scikit-learn. N = samples, I = features, K = outputs."""

# scikit-learn declares no types, hence:
# pyright: basic

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._array_api import get_namespace, supported_float_dtypes
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from portable_nn.adapters.sklearn.fitting import check_place
from portable_nn.adapters.sklearn.params import NestedParams
from portable_nn.arrays import backend_name, device_of, indices_beside, namespace_of, to_numpy
from portable_nn.kernels import PORTABLE
from portable_nn.losses import MeanSquaredError, PoissonLoss, SigmoidWithLoss, SoftmaxWithLoss
from portable_nn.networks import Network
from portable_nn.optimizers import Adam, Optimizer
from portable_nn.training.callbacks import Callback
from portable_nn.training.metrics import predict
from portable_nn.training.trainer import Trainer

__all__ = ["NetworkClassifier", "NetworkRegressor"]


class _NetworkEstimator(NestedParams, BaseEstimator):
    """What both have in common."""

    def __init__(
        self,
        network: Network | Callable[[int, int], Network],
        *,
        optimizer: Optimizer | None = None,
        epochs: int = 10,
        batch_size: int = 32,
        validation_split: float = 0.0,
        shuffle: bool = True,
        random_state: Any = None,
        progress: bool = False,
        callbacks: Sequence[Callback] = (),
        device: Any = None,
        dtype: str | None = None,
        compile: Any = "auto",
    ):
        self.network = network
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_split = validation_split
        self.shuffle = shuffle
        self.random_state = random_state
        self.progress = progress
        self.callbacks = callbacks
        self.device = device
        self.dtype = dtype
        self.compile = compile

    def _train(self, X: Any, t: Any, outputs: int, loss: Any, sample_weight: Any) -> None:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        network = self.network
        network = copy.deepcopy(network) if isinstance(network, Network) else network(X.shape[1], outputs)
        if network.loss_function is None:
            network.loss_function = loss
        xp = namespace_of(X)
        dtype = self.dtype or str(X.dtype).rpartition(".")[2]
        network = network.to(xp, device=device_of(X) if self.device is None else self.device, dtype=dtype)
        network.initialize(seed)
        self._check_outputs(network, X.shape, outputs)
        trainer = Trainer(
            network, Adam() if self.optimizer is None else copy.deepcopy(self.optimizer), compile=self.compile
        )
        self.history_ = trainer.fit(
            X,
            t,
            epochs=self.epochs,
            batch_size=self.batch_size,
            validation_split=self.validation_split,
            sample_weight=sample_weight,
            shuffle=self.shuffle,
            progress=self.progress,
            callbacks=copy.deepcopy(list(self.callbacks)),
        )
        self.network_ = network

    def _check_outputs(self, network: Network, shape: tuple[int, ...], outputs: int) -> None:
        """Raise ValueError if the network has not as many outputs as it needs for `outputs` classes or columns."""
        got = math.prod(network.output_shape(shape)[1:])
        what = ("column" if outputs == 1 else "columns") + " of y"
        if isinstance(self, NetworkClassifier):
            what = "labels" if self._is_multilabel else "class" if outputs == 1 else "classes"
            if isinstance(network.criterion, SigmoidWithLoss) and not self._is_multilabel and (got, outputs) == (1, 2):
                return
            if isinstance(network.criterion, SigmoidWithLoss) and not self._is_multilabel:
                what += ", of which a SigmoidWithLoss tells two apart by one output"
                outputs = -outputs
        if got != outputs:
            plural = "output" if got == 1 else "outputs"
            raise ValueError(f"the network has {got} {plural}, but y has {abs(outputs)} {what}")

    def _checked(self, X: Any, y: Any = "no_validation", *, reset: bool, **options: Any) -> Any:
        """Return X, and y on the host, checked by scikit-learn's rules."""
        xp, is_array_api = get_namespace(X)
        options["dtype"] = supported_float_dtypes(xp) if is_array_api else (np.float64, np.float32)
        if isinstance(y, str):
            return validate_data(self, X, reset=reset, **options)
        if not is_array_api or backend_name(xp) == "numpy":
            _, y_is_array_api = get_namespace(y)
            return validate_data(self, X, to_numpy(y) if y_is_array_api else y, reset=reset, **options)
        X = validate_data(self, X, reset=reset, dtype=options["dtype"])
        zeros = np.broadcast_to(np.zeros(()), X.shape)
        del options["dtype"]
        checked: Any = validate_data  # declared to take strings
        return X, checked(self, zeros, to_numpy(y), reset=False, **options)[1]

    def _outputs(self, X: Any, method: str) -> Any:
        """Return the network's outputs for X, which `method` wants."""
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        check_place(X, self.network_.place, f"{type(self).__name__}.{method}()")
        return predict(self.network_, X)

    def to(self, xp: Any = None, *, device: Any = None, dtype: str | None = None) -> Any:
        """Return a copy of the fitted estimator whose network is elsewhere; see `Network.to`."""
        check_is_fitted(self)
        moved = copy.copy(self)
        moved.network_ = self.network_.to(xp, device=device, dtype=dtype)
        return moved

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags


class NetworkClassifier(ClassifierMixin, _NetworkEstimator):
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
    epochs, batch_size : int
    validation_split : float
        The share of the samples that is held out and evaluated after every epoch.
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

    Attributes
    ----------
    classes_ : array of shape (K,)
    network_ : Network
    history_ : History
        Of the last `fit`; `history_.plot()` draws it.
    n_features_in_ : int
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on X (N, I) and labels y: (N,), or (N, K) of zeros and ones for several labels."""
        X, y = self._checked(X, y, reset=True, multi_output=True)
        check_classification_targets(y)
        weight = None if sample_weight is None else _check_sample_weight(to_numpy(sample_weight), np.empty((len(y), 0)))
        self._is_multilabel = type_of_target(y).startswith("multilabel")
        if self._is_multilabel:
            self.classes_, t, outputs = np.arange(y.shape[1]), y.astype(float), y.shape[1]
        else:
            y = column_or_1d(y, warn=True)
            self.classes_, t = np.unique(y, return_inverse=True)
            outputs = len(self.classes_)
        self._train(X, t, outputs, SigmoidWithLoss() if self._is_multilabel else SoftmaxWithLoss(), weight)
        return self

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


class NetworkRegressor(RegressorMixin, _NetworkEstimator):
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
    epochs, batch_size : int
    validation_split : float
        The share of the samples that is held out and evaluated after every epoch.
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

    Attributes
    ----------
    network_ : Network
    history_ : History
        Of the last `fit`; `history_.plot()` draws it.
    n_features_in_ : int
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on X (N, I) and numbers y: (N,) or (N, K)."""
        X, y = self._checked(X, y, reset=True, multi_output=True, y_numeric=True)
        weight = None if sample_weight is None else _check_sample_weight(to_numpy(sample_weight), np.empty((len(y), 0)))
        y = column_or_1d(y, warn=True) if y.shape[1:] == (1,) else y
        self._is_flat = y.ndim == 1
        t = y.astype(float).reshape(len(y), math.prod(y.shape[1:]))
        self._train(X, t, t.shape[1], MeanSquaredError(), weight)
        return self

    def predict(self, X: Any) -> Any:
        """Return the predictions for X (N, I): (N,) or (N, K), as y was; of a `PoissonLoss` the rates."""
        y = self._outputs(X, "predict")
        y = PORTABLE.exp(y) if isinstance(self.network_.criterion, PoissonLoss) else y
        return y[:, 0] if self._is_flat else y
