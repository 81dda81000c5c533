"""scikit-learn's solvers as optimizers, their learning rates, and when they stop."""

import copy
from typing import Any

from portable_nn import optimizers
from portable_nn.optimizers import Optimizer

__all__ = ["Rate", "Solver", "solver_of"]


class Rate:
    """A learning rate that is changed at the end of epochs: a schedule whose `value` is set."""

    def __init__(self, value: float):
        self.value = value

    def __call__(self, step: int) -> float:
        """Return the rate of the next update."""
        return self.value


class Solver:
    """An optimizer, and what is done to its rate between epochs.

    Parameters
    ----------
    optimizer : Optimizer
    rate : Rate, optional
        What its schedule is, if scikit-learn's rules move it.
    rule : "constant", "invscaling" or "adaptive"
    power : float
        Of the inverse scaling.
    """

    def __init__(self, optimizer: Optimizer, rate: Rate | None = None, rule: str = "constant", power: float = 0.5):
        self.optimizer, self.rate, self.rule, self.power = optimizer, rate, rule, power
        self.initial_rate = optimizer.lr

    @property
    def learning_rate(self) -> float:
        """The rate of the next update."""
        return self.optimizer.lr

    def end_epoch(self, samples: int) -> None:
        """Act after an epoch; `samples` were trained on so far."""
        if self.rate is not None and self.rule == "invscaling":
            self.rate.value = self.initial_rate / (samples + 1) ** self.power

    def stops(self, message: str, *, verbose: Any) -> bool:
        """Tell whether to stop now that there was no improvement; if not, the rate was lowered."""
        if self.rate is None or self.rule != "adaptive":
            end = "Stopping."
        elif self.rate.value <= 1e-6:
            end = "Learning rate too small. Stopping."
        else:
            self.rate.value /= 5.0
            end = f"Setting learning rate to {self.rate.value:f}"
        if verbose:
            print(message, end)  # noqa: T201  (as scikit-learn does, where it is asked to)
        return end.endswith("Stopping.")


_NAMES = {name.lower(): getattr(optimizers, name) for name in optimizers.__all__ if name[0] != "_"}


def solver_of(estimator: Any) -> Solver:
    """Return a new solver for an estimator's parameters.

    Raises
    ------
    ValueError
        If it names an optimizer that there is not, or asks L-BFGS for what only the other solvers do.
    """
    if estimator.solver == "lbfgs":
        _check_unused(estimator)
    options = {"clip_norm": estimator.clip_norm}
    rate = Rate(float(estimator.learning_rate_init))
    if isinstance(estimator.optimizer, Optimizer):
        return Solver(copy.deepcopy(estimator.optimizer))
    if estimator.optimizer is not None:
        kinds = {
            name: kind
            for name, kind in _NAMES.items()
            if isinstance(kind, type) and issubclass(kind, Optimizer) and kind is not Optimizer
        }
        if estimator.optimizer not in kinds:
            raise ValueError(
                f"optimizer needs to be an Optimizer or one of {sorted(kinds)}, got {estimator.optimizer!r}"
            )
        return Solver(kinds[estimator.optimizer](lr=rate, **options), rate, estimator.learning_rate, estimator.power_t)
    if estimator.solver == "adam":
        betas = {"beta1": estimator.beta_1, "beta2": estimator.beta_2}
        return Solver(optimizers.Adam(rate, **betas, epsilon=estimator.epsilon, epsilon_hat=True, **options))
    if not estimator.momentum:
        optimizer: Optimizer = optimizers.SGD(rate, **options)
    else:
        kind = optimizers.Nesterov if estimator.nesterovs_momentum else optimizers.Momentum
        optimizer = kind(rate, **options)
        optimizer.momentum = float(estimator.momentum)  # 1 is allowed there
    return Solver(optimizer, rate, estimator.learning_rate, estimator.power_t)


def _check_unused(estimator: Any) -> None:
    """Raise ValueError for parameters that L-BFGS would ignore: it has no epochs, and its own updates."""
    given = {
        "optimizer": estimator.optimizer is not None,
        "callbacks": bool(estimator.callbacks),
        "clip_norm": estimator.clip_norm is not None,
    }
    unused = [name for name, is_given in given.items() if is_given]
    if unused:
        raise ValueError(
            f"solver='lbfgs' has no use for {', '.join(unused)}: optimizer, callbacks and clip_norm need solver 'sgd' "
            "or 'adam'"
        )
