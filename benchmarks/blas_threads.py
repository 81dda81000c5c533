"""How long an epoch takes on one thread of BLAS, on two, and on as many as the library chooses: alone and beside work.

    python -m benchmarks.blas_threads [ROUNDS]

Beside the epochs of the second table another process keeps a core busy. No rule that goes by sizes can win both.
"""

import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np

import portable_nn as pnn
from portable_nn.kernels.fast import _processor

WORK = {  # widths, batch size, samples
    "digits, 64-128-10": ((64, 128, 10), 32, 1438),
    "W1, 784-50-10": ((784, 50, 10), 100, 6000),
    "20,190 x 9, 64-64": ((9, 64, 64, 2), 200, 20190),
    "20,190 x 9, 512-512": ((9, 512, 512, 2), 200, 20190),
    "W4, 784-512-512-10": ((784, 512, 512, 10), 128, 6000),
}
CHOICES = 1, 2, "auto"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print(f"{_processor.description()}; NumPy {np.__version__}; milliseconds an epoch, medians of {rounds} in turn")
    for where, busy in (("alone", False), ("beside a busy process", True)):
        print(f"\n{where:24}" + "".join(f"{f'{c} threads':>12}" for c in CHOICES) + "  chosen / best")
        with beside_work() if busy else alone():
            for name, (widths, batch, samples) in WORK.items():
                times = epochs(widths, batch, samples, rounds)
                ratio = times["auto"] / min(times.values())
                print(f"{name:24}" + "".join(f"{times[c] * 1e3:12.1f}" for c in CHOICES) + f"  {ratio:.2f}", flush=True)


def epochs(widths: tuple[int, ...], batch: int, samples: int, rounds: int) -> dict[int | str, float]:
    """Return the median time of an epoch by choice."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((samples, widths[0])).astype("float32"), rng.integers(0, widths[-1], samples)
    trainers = {choice: pnn.Trainer(network(widths), pnn.Adam(), threads=choice) for choice in CHOICES}
    times: dict[int | str, list[float]] = {choice: [] for choice in CHOICES}
    for _ in range(rounds + 1):  # the first warms up
        for choice, trainer in trainers.items():
            begin = time.perf_counter()
            trainer.fit(x, t, epochs=1, batch_size=batch, progress=False)
            times[choice].append(time.perf_counter() - begin)
    return {choice: statistics.median(values[1:]) for choice, values in times.items()}


def network(widths: tuple[int, ...]) -> pnn.Sequential:
    layers = [part for i, o in pairwise(widths) for part in (pnn.Affine(i, o), pnn.ReLU())]
    return pnn.Sequential(*layers[:-1], loss=pnn.SoftmaxWithLoss(), seed=0)


@contextmanager
def alone() -> Iterator[None]:
    yield


@contextmanager
def beside_work() -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=spin, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def spin() -> None:
    while True:
        sum(range(100_000))


if __name__ == "__main__":
    main()
