"""The backends that tests run on: libraries, and variants of them that catch what the library itself lets pass."""

import contextlib
import importlib
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

from portable_nn.arrays import Place, backend_name, namespace
from portable_nn.errors import BackendError, MissingExtraError

__all__ = ["BACKENDS", "Backend", "BackendNamespace", "float64_enabled", "selected_backends"]

_CREATION = {"arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros"}


@dataclass(frozen=True)
class Backend:
    """A library, one of its devices, and how to tell it in test names.

    Parameters
    ----------
    name : str
        As tests and `PORTABLE_NN_BACKENDS` call it.
    library : str
        As `portable_nn` calls it.
    device : str, optional
        Where arrays are made by default.
    readonly : bool
        Whether NumPy arrays are made not writeable, so that code which writes into what it borrowed fails.
    """

    name: str
    library: str
    device: str | None = None
    readonly: bool = False

    @cache  # noqa: B019  (a value, of which there are nine)
    def missing(self) -> str:
        """Return why the backend cannot be used here; empty if it can."""
        try:
            Place(self.library, self.device)
        except (MissingExtraError, BackendError) as error:
            return f"{self.name}: {error}"
        return ""

    def namespace(self) -> "BackendNamespace":
        """Return the namespace in which tests make their arrays."""
        return BackendNamespace(self)


BACKENDS = (
    Backend("numpy", "numpy"),
    Backend("numpy-readonly", "numpy", readonly=True),
    Backend("array-api-strict", "array_api_strict", "device1"),
    Backend("array-api-strict-no-float64", "array_api_strict", "no_float64"),
    Backend("torch", "torch", "cpu"),
    Backend("torch-cuda", "torch", "cuda"),
    Backend("jax", "jax", "cpu"),
    Backend("jax-cuda", "jax", "cuda"),
    Backend("cupy", "cupy"),
)


class BackendNamespace:
    """A library's namespace whose arrays are made on the backend's device, and read-only if the backend says so.

    Attributes
    ----------
    backend : Backend
    place : Place
        The namespace and device with float32.
    """

    def __init__(self, backend: Backend):
        self.backend = backend
        self._xp = namespace(backend.library)
        self.__name__: str = self._xp.__name__
        self.place = Place(self, backend.device)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._xp, name)
        if name in _CREATION:
            return self._made_here(found)
        return _frozen(found) if self.backend.readonly and callable(found) and not isinstance(found, type) else found

    def _made_here(self, create: Callable[..., Any]) -> Callable[..., Any]:
        def create_here(*arguments: Any, **options: Any) -> Any:
            if options.get("device") is None and "place" in self.__dict__:
                options["device"] = self.place.device
            return create(*arguments, **options)

        return _frozen(create_here) if self.backend.readonly else create_here

    def __reduce__(self) -> Any:
        return BackendNamespace, (self.backend,)


def _frozen(function: Callable[..., Any]) -> Callable[..., Any]:
    def freezing(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        if not hasattr(result, "setflags"):
            return result
        view = result[...]  # the array itself may be the caller's
        view.setflags(write=False)
        return view

    return freezing


def selected_backends() -> tuple[Backend, ...]:
    """Return the backends that the environment variable PORTABLE_NN_BACKENDS names: all, unless it says less.

    It takes SciPy's grammar: `1`, `true` or `all` for all of them, `0` or `false` for NumPy alone, or a JSON list of
    names or libraries, such as `["numpy", "torch"]`.

    Raises
    ------
    ValueError
        If a name is not known.
    """
    value = os.environ.get("PORTABLE_NN_BACKENDS", "all").strip()
    if value.lower() in ("", "1", "true", "all"):
        return BACKENDS
    try:
        names = ["numpy"] if value.lower() in ("0", "false") else list(json.loads(value))
    except (ValueError, TypeError):
        raise ValueError(f'PORTABLE_NN_BACKENDS needs 0, 1, all, or a list such as ["numpy"], got {value}') from None
    if "all" in names:
        return BACKENDS
    unknown = set(names) - {b.name for b in BACKENDS} - {b.library for b in BACKENDS}
    if unknown:
        raise ValueError(f"PORTABLE_NN_BACKENDS has {sorted(unknown)}; known are {', '.join(b.name for b in BACKENDS)}")
    return tuple(b for b in BACKENDS if b.name in names or b.library in names)


def float64_enabled(xp: Any) -> AbstractContextManager[Any]:
    """Return a context in which `xp` (a namespace or its name) has float64: JAX must be told."""
    name = xp if isinstance(xp, str) else backend_name(xp)
    if name != "jax":
        return contextlib.nullcontext()
    jax: Any = importlib.import_module("jax")
    return jax.enable_x64(True)
