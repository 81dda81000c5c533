"""What checkpoints cost: `python -m benchmarks.checkpointing [FOLDER]`.

Epochs of 784-512-512-10 with Adam over 60,000 samples, with a checkpoint after each and without, in turns, with one
BLAS thread. The folder decides which disk it is; a temporary one by default.
"""

import statistics
import sys
import tempfile
import time

import portable_nn as pnn
from benchmarks.contestants.ours import network_of, optimizer_of
from benchmarks.threads import one_thread
from benchmarks.workloads import WORKLOADS

WORKLOAD = WORKLOADS["W8-W4"]
ROUNDS = 7


def main(folder: str | None) -> None:
    x, t = WORKLOAD.data()
    times: dict[bool, list[float]] = {True: [], False: []}
    with one_thread(), tempfile.TemporaryDirectory(dir=folder) as run:
        trainers = {kept: pnn.Trainer(network_of(WORKLOAD), optimizer_of(WORKLOAD)) for kept in times}
        for i in range(ROUNDS + 1):
            for kept, trainer in trainers.items():
                started = time.perf_counter()
                options = {"checkpoint": f"{run}/{i}"} if kept else {}
                trainer.fit(x, t, epochs=1, batch_size=WORKLOAD.batch, progress=False, **options)
                times[kept].append(time.perf_counter() - started)
    ratios = [one / other for one, other in zip(times[True][1:], times[False][1:], strict=True)]
    seconds = {kept: statistics.median(column[1:]) for kept, column in times.items()}
    print(f"an epoch without checkpoints {seconds[False]:.3f} s, with one {seconds[True]:.3f} s")
    print(f"ratio, median of {ROUNDS}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
