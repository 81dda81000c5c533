"""What the callbacks of an estimator get in the place of a trainer, and the samples it is measured on."""

# scikit-learn declares no types, hence:
# pyright: basic

from dataclasses import dataclass
from typing import Any

from portable_nn.networks import Network
from portable_nn.optimizers import Optimizer
from portable_nn.training.batches import Batches
from portable_nn.training.evaluation_weights import EvaluationWeights
from portable_nn.training.history import History

__all__ = ["HeldOut", "Watched"]


class Watched:
    """The running fit of an estimator, as callbacks see it.

    Attributes
    ----------
    estimator : estimator
        Whatever else it has, this has too.
    network : Network
        That is trained; its arrays may be set.
    optimizer : Optimizer
    history : History
        Of this fit.
    validates : bool
        Whether there are samples to validate with.
    evaluation : EvaluationWeights
        What the network is evaluated with.
    epochs : int
        How many were begun with this optimizer: in this fit, or over all calls of `partial_fit`.
    """

    def __init__(self, estimator: Any, network: Network, optimizer: Optimizer, *, validates: bool):
        self.estimator, self.network, self.optimizer, self.validates = estimator, network, optimizer, validates
        self.history = History()
        self.evaluation = EvaluationWeights(self, ())
        self.epochs = 0

    def stop(self, reason: str) -> None:
        """End the fit after the running epoch."""
        self.history.stopped = reason

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "estimator":
            raise AttributeError(name)
        return getattr(self.estimator, name)


@dataclass
class HeldOut:
    """Samples to validate with: X, their labels or numbers y as the user gave them, and the same for the loss."""

    X: Any
    y: Any
    weight: Any
    batches: Batches
