"""CuPy: updates of parameters in place, several after one another in one launch."""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any, NamedTuple, Self

from portable_nn.kernels.fast import _cuda
from portable_nn.kernels.portable import adaptive_updates, shaped_updates, sign_updates, updates

__all__ = ["Together", "in_place"]

_AT_ONCE = {
    name: getattr(module, name)
    for module in (adaptive_updates, shaped_updates, sign_updates)
    for name in module.__all__
}
"""Updates that are not written in CUDA."""

_CLIPPING = "clip_by_global_norm"  # which needs a norm first, over all arrays


class _Update(NamedTuple):
    """An update by its name, its lists of arrays by their letters, and its numbers."""

    name: str
    lists: dict[str, list[Any]]
    numbers: tuple[float, ...]

    @classmethod
    def of(cls, name: str, arguments: Sequence[Any]) -> Self:
        """Return the update for the arguments of the portable function of that name."""
        letters = _cuda.RULES[name].arrays.split()
        lists = dict(zip(letters, map(list, arguments), strict=False))
        return cls(name, lists, tuple(float(number) for number in arguments[len(letters) :]))

    def sizes(self) -> list[int]:
        """Return how many elements each array of a list has."""
        return [array.size for array in next(iter(self.lists.values()))]

    def results(self) -> Any:
        """Return the lists that it writes, as the portable function returns them."""
        lists = [
            arrays
            for arrays, written in zip(self.lists.values(), _cuda.RULES[self.name].written, strict=True)
            if written
        ]
        return tuple(lists) if len(lists) > 1 else lists[0]


def in_place(device: _cuda.Launcher) -> dict[str, Callable[..., Any]]:
    """Return each update by its name, done at once in the arrays that it is given."""

    def at_once(name: str) -> Callable[..., Any]:
        @wraps(getattr(updates, name))
        def update(*arguments: Any) -> Any:
            now = _Update.of(name, arguments)
            _do(device, [now])
            return now.results()

        return update

    return {name: at_once(name) for name in _cuda.RULES}


class Together:
    """A context in which updates wait until its end, so that few launches do them all.

    Attributes
    ----------
    kernels : dict
        Each update by its name: it returns the arrays that will be written. What is not written in CUDA is done at
        once, after all that waits.
    """

    def __init__(self, device: _cuda.Launcher):
        self._device = device
        self._waiting: list[_Update] = []
        self.kernels = {name: self._noted(name) for name in _cuda.RULES}
        self.kernels |= {name: self._after_all_else(update) for name, update in _AT_ONCE.items()}

    def _noted(self, name: str) -> Callable[..., Any]:
        @wraps(getattr(updates, name))
        def update(*arguments: Any) -> Any:
            self._waiting.append(_Update.of(name, arguments))
            return self._waiting[-1].results()

        return update

    def _after_all_else(self, portable: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(portable)
        def update(*arguments: Any) -> Any:
            _do(self._device, self._waiting)
            self._waiting.clear()
            return portable(*arguments)

        return update

    def __enter__(self) -> None:
        self._waiting.clear()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            _do(self._device, self._waiting)
        self._waiting.clear()


def _do(device: _cuda.Launcher, waiting: Sequence[_Update]) -> None:
    """Do updates one after the other, in as few launches as there can be."""
    chain: list[_Update] = []
    for update in waiting:
        if not all(_fit(before, update) for before in chain):
            _launch(device, chain)
            chain = []
        if update.name == _CLIPPING:
            _launch(device, chain, norm=update.lists["g"])
            chain = []
        chain.append(update)
    _launch(device, chain)


def _fit(one: _Update, other: _Update) -> bool:
    """Tell whether two updates differ, are of as many elements, and a letter means the same arrays in both."""
    return (
        one.name != other.name
        and one.sizes() == other.sizes()
        and all(
            all(a is b for a, b in zip(arrays, other.lists[letter], strict=True))
            for letter, arrays in one.lists.items()
            if letter in other.lists
        )
    )


def _launch(device: _cuda.Launcher, chain: Sequence[_Update], norm: list[Any] | None = None) -> None:
    """Do updates, and write where the next launch looks for it the norm of what they leave of these arrays."""
    names = (*(update.name for update in chain), *(() if norm is None else (_cuda.NORM,)))
    if not names:
        return
    lists = {} if norm is None else {"g": norm}
    for update in chain:
        lists |= update.lists
    letters = _cuda.letters(names)
    numbers = [number for update in chain for number in update.numbers]
    count = len(lists["g"]) if "g" in lists else 0
    norms: Any = device.scratch(2 * count, "float64", "norms") if {_CLIPPING, _cuda.NORM} & {*names} else None
    for k, arrays in enumerate(zip(*(lists[letter] for letter in letters), strict=True)):
        size = arrays[0].size
        more: list[Any] = []
        launch = _cuda.flat_launch(size)
        if _CLIPPING in names:
            more += [norms, count]
        if norm is not None:
            launch = _cuda.sum_launch(size)
            partials = device.scratch(2 * launch[0][0], "float64", "squares")
            more += [norms[2 * k : 2 * k + 2], partials, device.tickets()]
        device.update(_kernel(names), launch, arrays, [*letters.values()], *more, size, *numbers)


@cache
def _kernel(names: tuple[str, ...]) -> str:
    """Return the name of the kernel for a chain of updates, or its text where it is not one of all."""
    return names[0] if len(names) == 1 else _cuda.chain(names)
