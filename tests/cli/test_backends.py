import importlib.metadata
import importlib.util
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from portable_nn.arrays import BACKENDS, namespace
from portable_nn.errors import BackendError, MissingExtraError

Run = Callable[..., Any]


def test_every_backend_is_listed_with_version_and_devices(run: Run) -> None:
    result = run("backends")
    assert (result.status, result.err) == (0, "")
    rows = {line.split()[0]: line for line in result.out.splitlines()[1 : 1 + len(BACKENDS)]}
    assert list(rows) == list(BACKENDS)
    for name in ("numpy", "torch", "jax"):
        if importlib.util.find_spec(name):
            assert importlib.metadata.version(name) in rows[name]
            assert " cpu" in rows[name]
    if importlib.util.find_spec("array_api_strict"):
        assert "CPU_DEVICE, device1," in rows["array_api_strict"]
    assert "meta" not in rows["torch"]


class Device:
    """A device as CuPy has them: without a hash, and current where it is entered."""

    current = 0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, number: int):
        self.number = number

    def __repr__(self) -> str:
        return f"<CUDA Device {self.number}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.number == other.number

    def __enter__(self) -> None:
        if self.number == 1:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        Device.current = self.number

    def __exit__(self, *_: object) -> None:
        Device.current = 0


def test_devices_need_no_hash_and_are_asked_each_by_itself(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ones(*_: object, **__: object) -> Any:
        asked.append(Device.current)
        return np.ones((2, 2))

    info = SimpleNamespace(devices=lambda: [Device(0), Device(1), Device(2), Device(0)])
    fake = SimpleNamespace(__array_namespace_info__=lambda: info, ones=ones, float32="float32")
    monkeypatch.setattr("portable_nn.cli.backends.namespace", lambda name: fake)
    assert run("backends").out.splitlines()[1].split()[2:] == ["cuda:0,", "cuda:2"]
    assert asked[:2] == [0, 2]


def test_cupy_lists_its_devices(run: Run) -> None:
    try:
        namespace("cupy")
    except (BackendError, MissingExtraError) as error:
        pytest.skip(f"missing backend cupy: {error}")
    (line,) = (line for line in run("backends").out.splitlines() if line.startswith("cupy"))
    assert " cuda:0" in line
    assert "none" not in line


def test_what_makes_numpy_faster_is_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "mkl":
            raise importlib.metadata.PackageNotFoundError(package)
        return "0.99"

    monkeypatch.setattr(importlib.metadata, "version", version)
    lines = run("backends").out.splitlines()
    assert "numba compiles what takes several passes over memory; 0.99" in lines
    assert (
        'mkl multiplies large matrices (Linux on x86-64); not installed: python -m pip install "portable-nn[mkl]"'
        in lines
    )


def test_what_is_missing_is_listed_with_what_installs_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    missing = ("cupy", "torch")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in missing else find_spec(name, *more)
    )
    result = run("backends")
    assert result.status == 0
    assert [line.split() for line in result.out.splitlines() if line.startswith(missing)][:2] == [
        ["cupy", "-", "not", "installed"],
        ["torch", "-", "not", "installed"],
    ]
    assert 'cupy: python -m pip install "portable-nn[cuda13]"  (where CUDA is version 12: "portable-nn[cuda12]")' in (
        result.out
    )
    assert 'torch: python -m pip install "portable-nn[torch]"' in result.out


def test_a_backend_that_is_broken_is_said_to_be(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(xp: str) -> Any:
        raise OSError("libsomething.so: cannot open shared object file\nand more")

    monkeypatch.setattr("portable_nn.cli.backends.namespace", broken)
    lines = run("backends").out.splitlines()
    assert lines[1].endswith("none: OSError: libsomething.so: cannot open shared object file")


def test_a_device_that_does_not_answer_is_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portable_nn.cli.backends._answers", lambda xp, device: str(device) != "cpu")
    assert run("backends").out.splitlines()[1].split()[2:] == ["none"]
