"""What every optimizer is.

`update` works on arrays of any namespace. Beneath it `apply` is pure, for training steps that are compiled.
"""

import difflib
import inspect
import math
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, ClassVar, TypeAlias

from portable_nn.arrays import backend_name, device_of, namespace_of, without_graph
from portable_nn.errors import DTypeError, NamespaceError, ShapeError
from portable_nn.kernels import Kernels, is_recordable, kernels_for
from portable_nn.schedules import Schedule, as_schedule

__all__ = ["Arrays", "Numbers", "Optimizer", "Slots", "Updated", "in_range"]

Arrays: TypeAlias = list[Any]
Slots: TypeAlias = list[Arrays]
"""For each of an optimizer's slots, one array a parameter."""
Updated: TypeAlias = tuple[Arrays, Slots]
Numbers: TypeAlias = dict[str, float]
"""What changes from update to update and is known beforehand: the rate, and what is computed from it."""

_MOVING = ("state", "steps", "lr_scale", "schedule", "version")
"""What changes in training."""


class Optimizer:
    """A rule for updating parameters from their gradients.

    An optimizer of your own overrides `rule`, and names its `slots`. The rule is pure: it gets lists with one array a
    parameter, each in its shape, and what it returns is what happens. It may declare two things, in the class's own
    body, as a subclass may do something else:

    - `elementwise = True`: every element is updated from itself alone. The rule may then get all parameters as one flat
      array, which is faster.
    - `recordable = True`: the rule computes with arrays, kernels and `numbers` alone. Then JAX may compile it.

    Parameters
    ----------
    lr : float or Schedule
        The learning rate, or a function from the number of updates made so far to it.
    weight_decay : float
        Adds weight_decay times the parameter to its gradient (L2; torch's meaning). AdamW takes it from the parameter
        instead (decoupled).
    clip_norm : float, optional
        Before the update all gradients are scaled so that the norm of all of them together is at most this.
    clip_value : float, optional
        Before that, each element is cut to [-clip_value, clip_value].

    Attributes
    ----------
    steps : int
        How many updates were made.
    lr_scale : float
        What the rate of the schedule is multiplied by: 1, or less if training had to go back; see `Trainer.fit`.
    state : dict
        For each parameter that was updated, by name or position, one array for each name in `slots`.

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range, or there is no such option.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    version: int = 0
    """How often an option was replaced: compiled steps made before may be wrong then."""

    def __init__(
        self,
        lr: float | Schedule,
        *,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        **unknown: Any,
    ):
        if unknown:
            raise TypeError(_unknown(type(self), unknown))
        self.schedule = as_schedule(lr)
        self.weight_decay = in_range("weight_decay", weight_decay, 0.0)
        self.clip_norm = None if clip_norm is None else in_range("clip_norm", clip_norm, 1e-30)
        self.clip_value = None if clip_value is None else in_range("clip_value", clip_value, 1e-30)
        self.steps = 0
        self.lr_scale = 1.0
        self.state: dict[Any, tuple[Any, ...]] = {}
        self._network: Any = None

    def __setattr__(self, name: str, value: Any) -> None:
        counts = name in self.__dict__ and not name.startswith("_") and name not in _MOVING
        if counts and is_recordable(type(self)):  # no other is compiled
            self.__dict__["version"] = self.version + 1
        super().__setattr__(name, value)

    def belong(self, identity: object) -> None:
        """Remember from the first update on which network this optimizer updates; `identity` stands for it.

        Raises
        ------
        ValueError
            If the optimizer has updated another network.
        """
        if self._network is not None and self._network is not identity and self.steps:
            raise ValueError(
                f"this {type(self).__name__} has made {self.steps} updates of another network: a new network needs "
                "a new optimizer"
            )
        self._network = identity

    @property
    def lr(self) -> float:
        """The learning rate of the next update. Assigning a number or a schedule replaces the schedule."""
        return float(self.schedule(self.steps)) * self.lr_scale

    @lr.setter
    def lr(self, lr: float | Schedule) -> None:
        self.schedule = as_schedule(lr)

    def update(
        self,
        params: MutableMapping[str, Any] | MutableSequence[Any],
        grads: Mapping[str, Any] | Sequence[Any],
    ) -> None:
        """Replace the arrays in `params`, a mapping or list, by updated ones; no array is written.

        `grads` is of the same kind; a mapping may leave out parameters, which then stay as they are.

        Raises
        ------
        ShapeError, DTypeError, NamespaceError, KeyError, TypeError
            If the two do not fit together. Nothing is changed then.
        """
        names = _matching_names(params, grads)
        if not names:
            return
        old: list[Any] = [without_graph(params[name]) for name in names]
        new: list[Any] = [without_graph(grads[name]) for name in names]
        for name, p, g in zip(names, old, new, strict=True):
            _check_pair(name, p, g, old[0])
        slots = self.slots_of(names, old)
        updated, slots = self.apply(kernels_for(namespace_of(old[0])), old, new, slots, self.numbers())
        for name, p in zip(names, updated, strict=True):
            params[name] = p
        self.keep(names, slots)
        self.steps += 1

    def slots_of(self, names: Sequence[Any], params: Sequence[Any]) -> Slots:
        """Return the slots of these parameters, zeros where they were never updated.

        Raises
        ------
        ShapeError
            If the optimizer has updated other parameters of the same names.
        """
        for name, p in zip(names, params, strict=True):
            if name in self.state:
                _check_state(name, self.state[name], self.new_slots(p))
        rows = [self.state.get(name) or self.new_slots(p) for name, p in zip(names, params, strict=True)]
        return [[row[i] for row in rows] for i in range(len(self.slots))]

    def numbers(self) -> Numbers:
        """Return what the next update needs to know of its place in the run."""
        return {"lr": self.lr}

    def apply(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated parameters and slots: a pure function."""
        if self.clip_value is not None:
            grads = kernels.clip_by_value(grads, self.clip_value)
        if self.clip_norm is not None:
            grads = kernels.clip_by_global_norm(grads, self.clip_norm)
        if self.weight_decay:
            params, grads = self._decayed(kernels, params, grads, numbers)
        return self.rule(kernels, params, grads, slots, numbers)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated parameters and slots, by the optimizer's own rule."""
        raise NotImplementedError

    def keep(self, names: Sequence[Any], slots: Slots) -> None:
        """Make `slots` the state of the parameters `names`."""
        self.state.update({name: tuple(slot[i] for slot in slots) for i, name in enumerate(names)})

    def _decayed(self, kernels: Kernels, params: Arrays, grads: Arrays, numbers: Numbers) -> tuple[Arrays, Arrays]:
        return params, kernels.add_l2(grads, params, self.weight_decay)

    def new_slots(self, parameter: Any) -> tuple[Any, ...]:
        """Return the slots of a parameter before its first update, one array for each name in `slots`: zeros like it.

        An optimizer of your own may begin with others, also of other shapes and data types (unless it is elementwise).
        """
        return tuple(namespace_of(parameter).zeros_like(parameter) for _ in self.slots)


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
}
"""What other libraries call the options."""


