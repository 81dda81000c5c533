"""`portable-nn backends`: which array libraries are installed, and which of their devices answer."""

import importlib
import importlib.metadata
import importlib.util
import os
import re
import warnings
from argparse import Namespace
from contextlib import nullcontext
from typing import Any

from portable_nn.arrays import BACKENDS, namespace
from portable_nn.cli.console import Commands, say, table
from portable_nn.errors import BackendError, MissingExtraError
from portable_nn.kernels.fast import _mkl, _numpy_threads, _processor

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "backends", help="list backends and devices", description="List the backends and the devices that answer."
    )
    parser.set_defaults(command=backends)


def backends(options: Namespace) -> int:
    """Print a table of the backends, and below it what helps NumPy, and how to install what is missing."""
    rows = [("backend", "version", "devices that answer")]
    missing: list[str] = []
    for name, extra in BACKENDS.items():
        try:
            rows.append((name, _version(name), _devices(name)))
        except MissingExtraError:
            rows.append((name, "-", "not installed"))
            missing.append(f'{name}: python -m pip install "portable-nn[{extra}]"{_FURTHER.get(name, "")}')
    say(table(rows))
    say("\n".join(["", "What makes NumPy faster:", *map(_help, _HELPERS)]))
    say(f"\nProcessor: {_processor.description()}\n{_threads()}")
    if missing:
        say("\n".join(["", "To install what is missing:", *missing]))
    return 0


_HELPERS = {
    "numba": "compiles what takes several passes over memory",
    "mkl": "multiplies large matrices (Linux on x86-64)",
}


def _help(package: str) -> str:
    """Return what a package does for NumPy, and its version or how to install it."""
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        found = f'not installed: python -m pip install "portable-nn[{package}]"'
    else:
        if package == "mkl" and _mkl.library() is None:
            found += f", but not in use{'' if _processor.is_intel() else ': it pays on processors of Intel alone'}"
    return f"{package} {_HELPERS[package]}; {found}"


def _threads() -> str:
    """Return on how many threads NumPy multiplies."""
    count = _numpy_threads.blas_threads()
    if count is None:
        return "Threads of NumPy's BLAS: not known, left as they are"
    forced = os.environ.get("PORTABLE_NN_THREADS")
    rule = "one for small networks; Trainer(threads=...) or PORTABLE_NN_THREADS overrules that"
    return f"Threads of NumPy's BLAS: {count}; " + (f"PORTABLE_NN_THREADS asks for {forced}" if forced else rule)


_FURTHER = {"cupy": '  (where CUDA is version 12: "portable-nn[cuda12]")'}


def _version(name: str) -> str:
    if importlib.util.find_spec(name) is None:
        raise MissingExtraError.of(name, BACKENDS[name], f"the backend {name}")
    try:
        return str(getattr(importlib.import_module(name), "__version__", "?"))
    except Exception:  # a library may be broken in any way of its own
        return "?"


def _devices(name: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch tries devices that it has given up
            xp = namespace(name)
            devices = {str(device): device for device in xp.__array_namespace_info__().devices()}  # CuPy's have no hash
            answering = [_name(device) for device in devices.values() if device is not None and _answers(xp, device)]
    except BackendError as error:
        return f"none: {error}"
    except Exception as error:  # see above
        return f"none: {type(error).__name__}: {error}".partition("\n")[0]
    return ", ".join(answering) or "none"


def _name(device: Any) -> str:
    """Return the device's name as `--device` takes it."""
    text = re.sub(r".*\('(\w+)'\)", r"\1", str(device))  # array_api_strict.Device('device1')
    return re.sub(r"<CUDA Device (\d+)>", r"cuda:\1", text)  # CuPy's


def _answers(xp: Any, device: Any) -> bool:
    """Tell whether a product of two matrices comes back from the device; torch's meta device has no values."""
    try:
        with device if hasattr(device, "__enter__") else nullcontext():  # CuPy's arrays are made on the current device
            ones = xp.ones((2, 2), dtype=xp.float32, device=device)
            return float((ones @ ones)[0, 0]) == 2.0
    except Exception:  # see above
        return False
