"""What every optimizer is.

`update` works on arrays of any namespace. Beneath it `transform` and `apply` are pure, the last two phases of a
training step, on parameters part by part: without groups, all of them are one part.
"""

from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, cast

from portable_nn.arrays import as_array, namespace_of, without_graph
from portable_nn.kernels import Kernels, is_recordable, kernels_for
from portable_nn.optimizers.checks import (
    beside,
    check_pair,
    check_state,
    in_range,
    matching_names,
    options_of,
    unknown_option,
)
from portable_nn.optimizers.groups import Decay, Groups, rows
from portable_nn.optimizers.parts import (
    Arrays,
    InParts,
    Numbers,
    Slots,
    Updated,
    joined,
    joined_slots,
    slots_by_part,
)
from portable_nn.schedules import Constant, Schedule, as_schedule, check_blind

__all__ = ["Arrays", "Numbers", "Optimizer", "Slots", "Updated"]

_MOVING = ("state", "steps", "loss_scale", "lr_scale", "schedule", "version", "epoch", "thawed", "grouping")
"""What changes in training."""


class Optimizer(InParts):
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
    weight_decay : float or Schedule
        Adds weight_decay times the parameter to its gradient (L2; torch's meaning). AdamW and others take it from the
        parameter instead (decoupled). A schedule is a function of the number of updates made so far, as that of the
        rate; it cannot observe.
    clip_norm : float, optional
        Before the update all gradients are scaled so that the norm of all of them together is at most this.
    clip_value : float, optional
        Before that, each element is cut to [-clip_value, clip_value].
    groups : mapping of patterns to mappings, optional
        What is different for the parameters whose names match a pattern, `{"*.b": {"lr_scale": 0.1}}`: `*` stands for
        anything, dots included, as in `fnmatch`. Where several patterns match, the last one that says something counts.
        A pattern that matches no parameter is an error when training begins. A group may say

        - `lr_scale`: the learning rate is multiplied by it;
        - `weight_decay`: in the place of the optimizer's;
        - `clip_norm`: the gradients of this pattern's parameters are clipped by themselves, all together, and the
          optimizer's `clip_norm` is for the others;
        - `frozen_until`: the epoch, counted from 1, from which on they are trained. What follows from the number of
          updates, such as Adam's bias correction, begins with their first one.
    decay : "all" or "weights"
        "weights" leaves biases and norms, all parameters with less than two axes, out of `weight_decay`; what a group
        says of it counts all the same.

    Attributes
    ----------
    steps : int
        How many updates were made.
    lr_scale : float
        What the rate of the schedule is multiplied by: 1, or less if training had to go back; see `Trainer.fit`.
    epoch : int
        The running one, for groups that are frozen until one; 0 outside training.
    loss_scale : array of shape (2,), or None
        In float16, what the loss is multiplied by while its gradient is computed, and how many updates were made since
        it was last changed; see docs/precision.md.
    state : dict
        For each parameter that was updated, by name or position, one array for each name in `slots`.

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range, or there is no such option.
    """

    slots: tuple[str, ...] = ()
    version: int = 0
    """How often an option was replaced: compiled steps made before may be wrong then."""

    def __init__(
        self,
        lr: float | Schedule,
        *,
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        groups: Mapping[str, Mapping[str, float]] | None = None,
        decay: Decay = "all",
        **unknown: Any,
    ):
        if unknown:
            raise TypeError(unknown_option(type(self), unknown))
        self.schedule = as_schedule(lr)
        self.weight_decay = weight_decay if callable(weight_decay) else in_range("weight_decay", weight_decay, 0.0)
        self.clip_norm = None if clip_norm is None else in_range("clip_norm", clip_norm, 1e-30)
        self.clip_value = None if clip_value is None else in_range("clip_value", clip_value, 1e-30)
        if decay not in ("all", "weights"):
            raise ValueError(f'decay needs to be "all" or "weights", got {decay!r}')
        self.groups, self.decay = groups, decay
        self.steps = 0
        self.thawed: dict[int, int] = {}
        self.lr_scale = 1.0
        self.loss_scale: Any = None
        self.state: dict[Any, tuple[Any, ...]] = {}
        self._network: Any = None
        self._reads_numbers_alone = is_recordable(type(self))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _MOVING or name.startswith("_"):  # set at every step, some
            super().__setattr__(name, value)
            return
        if name in self.__dict__ and is_recordable(type(self)):  # no other is compiled
            self.__dict__["version"] = self.version + 1
        if name == "groups":
            value = Groups(value)
            self.__dict__["_divides"] = bool(value)
        if name == "weight_decay" and callable(value):
            check_blind(cast("Schedule", value), name)
        changes = name == "weight_decay" and (callable(value) or callable(self.__dict__.get(name)))
        if name in ("groups", "decay") or changes:
            self.__dict__["grouping"] = self.grouping + 1
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        """Return the class with those options that are not as by default."""
        lr = self.schedule.lr if isinstance(self.schedule, Constant) else self.schedule
        said = {"lr": lr} | {name: getattr(self, name, None) for name in options_of(type(self)) if name != "lr"}
        usual: dict[str, Any] = options_of(type(self)) | {"groups": {}, "lr": None}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in said.items() if v != usual[k])})"

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
        return float(self.schedule(self.steps + self._part_began)) * self.lr_scale * self._part_scale

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
        names = matching_names(params, grads)
        if not names:
            return
        old: list[Any] = [without_graph(as_array(params[name], str(name))) for name in names]
        new: list[Any] = [without_graph(beside(p, grads[name])) for name, p in zip(names, old, strict=True)]
        for name, p, g in zip(names, old, new, strict=True):
            check_pair(name, p, g, old[0])
        slots, parts = self.slots_of(names, old), self.parts(names, old, _all_names(params))
        live = self.live(parts)
        kernels, numbers = kernels_for(namespace_of(old[0])), self.numbers_for(live)
        ready = self.transform(kernels, rows(live, old), rows(live, new), numbers, live)
        updated, changed = self.apply(kernels, *ready, slots_by_part(live, slots), numbers, live)
        for name, p in zip(names, joined(live, old, updated), strict=True):
            params[name] = p
        self.keep(names, joined_slots(live, slots, changed))
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
                check_state(name, self.state[name], self.new_slots(p))
        rows = [self.state.get(name) or self.new_slots(p) for name, p in zip(names, params, strict=True)]
        return [[row[i] for row in rows] for i in range(len(self.slots))]

    def numbers(self) -> Numbers:
        """Return what the next update needs to know of its place in the run."""
        return {"lr": self.lr}

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated parameters and slots, by the optimizer's own rule."""
        raise NotImplementedError

    def evaluation_weights(self, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the weights, by name, with which to evaluate and save a network trained so far to `params`.

        None means the same. An optimizer of your own may find gradients elsewhere than where it evaluates, as
        schedule-free ones do (Defazio et al., 2024): slots are in `state`. The arrays are not to be written afterwards.
        """

    def keep(self, names: Sequence[Any], slots: Slots) -> None:
        """Make `slots` the state of the parameters `names`."""
        self.state.update({name: tuple(slot[i] for slot in slots) for i, name in enumerate(names)})

    def new_slots(self, parameter: Any) -> tuple[Any, ...]:
        """Return the slots of a parameter before its first update, one array for each name in `slots`: zeros like it.

        An optimizer of your own may begin with others, also of other shapes and data types (unless it is elementwise).
        """
        return tuple(namespace_of(parameter).zeros_like(parameter) for _ in self.slots)


def _all_names(params: Any) -> list[str]:
    return [str(name) for name in (params if hasattr(params, "keys") else range(len(params)))]