def _unknown(kind: type, options: Mapping[str, Any]) -> str:
    """Return an error's text for options that a class does not have: what ours is called, or which there are."""
    known = dict.fromkeys(
        name
        for base in kind.__mro__
        if base is not object
        for name, parameter in inspect.signature(base).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    )
    name = next(iter(options))
    ours = _FOREIGN.get(name) or next(iter(difflib.get_close_matches(name, known, 1)), None)
    which = f"write {ours}" if ours else f"there are {', '.join(known)}"
    return f"{kind.__name__} has no option {name}: {which}"


def in_range(name: str, value: float, low: float, below: float = math.inf) -> float:
    """Return `value` as a Python float (a NumPy scalar would promote float32 weights) if low <= value < below."""
    if not low <= value < below:
        raise ValueError(f"{name} needs to be in [{low}, {below}), got {value}")
    return float(value)


def _matching_names(params: Any, grads: Any) -> list[Any]:
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


def _check_pair(name: Any, parameter: Any, gradient: Any, first: Any) -> None:
    xp = namespace_of(first)
    if namespace_of(parameter) is not xp or namespace_of(gradient) is not xp:
        raise NamespaceError(f"parameter {name} and its gradient need to be arrays of the same library as the others")
    if not xp.isdtype(parameter.dtype, "real floating") or parameter.dtype != gradient.dtype:
        raise DTypeError(
            f"parameter {name} and its gradient need one floating dtype, got {parameter.dtype} and {gradient.dtype}"
        )
    if parameter.shape != gradient.shape:
        raise ShapeError(f"the gradient of {name} needs shape {parameter.shape}, got {gradient.shape}")


def _check_state(name: Any, state: tuple[Any, ...], fresh: tuple[Any, ...]) -> None:
    for slot, new in zip(state, fresh, strict=True):
        before, now = _kind(slot), _kind(new)
        if before != now:
            raise ShapeError(
                f"this optimizer has updated a parameter {name} of {before}, now it gets one of {now}: "
                "a new network needs a new optimizer"
            )


def _kind(array: Any) -> str:
    return f"shape {array.shape} in {backend_name(namespace_of(array))} on {device_of(array)}, {array.dtype}"
