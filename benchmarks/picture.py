"""One picture of all: the time of a step over the machine's limit, by workload, contestant and number of threads."""

import statistics
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.contestants import CONTESTANTS
from benchmarks.report import Times
from benchmarks.workloads import WORKLOADS

__all__ = ["draw"]

_TICKS = (0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12, 20, 40, 100, 200)
_MARKS = {
    "ours-numpy": ("o", "#c1121f"),
    "ours-numba": ("h", "#c1121f"),
    "ours-mkl": ("d", "#c1121f"),
    "ours-torch": ("s", "#c1121f"),
    "ours-jax": ("^", "#c1121f"),
    "ours-cupy": ("D", "#c1121f"),
    "torch": ("s", "#6c757d"),
    "torch-compile": ("P", "#6c757d"),
    "jax": ("^", "#277da1"),
    "jax-scan": ("v", "#277da1"),
    "sklearn": ("X", "#e09f3e"),
    "keras": ("*", "#90be6d"),
    "notes": ("o", "#adb5bd"),
}


def draw(times: Mapping[int, Times], path: Path) -> bool:
    """Draw a panel for each number of threads; False, and nothing, where no workload has a limit to compare with."""
    panels = {threads: over_limit(columns) for threads, columns in times.items()}
    panels = {threads: rows for threads, rows in panels.items() if rows}
    if not panels:
        return False
    height = 1.9 + 0.6 * max(map(len, panels.values()))
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(1.8 + 4.2 * len(panels), height), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axis, (threads, rows) in zip(axes, panels.items(), strict=True):
            _panel(axis, rows)
            axis.set_title(f"{threads} thread{'s' if threads > 1 else ''}")
            axis.set_xlabel("time of a step / limit of NumPy's BLAS; less is faster")
        seen = [name for name in _MARKS if any(name in row for rows in panels.values() for row in rows.values())]
        handles = [axes[0].plot([], [], **_style(name), label=CONTESTANTS[name].label)[0] for name in seen]
        figure.legend(handles=handles, loc="outside lower center", ncols=3 * len(panels), frameon=False)
        figure.savefig(path, dpi=150)
    return True


def over_limit(columns: Times) -> dict[str, dict[str, float]]:
    """Return the median of each contestant over the limit's, by workload."""
    return {
        workload: {name: statistics.median(values) / statistics.median(row["limit"]) for name, values in row.items()}
        for workload, row in columns.items()
        if "limit" in row
    }


def _panel(axis, rows: dict[str, dict[str, float]]) -> None:
    for height, row in enumerate(rows.values()):
        axis.axhspan(height - 0.5, height + 0.5, color="black", alpha=0.04 * (height % 2), linewidth=0)
        names = [name for name in _MARKS if name in row]
        for i, name in enumerate(names):  # one a little below the other, so that none hides another
            axis.plot(row[name], height + 0.7 * ((i + 0.5) / len(names) - 0.5), **_style(name))
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(_TICKS))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.axvline(1, color="black", linewidth=1)
    axis.grid(axis="x", alpha=0.3)
    axis.set_yticks(range(len(rows)), [str(WORKLOADS[name]).replace(", ", "\n", 1) for name in rows], fontsize=7.5)
    axis.set_ylim(len(rows) - 0.5, -0.5)


def _style(name: str) -> dict[str, object]:
    marker, colour = _MARKS[name]
    ours = CONTESTANTS[name].kind == "ours"
    return {
        "marker": marker,
        "color": colour,
        "markerfacecolor": colour if ours else "none",
        "markersize": 6 if ours else 5,
        "linestyle": "none",
    }
