import importlib.metadata
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from portable_nn.arrays import BACKENDS

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
