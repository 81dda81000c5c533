"""Small data in files of every kind that the command reads, and the command itself, in this process or in another."""

import gzip
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from portable_nn.cli import main


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command in an empty folder, with the arguments of one line."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> Result:
        capsys.readouterr()
        status = main(line.split())
        return Result(status, *capsys.readouterr())

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of other processes: one BLAS thread."""
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture
def process(tmp_path: Path, environment: dict[str, str]) -> Callable[..., Result]:
    """Run `python -m portable_nn` in an empty folder."""

    def process(*arguments: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "portable_nn", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    return process


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A table of 90 samples in three clouds far apart, on scales far apart, with a constant column and names."""
    rng = np.random.default_rng(0)
    lines = ["height,weight,shelf,kind"]
    for kind, center in (("rose", (1e-3, 5e4)), ("tulip", (3e-3, 5e4)), ("big, red one", (2e-3, 9e4))):
        for _ in range(30):
            height, weight = np.array(center) + rng.uniform(-1, 1, 2) * (3e-4, 3e3)
            lines.append(f'{float(height)!r},{float(weight)!r},7,"{kind}"')
    path = tmp_path / "flowers.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def plane(tmp_path: Path) -> Path:
    """An archive with targets 3 a - 2 b + 500, a around 100, b around 0.01, and a third feature that is constant."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((200, 3)) * (10, 0.001, 0) + (100, 0.01, 5)
    np.savez(tmp_path / "plane.npz", x=x, t=3 * x[:, 0] - 2 * x[:, 1] + 500)
    return tmp_path / "plane.npz"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder like MNIST's, packed: 4 x 4 pixels, three classes told apart by the row that is lit."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(2)
    for part, count in (("train", 60), ("t10k", 15)):
        labels = np.arange(count, dtype=np.uint8) % 3
        pixels = rng.integers(0, 60, (count, 4, 4), dtype=np.uint8)
        pixels[np.arange(count), labels] += 180
        for name, array in ((f"{part}-images-idx3-ubyte", pixels), (f"{part}-labels-idx1-ubyte", labels)):
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (folder / f"{name}.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return folder
