"""What the package promises before its first array: a light import, complete metadata, every public class in reach."""

import json
import os
import statistics
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType

import pytest

import portable_nn as pnn
from portable_nn import layers, losses, optimizers, schedules
from portable_nn.arrays import BACKENDS

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

LOADED_ON_USE = {
    "grandalf",
    "cupy",
    "jax",
    "matplotlib",
    "pooch",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
    "tqdm.notebook",
}


def output_of_fresh_python(program: str, **environment: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment or None).stdout


def test_import_loads_no_optional_library() -> None:
    loaded = json.loads(output_of_fresh_python("import json, portable_nn, sys; print(json.dumps(list(sys.modules)))"))
    assert "portable_nn" in loaded
    assert not LOADED_ON_USE & set(loaded)


def test_import_costs_at_most_150_ms_over_numpy(tmp_path: Path) -> None:
    # Processor time, which other processes hardly change; with bytecode, which users have from the second import on.
    program = "import numpy; from time import process_time as t; s = t(); import portable_nn; print(t() - s)"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    output_of_fresh_python(program, **environment)
    medians: list[float] = []
    while len(medians) < 4 and min(medians, default=1.0) > 0.15:
        medians.append(statistics.median(float(output_of_fresh_python(program, **environment)) for _ in range(5)))
    assert min(medians) <= 0.15, medians


def test_version_is_that_of_the_project() -> None:
    assert pnn.__version__ == PYPROJECT["version"] == metadata.version("portable-nn")


def test_metadata_list_the_extras() -> None:
    extras = set(metadata.metadata("portable-nn").get_all("Provides-Extra") or ())
    assert extras >= {"cuda12", "cuda13", "torch", "jax", "plot", "data", "test"}
    assert extras >= set(BACKENDS.values()) - {""}, "an error would name an extra that does not exist"


def test_metadata_require_the_dependencies() -> None:
    required = {line for line in metadata.requires("portable-nn") or () if "extra ==" not in line}
    assert required == set(PYPROJECT["dependencies"])


def test_types_are_shipped() -> None:
    assert (resources.files("portable_nn") / "py.typed").is_file()


def test_the_public_api_is_the_one_that_is_listed() -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("tensorboardX")
    root = Path(__file__).parents[1]
    command = [sys.executable, str(root / "ci" / "api.py")]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    listed = (root / "docs" / "api.txt").read_text(encoding="utf-8").splitlines()
    changed = [f"-{line}" for line in listed if line not in found] + [
        f"+{line}" for line in found if line not in listed
    ]
    assert changed == [], "the public API has changed; if it is meant to: python ci/api.py >docs/api.txt"


PARTS = [layers, losses, optimizers, schedules]


@pytest.mark.parametrize("part", PARTS, ids=[part.__name__ for part in PARTS])
def test_every_class_that_a_part_lists_is_in_reach(part: ModuleType) -> None:
    classes = {name: getattr(part, name) for name in part.__all__ if isinstance(getattr(part, name), type)}
    assert classes
    assert [name for name, one in classes.items() if getattr(pnn, name, None) is not one] == []


def subclasses(base: type) -> set[type]:
    below = set(base.__subclasses__())
    return below.union(*map(subclasses, below))


@pytest.mark.parametrize("base", [pnn.Layer, pnn.Loss, pnn.Optimizer])
def test_every_finished_class_is_in_reach(base: type) -> None:
    shipped = [
        one
        for one in subclasses(base)
        if one.__module__.startswith("portable_nn.")
        and not one.__module__.startswith("portable_nn.adapters.")  # which lead to other worlds
        and not one.__name__.startswith("_")
        and not one.__subclasses__()
    ]
    assert shipped
    assert [one.__name__ for one in shipped if getattr(pnn, one.__name__, None) is not one] == []
