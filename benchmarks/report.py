"""What was measured, as tables for reading and as JSON with the machine and the versions."""

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import CONTESTANTS
from benchmarks.rounds import Ratio, best, ratio
from benchmarks.workloads import WORKLOADS
from portable_nn.cli.console import table
from portable_nn.kernels.fast import _processor

__all__ = ["compared", "heading", "machine", "text", "versions", "write"]

Times = Mapping[str, Mapping[str, list[float]]]
"""Seconds of a step, by workload, contestant and round."""

_PACKAGES = (
    "portable-nn",
    "numpy",
    "torch",
    "jax",
    "jaxlib",
    "cupy",
    "scikit-learn",
    "keras",
    "numba",
    "mkl",
    "tensorflow",
)


def compared(times: Mapping[str, list[float]], ours: str, other: str) -> tuple[Ratio, str] | None:
    """Return the ratio of the times of `ours` to those of another, and the other's label.

    `other` is a label, or "best peer": the peer with the least median. None where one of the two is missing.
    """
    peers = {name: values for name, values in times.items() if CONTESTANTS[name].kind == "peer"}
    labels = {CONTESTANTS[name].label: name for name in times}
    name = best(peers) if other == "best peer" else labels.get(other)
    if name is None or ours not in times:
        return None
    return ratio(times[ours], times[name]), CONTESTANTS[name].label


def text(times: Times, title: str) -> str:
    """Return the medians in microseconds, and below them the ratios."""
    shown = {name: columns for name, columns in times.items() if columns}
    names = [name for name in CONTESTANTS if any(name in columns for columns in shown.values())]
    medians = [[f"microseconds a step, {title}", *shown]]
    for name in names:
        medians.append([CONTESTANTS[name].label, *(_median(columns.get(name)) for columns in shown.values())])
    ratios = [["ratio: median (quartiles)", *shown], *_ratios(shown, names)]
    legend = [f"{name}: {WORKLOADS[name]}" for name in shown]
    if "limit" in names:
        legend.append("limit: the matrix products alone, on NumPy's BLAS, and one copy over the optimizer's arrays")
    return "\n".join([table(medians, ">"), "", table(ratios, ">"), "", *legend])


def _median(values: list[float] | None) -> str:
    return "" if values is None else f"{1e6 * statistics.median(values):,.1f}"


def _ratios(times: Times, names: list[str]) -> list[list[str]]:
    """Return a row for each of ours and what it is compared with."""
    pairs = [
        (name, other)
        for name in names
        if CONTESTANTS[name].kind == "ours"
        for other in ("best peer", CONTESTANTS["notes"].label, CONTESTANTS["limit"].label)
    ] + [("fit", CONTESTANTS["steps"].label)]
    rows = []
    for name, other in pairs:
        cells = [compared(columns, name, other) for columns in times.values()]
        if any(cells):
            label = f"{CONTESTANTS[name].label} / {other}"
            rows.append([label, *("" if cell is None else str(cell[0]) for cell in cells)])
    bests = [compared(columns, next(iter(columns)), "best peer") for columns in times.values()]
    if any(bests):
        rows.append(["the best peer", *("" if cell is None else cell[1] for cell in bests)])
    return rows


def write(folder: Path, times: Mapping[int, Times], **more: Any) -> Path:
    """Write all as JSON, with machine and versions, into a new file named by the time; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y-%m-%d-%H%M%S')}.json"
    content = {"machine": machine(), "versions": versions(), **more, "seconds": times}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def machine() -> dict[str, Any]:
    """Return what the processor and the system say of themselves."""
    return {
        "processor": _processor.description(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def heading() -> str:
    """Return the line that says where the tables below it were measured, and with what."""
    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{_processor.description()}; {os.cpu_count()} cores; {found}"


def versions() -> dict[str, str]:
    """Return the versions of Python, of NumPy's BLAS and of the packages that are installed."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    found = {"Python": platform.python_version(), "BLAS": f"{blas['name']} {blas['version']}"}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
