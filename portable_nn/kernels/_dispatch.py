"""Picks, once per backend, the fast kernel or the portable one."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache, cached_property
from types import ModuleType
from typing import Any, Protocol, TypeAlias

from portable_nn.arrays import Namespace, backend_name
from portable_nn.errors import MissingExtraError

__all__ = ["PORTABLE_KERNELS", "Kernel", "Kernels", "kernels_at", "kernels_for"]

Kernel: TypeAlias = Callable[..., Any]

_PORTABLE = (
    "activations",
    "adaptive_updates",
    "arithmetic",
    "compilation",
    "dropout",
    "embedding",
    "gates",
    "group_norm",
    "layer_norm",
    "linear",
    "local_response",
    "losses_of_answers",
    "losses_of_classes",
    "losses_of_numbers",
    "losses_of_triplets",
    "losses_of_vectors",
    "memory",
    "metrics",
    "normalization",
    "piecewise",
    "reductions",
    "scales",
    "shaped_updates",
    "shapes",
    "sign_updates",
    "softmax",
    "updates",
)
"""The files of `kernels.portable` that have kernels."""

PORTABLE_KERNELS: dict[str, Kernel] = {
    name: getattr(module, name)
    for module in (importlib.import_module(f"portable_nn.kernels.portable.{file}") for file in _PORTABLE)
    for name in module.__all__
}
"""All kernels by name, in their portable form."""


class _Place(Protocol):
    @property
    def xp(self) -> Namespace: ...
    @property
    def is_mixed(self) -> bool: ...


class Kernels:
    """The kernels of one backend as attributes: `kernels.affine(x, W, b)`.

    Parameters
    ----------
    fast : module, optional
        Where fast kernels come from; without it all kernels are portable. `kernels.fast` says what may stand in it.
    """

    def __init__(self, fast: ModuleType | None = None):
        self.__dict__.update(PORTABLE_KERNELS)
        for name in () if fast is None else fast.__all__:
            setattr(self, name, getattr(fast, name))
        # What a plan may do with them.
        self.overwrites: frozenset[str] = getattr(fast, "OVERWRITES", frozenset[str]())
        self.fused: Mapping[tuple[str, str], Kernel] = getattr(fast, "FUSED", {})
        self.paired: Mapping[tuple[str, str], Kernel] = getattr(fast, "PAIRED", {})
        self.rounds_apart: frozenset[tuple[str, str]] = getattr(fast, "ROUNDS_APART", frozenset[tuple[str, str]]())
        self.chainable: frozenset[str] = getattr(fast, "CHAINABLE", frozenset[str]())
        self.chain_first: frozenset[str] = getattr(fast, "CHAIN_FIRST", frozenset[str]())
        self.chain_last: frozenset[str] = getattr(fast, "CHAIN_LAST", frozenset[str]())
        self.chained: Callable[..., Kernel] | None = getattr(fast, "CHAINED", None)
        self.updates: Mapping[str, Kernel] = getattr(fast, "IN_PLACE", {})
        self.together: Callable[[], Any] | None = getattr(fast, "TOGETHER", None)
        self.limited_threads: Callable[..., AbstractContextManager[None]] = getattr(
            fast, "LIMITED_THREADS", _as_many_as_there_are
        )
        self.host_pass: Callable[..., Callable[..., Any]] | None = getattr(fast, "HOST_PASS", None)
        self.host_kind: type[Any] | None = getattr(fast, "HOST_KIND", None)
        self.compiler: str | None = getattr(fast, "COMPILED", None)
        self._wide_only: frozenset[str] = getattr(fast, "WIDE_ONLY", frozenset[str]())

    @cached_property
    def low(self) -> "Kernels":
        """The kernels for networks that compute in float16 or bfloat16: the portable ones where no fast one does."""
        if not self._wide_only:
            return self
        portable = {name: PORTABLE_KERNELS[name] for name in self._wide_only}
        return self._with(**portable, fused={}, paired={}, chained=None, chainable=frozenset[str]())

    def in_place(self) -> "Kernels":
        """Return kernels of which those that update parameters write into the arrays they get."""
        return self._with(**self.updates)

    def updating(self) -> "tuple[Kernels, AbstractContextManager[None]]":
        """Return kernels as `in_place` does, and a context in which to use them: at its end at the latest they wrote.

        The context is entered again for the next update.
        """
        if self.together is None:
            return self.in_place(), nullcontext()
        together = self.together()
        return self._with(**together.kernels), together

    def compiled(self) -> "Kernels":
        """Return kernels of which some are compiled, as far as the backend has such.

        Raises
        ------
        MissingExtraError
            If the compiler is not installed.
        """
        if self.compiler is None:
            return self
        if importlib.util.find_spec(self.compiler) is None:
            raise MissingExtraError.of(self.compiler, self.compiler, "compiling kernels")
        module = importlib.import_module(f"portable_nn.kernels.fast._{self.compiler}")
        return self._with(**module.KERNELS, fused=module.FUSED, updates=module.IN_PLACE)

    def _with(self, **attributes: Any) -> "Kernels":
        kernels = Kernels()
        kernels.__dict__.update(self.__dict__, **attributes)
        return kernels

    def __getattr__(self, name: str) -> Kernel:
        raise AttributeError(f"there is no kernel {name!r}")


def _as_many_as_there_are(multiplications: float, count: int | None = None) -> AbstractContextManager[None]:
    """Leave the number of threads to the backend."""
    return nullcontext()


def kernels_for(xp: Namespace) -> Kernels:
    """Return the kernels for arrays of the namespace `xp`."""
    return _kernels_of_backend(backend_name(xp))


def kernels_at(place: _Place) -> Kernels:
    """Return the kernels for what is computed at a place."""
    kernels = kernels_for(place.xp)
    return kernels.low if place.is_mixed else kernels


@cache
def _kernels_of_backend(backend: str) -> Kernels:
    module = f"portable_nn.kernels.fast.{backend}"
    if importlib.util.find_spec(module) is None:
        return Kernels()
    return Kernels(importlib.import_module(module))
