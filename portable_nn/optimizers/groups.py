"""Groups: parameters that an optimizer treats in a way of their own, chosen by patterns on their names."""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, cast

__all__ = ["Decay", "Groups", "Part", "parted", "rows", "taken"]

Decay: TypeAlias = Literal["all", "weights"]
"""Which parameters are decayed: all, or those alone that have more than one axis."""

_LEAST = {"lr_scale": 0.0, "weight_decay": 0.0, "clip_norm": 1e-30, "frozen_until": 0.0}
"""What a group may say, and at least."""


class Groups(Mapping[str, Mapping[str, float]]):
    """What is said of the parameters whose names match a pattern; it cannot be changed, only replaced.

    Parameters
    ----------
    groups : mapping of patterns to mappings, optional

    Raises
    ------
    TypeError, ValueError
        If it is something else, says what no group can say, or a number is out of its range.
    """

    def __init__(self, groups: Any = None):
        groups = {} if groups is None else groups
        if not isinstance(groups, Mapping):
            raise TypeError(f'groups need to be a mapping, {{"*.b": {{"lr_scale": 0.1}}}}, say, got {groups!r}')
        given = cast("Mapping[Any, Any]", groups)
        self._groups = {_pattern(pattern): _checked(pattern, options) for pattern, options in given.items()}

    def __getitem__(self, pattern: str) -> Mapping[str, float]:
        return MappingProxyType(self._groups[pattern])

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and list(self.items()) == [*Groups(other).items()]

    __hash__ = None  # type: ignore[assignment]  (as that of other mappings)

    def __repr__(self) -> str:
        return repr(self._groups)

    def of(self, name: str) -> tuple[dict[str, float], str]:
        """Return what holds for the parameter `name`, and which pattern says its `clip_norm`: the last that says it."""
        said: dict[str, float] = {}
        clips = ""
        for pattern, options in self._groups.items():
            if fnmatchcase(name, pattern):
                said |= options
                clips = pattern if "clip_norm" in options else clips
        return said, clips

    def check_used(self, names: Sequence[str]) -> None:
        """Raise ValueError if a pattern matches none of these names."""
        for pattern in self._groups:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ValueError(
                    f"the pattern {pattern!r} in groups matches no parameter: there are {', '.join(names) or 'none'}"
                )


class Part(NamedTuple):
    """Parameters that are updated alike.

    Attributes
    ----------
    positions : tuple of int
        Which ones, in the order in which they were given.
    lr_scale : float
    weight_decay : float or None
        None: the optimizer's.
    clip_norm : float or None
        None: the optimizer's, for all such parts together.
    clips : str
        The parts of one such pattern are clipped together.
    frozen_until : int
    """

    positions: tuple[int, ...]
    lr_scale: float = 1.0
    weight_decay: float | None = None
    clip_norm: float | None = None
    clips: str = ""
    frozen_until: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether no group says anything of them."""
        return self[1:] == (1.0, None, None, "", 0)


def parted(groups: Groups, decay: object, names: Sequence[Any], params: Sequence[Any]) -> list[Part]:
    """Return the parts into which groups divide parameters, in the order of their first ones; all of them in one."""
    parts: dict[tuple[Any, ...], list[int]] = {}
    for i, (name, p) in enumerate(zip(names, params, strict=True)):
        said, clips = groups.of(str(name))
        spared = 0.0 if decay == "weights" and len(p.shape) < 2 else None
        norm, thaws = said.get("clip_norm"), int(said.get("frozen_until", 0))
        alike = said.get("lr_scale", 1.0), said.get("weight_decay", spared), norm, clips, thaws
        parts.setdefault(alike, []).append(i)
    return [Part(tuple(positions), *alike) for alike, positions in parts.items()] or [Part(())]


def taken(part: Part, arrays: Sequence[Any]) -> list[Any]:
    """Return those of some arrays that belong to a part."""
    return [arrays[i] for i in part.positions]


def rows(parts: Sequence[Part], arrays: Sequence[Any]) -> list[list[Any]]:
    """Return arrays part by part."""
    return [taken(part, arrays) for part in parts]


def _pattern(pattern: object) -> str:
    if not isinstance(pattern, str) or not pattern:
        raise TypeError(f'groups need patterns of names, such as "*.b", got {pattern!r}')
    return pattern


def _checked(pattern: str, options: Any) -> dict[str, float]:
    """Return what a group says, as Python numbers."""
    if not isinstance(options, Mapping):
        raise TypeError(f'the group {pattern!r} needs a mapping, {{"lr_scale": 0.1}}, say, got {options!r}')
    given = cast("Mapping[Any, Any]", options)
    return {_known(pattern, name): _number(pattern, name, value) for name, value in given.items()}


def _known(pattern: str, name: Any) -> str:
    if name not in _LEAST:
        close = difflib.get_close_matches(str(name), _LEAST, 1)
        instead = "lr_scale, a factor" if name == "lr" else close[0] if close else ""
        which = f"write {instead}" if instead else f"there are {', '.join(_LEAST)}"
        raise TypeError(f"the group {pattern!r} has no option {name}: {which}")
    return name


def _number(pattern: str, name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool | str) or not _LEAST[name] <= number < math.inf:
        raise ValueError(f"the group {pattern!r} needs {name} in [{_LEAST[name]:g}, inf), got {value!r}")
    if name == "frozen_until" and number != int(number):
        raise ValueError(f"the group {pattern!r} needs frozen_until to be the number of an epoch, got {value!r}")
    return int(number) if name == "frozen_until" else number
