"""Predicting on JAX beside a forward pass written by hand and jitted, from the same inputs, in one process.

Usage: python -m benchmarks.predicting

Each call is waited for, and calls take turns in an order drawn anew each time; medians of all. One thread computes.
"""

import os
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

WIDTHS = (784, 50, 10)
CALLS = {1: 4000, 100: 1000, 10_000: 31}
"""How often each is called, by the rows of a batch."""


def main() -> None:
    """Print a row for each number of rows and kind of input."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    import jax
    import numpy as np

    import portable_nn as pnn

    layers = pnn.Affine(*WIDTHS[:2]), pnn.ReLU(), pnn.Affine(*WIDTHS[1:])
    network = pnn.Sequential(*layers, seed=0, xp="jax")
    params = network.arrays()

    @jax.jit
    def by_hand(params: Any, x: Any) -> Any:
        W1, b1, W2, b2 = params
        return jax.numpy.maximum(x @ W1 + b1, 0.0) @ W2 + b2

    print(f"{'-'.join(map(str, WIDTHS))}, JAX {jax.__version__}, microseconds a call, medians in turns")
    print(f"{'rows':>6}  {'x is of':<7}  {'predict':>9}  {'jitted by hand':>14}  ratio")
    for rows, calls in CALLS.items():
        host = np.random.default_rng(0).random((rows, WIDTHS[0]), dtype="float32")
        for kind, x in {"JAX": jax.numpy.asarray(host), "NumPy": host}.items():
            np.testing.assert_allclose(network.predict(x), by_hand(params, x), rtol=1e-4, atol=1e-5)
            ours, theirs = taken([lambda x=x: network.predict(x), lambda x=x: by_hand(params, x)], calls)
            print(f"{rows:>6,}  {kind:<7}  {1e6 * ours:>9.1f}  {1e6 * theirs:>14.1f}  {ours / theirs:5.2f}")


def taken(functions: list[Callable[[], Any]], calls: int) -> list[float]:
    """Return the median seconds of each function, whose result is waited for."""
    seconds: list[list[float]] = [[] for _ in functions]
    order, clock = list(range(len(functions))), time.perf_counter
    for function in functions:
        for _ in range(10):
            function().block_until_ready()
    for _ in range(calls):
        random.shuffle(order)
        for i in order:
            begin = clock()
            function = functions[i]
            function().block_until_ready()
            seconds[i].append(clock() - begin)
    return list(map(statistics.median, seconds))


if __name__ == "__main__":
    main()
