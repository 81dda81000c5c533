"""What portable_nn costs beside time: the peak memory of training steps, and the time of its import."""

import dataclasses
import itertools
import statistics
import subprocess
import sys
import tracemalloc

from benchmarks.rounds import Process
from benchmarks.workloads import WORKLOADS

__all__ = ["import_seconds", "lines", "measure", "memory", "needed"]

_WORKLOAD = dataclasses.replace(WORKLOADS["W5"], samples=2 * WORKLOADS["W5"].batch)
_IMPORT = "import time, numpy; s = time.perf_counter(); import portable_nn; print(time.perf_counter() - s)"


def measure() -> dict[str, float]:
    """Return bytes and seconds, measured in fresh processes."""
    process = Process("ours-numpy", 1)
    try:
        peak = process.ask("memory")["peak"]
    finally:
        process.close()
    return {"peak bytes": peak, "needed bytes": needed(), "import seconds": import_seconds()}


def lines(measured: dict[str, float]) -> list[str]:
    """Return what was measured in two lines."""
    peak, least = measured["peak bytes"], measured["needed bytes"]
    return [
        f"peak memory of W5: {peak / 1e6:.1f} MB, {peak / least:.2f} times the {least / 1e6:.1f} MB of parameters, "
        "gradients, Adam's two slots and one batch of activations",
        f"import of portable_nn after NumPy: {1e3 * measured['import seconds']:.0f} ms",
    ]


def needed() -> int:
    """Return the bytes of parameters, gradients, two slots and one batch of every layer's outputs."""
    activations = _WORKLOAD.batch * sum(_WORKLOAD.sizes[1:])
    return 4 * (4 * _WORKLOAD.parameters + activations)


def memory() -> dict[str, int]:
    """Return the peak of what NumPy and Python allocate, in this process, for the network and some steps of training.

    The data are not counted, nor what building the network needs for a moment.
    """
    from benchmarks.contestants.ours import network_of, optimizer_of
    from portable_nn.training.step import training_step

    x, t = _WORKLOAD.data()
    tracemalloc.start()
    step = training_step(network_of(_WORKLOAD), optimizer_of(_WORKLOAD), compile=False)
    tracemalloc.reset_peak()
    for cut in itertools.islice(_WORKLOAD.cuts(), 4):
        step(x[cut], t[cut])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"peak": peak}


def import_seconds(rounds: int = 7) -> float:
    """Return the median seconds of importing portable_nn where NumPy is imported, in fresh processes."""
    command = [sys.executable, "-c", _IMPORT]
    subprocess.run(command, check=True, capture_output=True)  # writes the bytecode
    return statistics.median(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(rounds)
    )
