"""The last two phases of a training step, part by part: gradients are transformed, and the updates applied."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from portable_nn.kernels import Kernels
from portable_nn.optimizers.groups import Part, parted, taken
from portable_nn.schedules import Schedule

__all__ = ["Arrays", "InParts", "Numbers", "Slots", "Updated", "joined", "joined_slots", "slots_by_part"]

Arrays: TypeAlias = list[Any]
Slots: TypeAlias = list[Arrays]
"""For each of an optimizer's slots, one array a parameter."""
Updated: TypeAlias = tuple[Arrays, Slots]
Numbers: TypeAlias = dict[str, float]
"""What changes from update to update and is known beforehand: the rate, and what is computed from it."""


class InParts:
    """What an optimizer does with parameters that it does not treat alike."""

    groups: Any
    decay: Any
    weight_decay: float | Schedule
    decoupled_weight_decay: bool = False
    """Whether weight decay is taken from the parameters, at the rate, and not added to the gradients."""
    clip_norm: float | None
    clip_value: float | None
    steps: int
    thawed: dict[int, int]
    """How many updates were made when the groups that are frozen until an epoch began to be trained."""
    epoch: int = 0
    grouping: int = 0
    """How often it was said anew which parameters are updated alike, or whether they are."""
    _reads_numbers_alone: bool  # a rule that is compiled must not see `steps`, which changes
    _divides: bool = False  # there are groups that say something
    _part_scale: float = 1.0  # of the part whose numbers or rule are asked for
    _part_began: int = 0  # after so many updates
    _part_decay: float | None = None  # None: the optimizer's

    def numbers(self) -> Numbers:
        """Return what the next update needs to know of its place in the run."""
        raise NotImplementedError

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated parameters and slots, by the optimizer's own rule."""
        raise NotImplementedError

    def _decayed(
        self, kernels: Kernels, params: Arrays, grads: Arrays, numbers: Numbers, weight_decay: float
    ) -> tuple[Arrays, Arrays]:
        if self.decoupled_weight_decay:
            return kernels.decay(params, numbers["lr"] * weight_decay), grads
        return params, kernels.add_l2(grads, params, weight_decay)

    def parts(self, names: Sequence[Any], params: Sequence[Any], known: Sequence[str]) -> list[Part]:
        """Return the parts into which `groups` and `decay` divide parameters, of all that are `known`.

        Raises
        ------
        ValueError
            If a pattern matches none of the known names.
        """
        self.groups.check_used(known)
        return parted(self.groups, self.decay, names, params)

    def live(self, parts: Sequence[Part]) -> list[Part]:
        """Return the parts that are not frozen now."""
        return [part for part in parts if part.frozen_until <= self.epoch]

    def begin_epoch(self, epoch: int) -> None:
        """Thaw what is frozen until this epoch."""
        before, self.epoch = self.epoch, epoch
        for thaws in {int(group["frozen_until"]) for group in self.groups.values() if "frozen_until" in group}:
            if thaws <= epoch:
                self.thawed.setdefault(thaws, self.steps)
            if (thaws <= epoch) != (thaws <= before):
                self.grouping += 1

    def _within(self, part: Part, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function while the rate is that of a part, and `steps` the number of its updates."""
        mine, steps, began = vars(self), self.steps, self.thawed.get(part.frozen_until, 0)
        mine.update(steps=steps - began, _part_scale=part.lr_scale, _part_began=began, _part_decay=part.weight_decay)
        try:
            return function(*arguments)
        finally:
            mine.update(steps=steps, _part_scale=1.0, _part_began=0, _part_decay=None)

    def _decay_now(self) -> float:
        """Return the weight decay of the next update, of the part whose numbers are asked for."""
        decay = self.weight_decay if self._part_decay is None else self._part_decay
        return float(decay(self.steps + self._part_began)) if callable(decay) else decay

    def _all_numbers(self) -> Numbers:
        """Return `numbers`, and the weight decay if it changes."""
        numbers = self.numbers()
        return numbers | {"weight_decay": self._decay_now()} if callable(self.weight_decay) else numbers

    def numbers_for(self, parts: Sequence[Part]) -> Numbers:
        """Return what the next update of some parts needs to know: `numbers`, named by parts if there are several."""
        numbers: Numbers = {}
        for i, part in enumerate(parts):
            own = self._within(part, self._all_numbers)
            numbers |= own if len(parts) == 1 else {f"{i} {name}": number for name, number in own.items()}
        return numbers

    def transform(
        self,
        kernels: Kernels,
        params: list[Arrays],
        grads: list[Arrays],
        numbers: Numbers,
        parts: Sequence[Part],
    ) -> tuple[list[Arrays], list[Arrays]]:
        """Return parameters and gradients, part by part, after clipping and weight decay: a pure function."""
        if self.clip_value is not None:
            grads = [kernels.clip_by_value(row, self.clip_value) for row in grads]
        if self.clip_norm is None and not self.weight_decay and not self._divides:
            return params, grads
        limits: dict[str, float] = {}
        for part in parts:
            limit = self.clip_norm if part.clip_norm is None else part.clip_norm
            if limit is not None:
                limits[part.clips] = limit
        for clips, limit in limits.items():
            grads = _clipped(kernels, grads, parts, clips, limit)
        for i, part in enumerate(parts):
            own, decay = of_part(numbers, i, parts), self.weight_decay
            if callable(decay):
                decay = own["weight_decay"]  # which JAX traces
            elif part.weight_decay is not None:
                decay = part.weight_decay
            if callable(self.weight_decay) or decay:
                params[i], grads[i] = self._decayed(kernels, params[i], grads[i], own, decay)
        return params, grads

    def apply(
        self,
        kernels: Kernels,
        params: list[Arrays],
        grads: list[Arrays],
        slots: list[Slots],
        numbers: Numbers,
        parts: Sequence[Part],
    ) -> tuple[list[Arrays], list[Slots]]:
        """Return the updated parameters and slots, part by part: a pure function."""
        updated: list[Updated] = []
        for i, part in enumerate(parts):
            own = params[i], grads[i], slots[i], of_part(numbers, i, parts)
            alone = self._reads_numbers_alone
            updated.append(self.rule(kernels, *own) if alone else self._within(part, self.rule, kernels, *own))
        return [row for row, _ in updated], [row for _, row in updated]


def _clipped(kernels: Kernels, grads: list[Arrays], parts: Sequence[Part], clips: str, limit: float) -> list[Arrays]:
    """Return gradients, of which those that one pattern clips are clipped, all together."""
    if len(parts) == 1:
        return [kernels.clip_by_global_norm(grads[0], limit)]
    which = [i for i, part in enumerate(parts) if part.clips == clips]
    clipped, grads = iter(kernels.clip_by_global_norm([g for i in which for g in grads[i]], limit)), list(grads)
    for i in which:
        grads[i] = [next(clipped) for _ in grads[i]]
    return grads


def of_part(numbers: Numbers, i: int, parts: Sequence[Part]) -> Numbers:
    """Return what `numbers_for` says of one of several parts, as `numbers` names it."""
    if len(parts) == 1:
        return numbers
    own = f"{i} "
    return {name.removeprefix(own): number for name, number in numbers.items() if name.startswith(own)}


def joined(parts: Sequence[Part], arrays: Sequence[Any], new: Sequence[Sequence[Any]]) -> list[Any]:
    """Return arrays with those of some parts replaced."""
    result = list(arrays)
    for part, row in zip(parts, new, strict=True):
        for i, array in zip(part.positions, row, strict=True):
            result[i] = array
    return result


def slots_by_part(parts: Sequence[Part], slots: Slots) -> list[Slots]:
    """Return slots part by part."""
    return [[taken(part, slot) for slot in slots] for part in parts]


def joined_slots(parts: Sequence[Part], slots: Slots, new: Sequence[Slots]) -> Slots:
    """Return slots with those of some parts replaced."""
    return [joined(parts, slot, [row[k] for row in new]) for k, slot in enumerate(slots)]
