"""Parameters of an estimator's parts: `optimizer__lr`, `network__hidden`, as scikit-learn's searches name them."""

# scikit-learn declares no types, hence:
# pyright: basic

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from portable_nn.networks import Network
from portable_nn.optimizers import Adam, Optimizer
from portable_nn.schedules import Constant

__all__ = ["NestedParams", "construct"]


def construct(estimator: Any, theirs: type, arguments: Mapping[str, Any]) -> None:
    """Make each argument of a constructor an attribute of its name, those of scikit-learn's class by that class.

    scikit-learn reads the parameters of an estimator off its constructor, which therefore names them one by one;
    `arguments` are its local variables.
    """
    known, given = inspect.signature(theirs).parameters, {name: arguments[name] for name in arguments if name != "self"}
    theirs.__init__(estimator, **{name: value for name, value in given.items() if name in known})
    for name, value in given.items():
        if name not in known:
            setattr(estimator, name, value)


class NestedParams:
    """Makes the parameters of an optimizer, and of a function that makes a network, those of the estimator too."""

    def get_params(self: Any, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name, if `deep` with those of the optimizer and of a function for the network."""
        params = super().get_params(deep=deep)  # type: ignore[misc]  (of BaseEstimator)
        if not deep:
            return params
        if isinstance(self.optimizer, Optimizer):
            params |= {f"optimizer__{name}": value for name, value in _of_optimizer(self.optimizer).items()}
        if _makes_networks(params.get("network")):
            params |= {f"network__{name}": value for name, value in _of_function(self.network).items()}
        return params

    def set_params(self: Any, **params: Any) -> Any:
        """Set parameters by name; an optimizer is copied for it, a function for the network wrapped.

        Raises
        ------
        ValueError
            If there is no such parameter, or its value is out of its range.
        """
        nested: dict[str, dict[str, Any]] = {"optimizer": {}, "network": {}}
        for name in list(params):
            part, _, inner = name.partition("__")
            if inner and part in nested and hasattr(self, part):
                nested[part][inner] = params.pop(name)
        super().set_params(**params)  # type: ignore[misc]
        if nested["optimizer"]:
            self.optimizer = self._optimizer_with(nested["optimizer"])
        if nested["network"]:
            self.network = _function_with(self.network, nested["network"])
        return self

    def _optimizer_with(self: Any, changes: dict[str, Any]) -> Optimizer:
        """Return a copy of the optimizer with other parameters."""
        optimizer = Adam() if self.optimizer is None and hasattr(self, "network") else self.optimizer
        if not isinstance(optimizer, Optimizer):
            raise ValueError(f"optimizer__{next(iter(changes))} needs an Optimizer as optimizer, got {optimizer!r}")
        params = _of_optimizer(optimizer)
        _check_known(changes, params, f"optimizer {type(optimizer).__name__}")
        changed, made = copy.deepcopy(optimizer), type(optimizer)(**(params | changes))
        for name in changes:
            attribute = "schedule" if name == "lr" else name
            setattr(changed, attribute, getattr(made, attribute))
        return changed


def _of_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """Return the parameters of an optimizer's constructor, those it hands on to its base included."""
    names: dict[str, None] = {}
    for kind in type(optimizer).__mro__:
        if issubclass(kind, Optimizer) and "__init__" in vars(kind):
            given = inspect.signature(vars(kind)["__init__"]).parameters
            names |= {name: None for name in list(given)[1:] if given[name].kind not in _ANY}
            if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in given.values()):
                break
    found = {name: getattr(optimizer, name) for name in names if name != "lr" and hasattr(optimizer, name)}
    schedule = optimizer.schedule
    return {"lr": schedule.lr if type(schedule) is Constant else schedule} | found


_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _makes_networks(network: Any) -> bool:
    return callable(network) and not isinstance(network, Network)


def _of_function(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters of a function beside inputs and outputs that have a value."""
    try:
        given = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return {}
    return {each.name: each.default for each in given[2:] if each.kind not in _ANY and each.default is not each.empty}


def _function_with(function: Any, changes: dict[str, Any]) -> Any:
    """Return the function with other values of its parameters."""
    if not _makes_networks(function):
        raise ValueError(
            f"network__{next(iter(changes))} needs a function or class as network, got {type(function).__name__}"
        )
    given = list(inspect.signature(function).parameters.values())
    if all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in given):
        plain = function.func if isinstance(function, functools.partial) else function
        _check_known(changes, [each.name for each in given[2:]], f"network {getattr(plain, '__name__', plain)}")
    return functools.partial(function, **changes)


def _check_known(changes: dict[str, Any], known: Any, whose: str) -> None:
    for name in changes:
        if name not in known:
            raise ValueError(f"Invalid parameter {name!r} for {whose}. Valid parameters are: {list(known)!r}.")
