"""`portable-nn bench`: how long a training step takes here, by backend and size of the network."""

import math
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, cast

from portable_nn import layers, random
from portable_nn.arrays import Place, overflow_unreported
from portable_nn.cli.arguments import count
from portable_nn.cli.console import Commands, say, table
from portable_nn.errors import BackendError, MissingExtraError
from portable_nn.losses import SoftmaxWithLoss
from portable_nn.networks import Sequential
from portable_nn.optimizers import Adam
from portable_nn.training.step import training_step

__all__ = ["add_to"]

_PLACES = (("numpy", None), ("cupy", None), ("torch", None), ("torch", "cuda"), ("jax", None))
_SIZES = ((64, 32, 10), (784, 50, 10), (784, 512, 512, 10), (784, 2048, 2048, 10))
_SECONDS = 0.02  # the least that one measurement takes, by repeating short steps

Run = Callable[[int], Any]
"""Takes as many steps, and waits for the last."""


def add_to(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "bench",
        help="find the fastest backend",
        description="Time training steps (Adam, ReLU, softmax, float32) of networks of several sizes on every backend "
        "that is installed and answers, in turns, and say which backend is the fastest for which size. Each one uses "
        "as many threads as it does by itself; where other programs run, that can be far slower than one thread.",
    )
    parser.set_defaults(command=bench)
    parser.add_argument("--batch-size", type=count, default=100, metavar="N", help="(default: 100)")
    parser.add_argument("--rounds", type=count, default=9, metavar="N", help="measurements of each (default: 9)")


def bench(options: Namespace) -> int:
    """Print a table of microseconds, and the fastest backend for each size."""
    places = _places()
    say(f"training steps, batches of {options.batch_size:,}: microseconds, median of {options.rounds}")
    rows = [("network", "parameters", *places, "fastest")]
    fastest: list[tuple[str, str]] = []
    for sizes in _SIZES:
        times = _times([_run(sizes, place, options.batch_size) for place in places.values()], options.rounds)
        best = min(zip(times, places, strict=True))[1]
        name, parameters = "-".join(map(str, sizes)), sum((i + 1) * o for i, o in pairwise(sizes))
        rows.append((name, f"{parameters:,}", *(f"{1e6 * seconds:,.0f}" for seconds in times), best))
        fastest.append((best, name))
    say(table(rows, ">"))
    say("\n".join(["", *_advice(fastest)]))
    return 0


def _places() -> dict[str, Place]:
    """Return the places that answer, by backend, and by device too where that is not the backend's own choice."""
    places: dict[str, Place] = {}
    for backend, device in _PLACES:
        try:
            places[" ".join(filter(None, (backend, device)))] = Place(backend, device)
        except (MissingExtraError, BackendError):
            continue
    return places


def _run(sizes: Sequence[int], place: Place, batch_size: int) -> Run:
    stack: list[layers.Layer] = []
    for inputs, outputs in pairwise(sizes):
        stack += [layers.Affine(inputs, outputs), layers.ReLU()]
    network = Sequential(*stack[:-1], loss=SoftmaxWithLoss(), seed=0, xp=place.xp, device=place.device)
    step, rng = training_step(network, Adam()), cast(Any, random.generator(0, "bench"))
    x, t, _ = network.batch(rng.standard_normal((batch_size, sizes[0])), rng.integers(0, sizes[-1], batch_size))

    def run(steps: int) -> None:
        loss: Any = math.nan
        for _ in range(steps):
            loss = step(x, t)
        float(loss)

    return run


def _times(runs: Sequence[Run], rounds: int) -> list[float]:
    """Return the median seconds of a step of each, timed in turns."""
    with overflow_unreported():
        for run in runs:
            run(2)  # compiles, and fills the caches
        repeats = [max(1, math.ceil(_SECONDS / _seconds(run, 1))) for run in runs]
        measured = [[_seconds(*each) for each in zip(runs, repeats, strict=True)] for _ in range(rounds)]
    return [statistics.median(times) for times in zip(*measured, strict=True)]


def _seconds(run: Run, steps: int) -> float:
    """Return the seconds of a step, the mean of as many."""
    started = time.perf_counter()
    run(steps)
    return (time.perf_counter() - started) / steps


def _advice(fastest: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each backend that is the fastest for some networks."""
    best: dict[str, list[str]] = {}
    for backend, network in fastest:
        best.setdefault(backend, []).append(network)
    return [f"{backend} is the fastest here for {', '.join(networks)}" for backend, networks in best.items()]
