"""Checks of what an optimizer is given."""

import difflib
import inspect
import math
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

from portable_nn.arrays import as_array, backend_name, device_of, namespace_of
from portable_nn.errors import DTypeError, NamespaceError, ShapeError

__all__ = [
    "beside",
    "check_none_new",
    "check_pair",
    "check_state",
    "in_range",
    "matching_names",
    "options_of",
    "unknown_option",
]


_FOREIGN = {
    "learning_rate": "lr",
    "eps": "epsilon",
    "rho": "decay",
    "alpha": "decay",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "betas": "beta1, beta2",
    "clipnorm": "clip_norm",
    "global_clipnorm": "clip_norm",
    "clipvalue": "clip_value",
    "wd": "weight_decay",
    "l2": "weight_decay",
    "beta_2_decay": "beta2_decay",
    "epsilon_1": "epsilon1",
    "epsilon_2": "epsilon2",
    "etas": "eta_minus, eta_plus",
    "step_sizes": "smallest, largest",
    "trust_coefficient": "trust",
}
"""What other libraries call the options."""


def unknown_option(kind: type, options: Mapping[str, Any]) -> str:
    """Return an error's text for options that a class does not have: what ours is called, or which there are."""
    known = options_of(kind)
    name = next(iter(options))
    ours = _FOREIGN.get(name) or next(iter(difflib.get_close_matches(name, known, 1)), None)
    which = f"write {ours}" if ours else f"there are {', '.join(known)}"
    return f"{kind.__name__} has no option {name}: {which}"


def options_of(kind: type) -> dict[str, Any]:
    """Return the arguments of the constructors of a class and those above it, with their defaults."""
    options: dict[str, Any] = {}
    for base in kind.__mro__[:-1]:
        for name, parameter in inspect.signature(base).parameters.items():
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                options.setdefault(name, parameter.default)
    return options


def in_range(name: str, value: float, low: float, below: float = math.inf) -> float:
    """Return `value` as a Python float (a NumPy scalar would promote float32 weights) if low <= value < below."""
    if not low <= value < below:
        raise ValueError(f"{name} needs to be in [{low}, {below}), got {value}")
    return float(value)


def matching_names(params: Any, grads: Any) -> list[Any]:
    """Return the names, or positions, of the gradients; KeyError, ShapeError or TypeError if parameters lack some."""
    if _is(params, MutableMapping) and _is(grads, Mapping):
        unknown = [name for name in grads if name not in params]
        if unknown:
            raise KeyError(f"there are gradients for {unknown}, but parameters only for {list(params)}")
        return list(grads)
    if _is(params, MutableSequence) and _is(grads, Sequence):
        if len(params) != len(grads):
            raise ShapeError(f"as many gradients as parameters are needed, got {len(grads)} for {len(params)}")
        return list(range(len(params)))
    raise TypeError(
        "parameters and gradients need to be two mappings or two lists, the parameters changeable, "
        f"got {type(params).__name__} and {type(grads).__name__}"
    )


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def beside(parameter: Any, gradient: Any) -> Any:
    """Return a gradient as it is, but nested lists as an array where the parameter is, of its data type."""
    if not isinstance(gradient, list | tuple):
        return gradient
    xp, values = namespace_of(parameter), as_array(gradient, "gradients")
    return xp.asarray(values, dtype=parameter.dtype, device=device_of(parameter))


def check_pair(name: Any, parameter: Any, gradient: Any, first: Any) -> None:
    """Raise an error unless a parameter and its gradient are alike, and of the library of the first parameter."""
    xp = namespace_of(first)
    if namespace_of(parameter) is not xp or namespace_of(gradient) is not xp:
        raise NamespaceError(f"parameter {name} and its gradient need to be arrays of the same library as the others")
    if not xp.isdtype(parameter.dtype, "real floating") or parameter.dtype != gradient.dtype:
        raise DTypeError(
            f"parameter {name} and its gradient need one floating dtype, got {parameter.dtype} and {gradient.dtype}"
        )
    if parameter.shape != gradient.shape:
        raise ShapeError(f"the gradient of {name} needs shape {parameter.shape}, got {gradient.shape}")


def check_none_new(optimizer: Any, names: Sequence[Any]) -> None:
    """Raise ValueError if an optimizer that counts its updates for all parameters together has never seen some."""
    new = [name for name in names if name not in optimizer.state]
    if optimizer.steps and new:
        raise ValueError(
            f"this {type(optimizer).__name__} has made {optimizer.steps} updates without {', '.join(map(str, new))}: "
            "after unfreezing parameters, go on with a new optimizer"
        )


def check_state(name: Any, state: tuple[Any, ...], fresh: tuple[Any, ...]) -> None:
    """Raise ShapeError unless the slots of a parameter are of the kind of new ones."""
    for slot, new in zip(state, fresh, strict=True):
        before, now = _kind(slot), _kind(new)
        if before != now:
            raise ShapeError(
                f"this optimizer has updated a parameter {name} of {before}, now it gets one of {now}: "
                "a new network needs a new optimizer"
            )


def _kind(array: Any) -> str:
    return f"shape {array.shape} in {backend_name(namespace_of(array))} on {device_of(array)}, {array.dtype}"
