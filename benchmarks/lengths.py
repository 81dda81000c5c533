"""What padding batches of many lengths to a few spares: `python -m benchmarks.lengths`.

One line for each backend and network: seconds for 400 batches of 32 sequences of 1 to 37 positions (JAX: for 100, as it
compiles for each length), in training by batches as they are and by padded ones, and how many plans were recorded or
steps compiled. The last lines are batches of one length, where nothing is padded. float32, one thread.
"""

import importlib.util
import time
from typing import Any

import numpy as np

import portable_nn as pnn
from benchmarks.threads import one_thread
from portable_nn.training import planned_step

BATCHES = {"numpy": 400, "torch": 400, "jax": 100}
ROUNDS = 3


def network(kind: str, xp: str) -> pnn.Sequential:
    """Return a network with a label for each position, or for each sequence."""
    pool = [pnn.Mean(axis=1)] if kind == "sequence" else []
    layers = [pnn.Affine(32, 64), pnn.ReLU(), pnn.Dropout(0.1), *pool, pnn.Affine(64, 10)]
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp)


def batches(kind: str, count: int, length: int | None) -> list[tuple[Any, Any]]:
    """Return batches of one length, or of many."""
    rng, made = np.random.default_rng(0), list[tuple[Any, Any]]()
    for _ in range(count):
        t = int(rng.integers(1, 38)) if length is None else length
        x = rng.standard_normal((32, t, 32)).astype("float32")
        made.append((x, rng.integers(0, 10, (32, t) if kind == "position" else 32)))
    return made


def seconds(kind: str, xp: str, source: list[tuple[Any, Any]], *, pad: bool) -> tuple[float, int]:
    """Return the time of an epoch, the first one, and how many plans or compiled steps it made."""
    recordings, Recorder = list[None](), planned_step.Recorder

    class Counted(Recorder):
        def __init__(self, *arguments: Any, **options: Any):
            recordings.append(None)
            super().__init__(*arguments, **options)

    planned_step.Recorder = Counted
    try:
        trainer = pnn.Trainer(network(kind, xp), pnn.Adam(), compile="auto" if xp == "jax" else False, pad=pad)
        begun = time.perf_counter()
        trainer.fit(source, epochs=1, progress=False)
        elapsed = time.perf_counter() - begun
    finally:
        planned_step.Recorder = Recorder
    step: Any = trainer._step  # pyright: ignore[reportPrivateUsage]  (what is counted there, nobody else needs)
    return elapsed, step._step._cache_size() if xp == "jax" else len(recordings)


def main() -> None:
    """Time both ways in turns, and print the better of the rounds."""
    with one_thread():
        for xp, count in BATCHES.items():
            if importlib.util.find_spec(xp) is None:
                continue
            for kind in ("position", "sequence"):
                for length in (None, 20):
                    source, found = (
                        batches(kind, count, length),
                        dict[bool, list[tuple[float, int]]]({True: [], False: []}),
                    )
                    for _ in range(1 if xp == "jax" and length is None else ROUNDS):
                        for pad, times in found.items():
                            times.append(seconds(kind, xp, source, pad=pad))
                    (padded, few), (plain, many) = min(found[True]), min(found[False])
                    what = "many lengths" if length is None else "one length"
                    print(
                        f"{xp:6} a label for each {kind:9} {what:13} as they are {plain:7.2f} s ({many:3} made)  "
                        f"padded {padded:7.2f} s ({few} made)",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
