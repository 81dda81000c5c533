"""What the estimators made of networks have in common. N = samples, I = features, K = outputs."""

# scikit-learn declares no types, hence:
# pyright: basic

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._array_api import get_namespace, supported_float_dtypes
from sklearn.utils.validation import check_is_fitted, validate_data

from portable_nn.adapters.sklearn.checks import check_place
from portable_nn.adapters.sklearn.fitting import UNBALANCED
from portable_nn.adapters.sklearn.params import NestedParams
from portable_nn.arrays import backend_name, device_of, namespace_of, to_numpy, widened
from portable_nn.losses import PoissonLoss, SigmoidWithLoss
from portable_nn.networks import Network
from portable_nn.optimizers import Adam, Optimizer
from portable_nn.training.batches import take
from portable_nn.training.callbacks import Callback
from portable_nn.training.measuring import predict
from portable_nn.training.trainer import Trainer

__all__ = ["NetworkEstimator"]


class NetworkEstimator(NestedParams, BaseEstimator):
    """What both have in common."""

    classes_: Any
    _is_multilabel: bool

    def __init__(
        self,
        network: Network | Callable[[int, int], Network],
        *,
        optimizer: Optimizer | None = None,
        epochs: int = 10,
        batch_size: int = 32,
        accumulate: int = 1,
        validation_split: float = 0.0,
        shuffle: bool = True,
        random_state: Any = None,
        progress: bool = False,
        callbacks: Sequence[Callback] = (),
        device: Any = None,
        dtype: str | None = None,
        compile: Any = "auto",
        warm_start: bool = False,
    ):
        self.network = network
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.validation_split = validation_split
        self.shuffle = shuffle
        self.random_state = random_state
        self.progress = progress
        self.callbacks = callbacks
        self.device = device
        self.dtype = dtype
        self.compile = compile
        self.warm_start = warm_start

    def _train(self, X: Any, t: Any, outputs: int, loss: Any, sample_weight: Any, held_out: Any, first: bool) -> None:
        """Train on X and targets t: a new network the `first` time, else the one that there is."""
        network = self._new_network(X, outputs, loss) if first else self.network_
        X, t, sample_weight, validation = self._parts(X, t, sample_weight, held_out)
        optimizer = Adam() if self.optimizer is None else copy.deepcopy(self.optimizer)
        trainer = Trainer(network, optimizer, compile=self.compile)
        scores = _Scores(validation, classifies=is_classifier(self))
        self.history_ = trainer.fit(
            X,
            t,
            epochs=self.epochs,
            batch_size=self.batch_size,
            accumulate=self.accumulate,
            validation_data=validation,
            sample_weight=sample_weight,
            shuffle=self.shuffle,
            progress=self.progress,
            callbacks=[scores, *copy.deepcopy(list(self.callbacks))],
        )
        self.network_, self._trainer, self.validation_scores_ = network, trainer, scores.values
        self.validation_loss_curve_ = list(self.history_.get("val_loss", []))

    def _first(self) -> bool:
        return not (self.warm_start and hasattr(self, "network_"))

    def _train_in_part(self, X: Any, t: Any, outputs: int, loss: Any, sample_weight: Any) -> None:
        """Train for an epoch, on from where the last training ended, with the moments of its optimizer."""
        if not hasattr(self, "network_") or self.__dict__.get("_trainer") is None:
            network = self.network_ if hasattr(self, "network_") else self._new_network(X, outputs, loss)
            if getattr(network.criterion, "class_weight", None) == "balanced":
                raise ValueError(UNBALANCED)  # one part alone would decide
            optimizer = Adam() if self.optimizer is None else copy.deepcopy(self.optimizer)
            self._trainer = Trainer(network, optimizer, compile=self.compile)
        self.history_ = self._trainer.fit(
            X,
            t,
            epochs=1,
            batch_size=self.batch_size,
            accumulate=self.accumulate,
            sample_weight=sample_weight,
            shuffle=self.shuffle,
            progress=self.progress,
            callbacks=copy.deepcopy(list(self.callbacks)),
        )
        self.network_ = self._trainer.network

    def _new_network(self, X: Any, outputs: int, loss: Any) -> Network:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        network = self.network
        network = copy.deepcopy(network) if isinstance(network, Network) else network(X.shape[1], outputs)
        order = network.order
        if len(order.inputs) > 1 or len(order.outputs) > 1 or order.output_names is not None:
            names = ", ".join(order.output_names or order.outputs)
            raise ValueError(
                f"{type(self).__name__} needs a network of one input, and one output without a name, got one of "
                f"{', '.join(order.inputs)} to {names}: train that with pnn.Trainer"
            )
        if network.loss_function is None:
            network.loss_function = loss
        xp = namespace_of(X)
        floats = X if xp.isdtype(X.dtype, "real floating") else xp.astype(X[:0, ...], supported_float_dtypes(xp)[0])
        dtype = self.dtype or str(widened(floats[:0, ...]).dtype).rpartition(".")[2]
        network = network.to(xp, device=device_of(X) if self.device is None else self.device, dtype=dtype)
        network.initialize(seed)
        self._check_outputs(network, X.shape, outputs)
        return network

    def _parts(self, X: Any, t: Any, weight: Any, held_out: Any) -> tuple[Any, Any, Any, Any]:
        """Return X, t and weight of the samples to train on, and what a trainer takes to validate with, or None."""
        if held_out is not None or not self.validation_split:
            return X, t, weight, held_out
        if not 0 < self.validation_split < 1:
            raise ValueError(f"validation_split needs to be in [0, 1), got {self.validation_split}")
        stratify = self.classes_[t] if is_classifier(self) and t.ndim == 1 else None
        split: Any = train_test_split  # declared to return lists
        state = check_random_state(self.random_state)
        train, test = split(np.arange(len(t)), test_size=self.validation_split, random_state=state, stratify=stratify)
        X, X_test = take(X, train), take(X, test)
        return X, t[train], take(weight, train), (X_test, t[test], take(weight, test))

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        trainer = state.get("_trainer")
        if trainer is not None:
            state = state | {"_trainer": copy.copy(trainer)}
            state["_trainer"]._step = None  # it has functions; it is made anew
        return state

    def _check_outputs(self, network: Network, shape: tuple[int, ...], outputs: int) -> None:
        """Raise ValueError if the network has not as many outputs as it needs for `outputs` classes or columns."""
        got = math.prod(network.output_shape(shape)[1:])
        what = ("column" if outputs == 1 else "columns") + " of y"
        if is_classifier(self):
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
        options["dtype"] = _dtypes(supported_float_dtypes(xp) if is_array_api else (np.float64, np.float32), xp)
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
        moved._trainer = None
        moved.network_ = self.network_.to(xp, device=device, dtype=dtype)
        return moved

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags


def _dtypes(floats: Sequence[Any], xp: Any) -> list[Any]:
    """Return the data types that X may have, the first for all others: a network casts whole numbers, or needs them."""
    names = "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool"
    return [*floats, *(getattr(xp, name) for name in names if hasattr(xp, name))]


class _Scores(Callback):
    """Keeps the accuracy, or R2, of every epoch, on (x, t, weight) or None."""

    def __init__(self, validation: Any, *, classifies: bool):
        self.validation = validation
        self.classifies = classifies
        self.values: list[float] = []

    def on_epoch(self, trainer: Trainer, epoch: int, record: dict[str, float]) -> None:
        """Measure the network as it is."""
        if self.validation is None:
            return
        x, t, weight = self.validation
        y = to_numpy(predict(trainer.network, x))
        if self.classifies:
            single = t.ndim == 1 and y.shape[1] > 1
            found = y.argmax(axis=1) if single else (y > 0).reshape(t.shape)
            self.values.append(float(accuracy_score(t, found.astype(int), sample_weight=weight)))
        else:
            y = np.exp(y) if isinstance(trainer.network.criterion, PoissonLoss) else y
            self.values.append(float(r2_score(t, y, sample_weight=weight)))
