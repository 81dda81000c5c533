"""What lower precision saves: `python -m benchmarks.precision`.

Milliseconds of a training step of 784-2048-2048-10 (ReLU, softmax, Adam) on torch, one thread: ours in float32, ours in
bfloat16, and torch itself in both, bfloat16 by `torch.autocast`. All in turns, in one run; medians, and each as a share
of ours in float32. It pays where the processor multiplies bfloat16, which `lscpu` shows as avx512_bf16 or amx_bf16.
"""

import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch as _torch

import portable_nn as pnn
from portable_nn.training.step import training_step

torch: Any = _torch  # its types are in part unknown

ROUNDS, SIZES = 15, (784, 2048, 2048, 10)
BATCHES = (128, 512)
INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")


def ours(dtype: str, x: Any, t: Any) -> Callable[[], object]:
    """Return a warm step of this library."""
    layers = [pnn.Affine(*SIZES[:2]), pnn.ReLU(), pnn.Affine(*SIZES[1:3]), pnn.ReLU(), pnn.Affine(*SIZES[2:])]
    net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp="torch", dtype=dtype)
    step, (data, labels, _) = training_step(net, pnn.Adam()), net.batch(x, t)
    return lambda: float(step(data, labels))


def peer(dtype: str, x: Any, t: Any) -> Callable[[], object]:
    """Return a warm step of torch, as its documentation writes it."""
    layers = [part for i, o in pairwise(SIZES) for part in (torch.nn.Linear(i, o), torch.nn.ReLU())][:-1]
    model, criterion = torch.nn.Sequential(*layers), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    data, labels = torch.from_numpy(x), torch.from_numpy(t)

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = criterion(model(data), labels)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def main() -> None:
    """Time the four in turns."""
    torch.set_num_threads(1)
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = next((line.partition(": ")[2] for line in cpu.splitlines() if line.startswith("model name")), "a processor")
    known = [flag for flag in INSTRUCTIONS if f" {flag} " in f" {cpu} "]
    print(f"torch {torch.__version__}, {name}, bfloat16 instructions: {', '.join(known) or 'none'}")
    rng = np.random.default_rng(0)
    for rows in BATCHES:
        x = rng.random((rows, SIZES[0]), dtype=np.float32)
        t = rng.integers(0, SIZES[-1], rows)
        kinds = {"portable_nn": ours, "torch": peer}
        steps = {(n, d): make(d, x, t) for n, make in kinds.items() for d in ("float32", "bfloat16")}
        times: dict[tuple[str, str], list[float]] = {one: [] for one in steps}
        for step in steps.values():
            step()
            step()
        for _ in range(ROUNDS):
            for one, step in steps.items():
                begun = time.perf_counter()
                step()
                times[one].append(1e3 * (time.perf_counter() - begun))
        least = statistics.median(times["portable_nn", "float32"])
        for (who, dtype), seconds in times.items():
            median = statistics.median(seconds)
            print(f"{rows:4} rows  {who:12} {dtype:9} {median:8.1f} ms  {median / least:5.2f}")


if __name__ == "__main__":
    main()
