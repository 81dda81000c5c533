"""Normalization forward and backward, beside PyTorch's eager one: `python -m benchmarks.norms`.

One line a norm and shape, in float32 and on one thread: what the kernels of each backend take, as a plan calls them,
and what PyTorch takes with autograd, in turns in one run. A ratio is that of the medians. Times are those of the
processor for this process, so that the work of others beside it is not counted.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import portable_nn as pnn
from benchmarks.threads import one_thread
from portable_nn.kernels import Kernels, kernels_for
from portable_nn.kernels.donation import takes_out
from portable_nn.kernels.fast import _processor

ROUNDS = 41
SHAPES = [(128, 512), (32, 64, 28, 28)]
EPSILON = 1e-5

Call = Callable[[], Any]
functional: Any = torch.nn.functional

# Each norm by its kernel: what follows x, gamma and beta, how many results the backward pass needs, and torch's.
NORMS: dict[str, tuple[Callable[[int], tuple[Any, ...]], int, Callable[..., Any]]] = {
    "batch_norm": (
        lambda channels: (0.1, EPSILON),
        2,
        lambda x, gamma, beta, *states: functional.batch_norm(x, *states, gamma, beta, True, 0.1, EPSILON),
    ),
    "layer_norm": (
        lambda channels: (EPSILON,),
        2,
        lambda x, gamma, beta: functional.layer_norm(x, gamma.shape, gamma, beta, EPSILON),
    ),
    "rms_norm": (
        lambda channels: (EPSILON,),
        1,
        lambda x, gamma: functional.rms_norm(x, gamma.shape, gamma, EPSILON),
    ),
    "group_norm": (
        lambda channels: (32, EPSILON),
        2,
        lambda x, gamma, beta: functional.group_norm(x, 32, gamma, beta, EPSILON),
    ),
}


def arrays(norm: str, shape: tuple[int, ...]) -> tuple[Any, Any, list[Any]]:
    """Return x, dy, and the parameters and states of a norm: of the last axes, or of the channels."""
    rng = np.random.default_rng(0)
    lying = shape[1:] if norm in ("layer_norm", "rms_norm") else shape[1:2]
    count = {"batch_norm": 4, "rms_norm": 1}.get(norm, 2)
    given = [rng.standard_normal(shape) for _ in range(2)] + [rng.uniform(0.5, 1.5, lying) for _ in range(count)]
    x, dy, *others = (array.astype(np.float32) for array in given)
    return x, dy, others


def eager(norm: str, shape: tuple[int, ...]) -> Call:
    """Return a call of torch's forward and backward passes."""
    x, dy, others = arrays(norm, shape)
    x, dy, *others = map(torch.tensor, (x, dy, *others))
    wanted = x, *others[:2]
    for tensor in wanted:
        tensor.requires_grad_()
    return lambda: torch.autograd.grad(NORMS[norm][2](x, *others), wanted, dy)


def passes(kernels: Kernels, norm: str, place: pnn.Place) -> Callable[..., Any]:
    """Return the two passes of a backend, into the memory of the call before where the kernels can use it."""
    forward, backward = getattr(kernels, norm), getattr(kernels, f"{norm}_gradient")
    numbers, needed, _ = NORMS[norm]
    kept: dict[Any, Any] = {}

    def call(kernel: Any, *arguments: Any) -> Any:
        if not takes_out(kernel):
            return kernel(*arguments)
        kept[kernel] = kernel(*arguments, out=kept.get(kernel))
        return kept[kernel]

    def both(x: Any, dy: Any, others: list[Any]) -> Any:
        y, *saved = call(forward, x, *others, *numbers(x.shape[1]))
        return y, call(backward, dy, x, *saved[:needed], others[0])

    if place.xp.__name__ == "jax.numpy":
        return kernels.compile_pass(both)
    return both


def contestants(norm: str, shape: tuple[int, ...]) -> Iterator[tuple[str, Call]]:
    """Yield torch's passes, and ours on each backend that is installed."""
    yield "torch eager", eager(norm, shape)
    for name, backend in (("NumPy", "numpy"), ("NumPy, numba", "numpy"), ("torch", "torch"), ("JAX", "jax")):
        try:
            place = pnn.Place(backend)
            kernels = kernels_for(place.xp)
            kernels = kernels.compiled() if "numba" in name else kernels
        except pnn.MissingExtraError:
            continue
        x, dy, others = arrays(norm, shape)
        given = place.asarray(x), place.asarray(dy), [place.asarray(array) for array in others]
        yield name, _waiting(passes(kernels, norm, place), given)


def _waiting(function: Callable[..., Any], given: tuple[Any, ...]) -> Call:
    def call() -> None:
        dx = function(*given)[1][0]
        if hasattr(dx, "block_until_ready"):
            dx.block_until_ready()

    return call


def medians(calls: list[Call]) -> list[float]:
    """Return the median microseconds of each call, timed in turns."""
    rounds: list[list[float]] = []
    for _ in range(ROUNDS + 3):
        times: list[float] = []
        for call in calls:
            start = time.process_time()
            call()
            times.append(1e6 * (time.process_time() - start))
        rounds.append(times)
    return [statistics.median(times) for times in zip(*rounds[3:], strict=True)]


def main() -> None:
    torch.set_num_threads(1)
    print(f"{_processor.description()}; NumPy {np.__version__}, torch {torch.__version__}; one thread, float32")
    print(f"Forward and backward: processor time in microseconds, medians of {ROUNDS} in turn (ratio to torch's)")
    with one_thread():
        for norm in NORMS:
            for shape in SHAPES:
                names, calls = zip(*contestants(norm, shape), strict=True)
                first, *ours = medians(list(calls))
                cells = [f"{n} {t:8,.0f} ({t / first:.2f})" for n, t in zip(names[1:], ours, strict=True)]
                print(f"{norm:10} {shape!s:16} torch eager {first:8,.0f}   {'   '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
