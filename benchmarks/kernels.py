"""Each fast kernel beside its portable namesake: `python -m benchmarks.kernels`.

One line a fast kernel: median microseconds, portable and fast, over a range of sizes, and the size from which the fast
one wins. Both are timed in turns in one run, in float32, with one BLAS thread.
"""

import importlib
import itertools
import pkgutil
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import portable_nn as pnn
from benchmarks.threads import one_thread
from portable_nn.arrays import move
from portable_nn.errors import BackendError, MissingExtraError
from portable_nn.kernels import PORTABLE, Donating, Kernels, fast, kernels_for
from portable_nn.training.pure_step import pure_step

ROUNDS = 31
SECONDS = 0.002  # the least that one measurement takes, by repeating short calls

Call = Callable[[], Any]


def elementwise(kernel: str, arguments: int, kernels: Kernels, place: pnn.Place, size: int, *numbers: Any) -> Call:
    """Return a call of a kernel that takes arrays of one shape, and numbers after them."""
    rng = np.random.default_rng(0)
    arrays = [place.asarray(rng.standard_normal(size)) for _ in range(arguments)]
    return partial(getattr(kernels, kernel), *arrays, *numbers)


def layer(kernel: str, kernels: Kernels, place: pnn.Place, size: int) -> Call:
    """Return a call of a kernel of the affine layer or of a loss: 100 samples, `size` inputs and outputs."""
    rng = np.random.default_rng(0)
    x, dy, W = (place.asarray(rng.standard_normal(shape)) for shape in ((100, size), (100, size), (size, size)))
    b, labels = place.asarray(rng.standard_normal(size)), place.asarray(rng.integers(0, size, 100), place.index_dtype)
    arguments = {
        "affine": (x, W, b),
        "affine_gradient_x": (dy, W, (100, size)),
        "affine_gradient_W": (dy, x),
        "affine_gradient_b": (dy,),
        "dropout_mask": (x, 0.2, (1, 2), 1),
        "gaussian_noise": (x, 0.2, (1, 2), 1),
        "softmax_loss": (x, labels, 0.01, None, 0.0),
        "sigmoid_loss": (x, dy, 0.01),
        "class_share": (labels, b),
        "class_total": (labels, b),
        "mean_scale": (b, b),
        "total": (b,),
        **dict.fromkeys(("absolute_error", "log_cosh_error", "poisson_error", "squared_error"), (x, dy, 0.01)),
        **dict.fromkeys(("hinge_loss", "squared_hinge_loss"), (x, dy, 0.01)),
        "huber_error": (x, dy, 0.01, 1.0),
        "quantile_error": (x, dy, 0.01, b),
        "sigmoid_focal_loss": (x, dy, 0.01, 2.0, 0.25, 0.75),
    }
    if kernel == "softmax_loss_gradient":
        return partial(kernels.softmax_loss_gradient, 1.0, kernels.softmax_loss(*arguments["softmax_loss"])[1])
    if kernel.endswith(("loss_gradient", "error_gradient")):
        return partial(getattr(kernels, kernel), 1.0, *arguments[kernel.removesuffix("_gradient")])
    return partial(getattr(kernels, kernel), *arguments[kernel])


def training_step(kernels: Kernels, place: pnn.Place, size: int, micro_batches: int = 1) -> Call:
    """Return a call of one step of Adam: 100 samples, `size` inputs, two hidden layers as wide, 10 classes."""
    (network, *batch), optimizer = _network(place, size), pnn.Adam()
    step = kernels.compile_step(pure_step(network, optimizer, micro_batches, kernels.accumulate))
    numbers = optimizer.numbers()
    state: list[Any] = [network.arrays(), optimizer.slots_of(list(network.trainable()), network.arrays())]

    def call() -> Any:
        *state[:], (loss, _) = step(*state, *batch, None, (0, 0), numbers)
        return loss

    return call


def one_pass(kernels: Kernels, place: pnn.Place, size: int) -> Call:
    """Return a call of a forward pass: 100 samples, `size` inputs, two hidden layers as wide, 10 classes."""
    network, x, _ = _network(place, size)
    run, params = network.run(), network.arrays()
    function = kernels.compile_pass(lambda params, x: network.forward_walk(run, params, x)[0])
    return partial(function, params, x)


def many_steps(kernels: Kernels, place: pnn.Place, size: int) -> Call:
    """Return a call of 10 steps like those of `training_step`, one after the other."""
    network, x, t = _network(place, size)
    optimizer = pnn.Adam()
    steps = kernels.compile_steps(pure_step(network, optimizer))
    state: list[Any] = [network.arrays(), optimizer.slots_of(list(network.trainable()), network.arrays())]
    orders, more = np.tile(np.arange(100), (10, 1)), ([(0, 0)] * 10, [optimizer.numbers()] * 10)

    def call() -> Any:
        *state[:], (losses, _) = steps(*state, [x, t, None], orders, *more)
        return losses

    return call


def _network(place: pnn.Place, size: int) -> tuple[pnn.Sequential, Any, Any]:
    layers = [pnn.Affine(size, size), pnn.ReLU(), pnn.Affine(size, size), pnn.ReLU(), pnn.Affine(size, 10)]
    network = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0).to(place.xp, device=place.device)
    rng = np.random.default_rng(0)
    return network, *network.batch(rng.standard_normal((100, size)), rng.integers(0, 10, 100))[:2]


def gathering(kernels: Kernels, place: pnn.Place, size: int) -> Call:
    """Return a call that gathers 100 random rows of 784 numbers from `size`, into kept memory if it can."""
    rng, gather = np.random.default_rng(0), Donating(kernels.gather)
    x = place.asarray(rng.random((size, 784), dtype=np.float32))
    orders = itertools.cycle(
        [place.asarray(rng.permutation(size)[:100], place.index_dtype) for _ in range(min(size // 100, 50))]
    )
    return lambda: gather([x], next(orders))[0]


def feeding(kernels: Kernels, place: pnn.Place, size: int) -> Call:
    """Return a call that moves 1,000 random rows of `size` numbers from the host to the place."""
    rng, feed = np.random.default_rng(0), kernels.feeder(place.device)
    x, order = rng.random((2_000, size), dtype=np.float32), rng.permutation(2_000)[:1_000]
    return lambda: move(feed(x, order), place)


def packed(kernels: Kernels, place: pnn.Place, size: int) -> Call:
    """Return a call of the products of a layer whose weights were packed: 100 samples, `size` inputs, 50 outputs."""
    rng = np.random.default_rng(0)
    values = place.asarray(rng.standard_normal((size, 50)))
    x, (W, dW) = place.asarray(rng.standard_normal((100, size))), kernels.pack([values, values])[1]
    quick = kernels_for(place.xp)
    y, dx = quick.affine(x, W, None), quick.affine_gradient_x(quick.affine(x, W, None), W, x.shape)

    def call() -> Any:
        quick.affine(x, W, None, out=y)
        quick.affine_gradient_W(y, x, out=dW)
        return quick.affine_gradient_x(y, W, x.shape, out=dx)

    return call


def embedded(kernel: str, kernels: Kernels, place: pnn.Place, size: int) -> Call:
    """Return a call of a kernel of the embedding: 3,200 uses of `size` rows of 64 numbers."""
    W, dy, x = _embedding(place, size)
    return (
        partial(kernels.embedding, W, x)
        if kernel == "embedding"
        else partial(kernels.embedding_gradient, dy, x, size, None)
    )


def torchs_embedding(kernel: str, size: int) -> Call:
    """Return the same call of torch's own function, or of its backward pass; ImportError without torch."""
    torch: Any = importlib.import_module("torch")
    W, dy, x = _embedding(pnn.Place("torch"), size)
    if kernel == "embedding":
        return partial(torch.nn.functional.embedding, x, W)
    W.requires_grad_()
    y = torch.nn.functional.embedding(x, W)
    return lambda: torch.autograd.grad(y, W, dy, retain_graph=True)[0]


def _embedding(place: pnn.Place, size: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    W, dy = place.asarray(rng.standard_normal((size, 64))), place.asarray(rng.standard_normal((32, 100, 64)))
    return W, dy, place.asarray(rng.integers(0, size, (32, 100)), place.index_dtype)


def normalized(kernel: str, kernels: Kernels, place: pnn.Place, size: int) -> Call:
    """Return a call of a kernel of a norm: 100 rows of `size` numbers or channels."""
    rng, norm = np.random.default_rng(0), kernel.removesuffix("_gradient")
    x, dy = (place.asarray(rng.standard_normal((100, size))) for _ in range(2))
    count = {"batch_norm": 4, "normalize": 4, "rms_norm": 1}.get(norm, 2)
    arrays = [place.asarray(rng.uniform(0.5, 1.5, size)) for _ in range(count)]
    numbers = {"batch_norm": (0.1, 1e-5), "group_norm": (2, 1e-5)}.get(norm, (1e-5,))
    if kernel == norm:
        return partial(getattr(kernels, kernel), x, *arrays, *numbers)
    if norm == "normalize":
        return partial(kernels.normalize_gradient, dy, x, arrays[0], *arrays[2:], *numbers)
    saved = getattr(PORTABLE, norm)(x, *arrays, *numbers)[1:3]
    return partial(getattr(kernels, kernel), dy, x, *saved, arrays[0])


def _with_number(kernel: str, kernels: Kernels, place: pnn.Place, size: int) -> Call:
    return elementwise(kernel, 2 if kernel.endswith(("gradient", "scaled")) else 1, kernels, place, size, 0.1)


def rows(kernel: str, kernels: Kernels, place: pnn.Place, size: int) -> Call:
    """Return a call of a kernel over the rows of matrices of `size` columns: 100 rows, and axis 1."""
    rng = np.random.default_rng(0)
    arrays = [place.asarray(rng.standard_normal((100, size))) for _ in range(1 + kernel.endswith("gradient"))]
    return partial(getattr(kernels, kernel), *arrays, 1)


def _between(kernel: str, kernels: Kernels, place: pnn.Place, size: int) -> Call:
    return elementwise(kernel, 2 if kernel.endswith("gradient") else 1, kernels, place, size, -1.0, 1.0)


_SIZES = "elements", (100, 1_000, 10_000, 100_000, 1_000_000)

# How each fast kernel is called, what its size counts, and the sizes.
CONTESTS: dict[str, tuple[Callable[[Kernels, pnn.Place, int], Call], str, tuple[int, ...]]] = {
    "accumulate": (partial(training_step, micro_batches=4), "units a layer", (16, 64, 256)),
    "compile_step": (training_step, "units a layer", (16, 64, 256, 1024)),
    "compile_pass": (one_pass, "units a layer", (16, 64, 256, 1024)),
    "compile_steps": (many_steps, "units a layer", (16, 64, 256)),
    "feeder": (feeding, "numbers a row", (100, 1_000, 10_000)),
    "gather": (gathering, "rows", (1_000, 10_000, 60_000)),
    "rows": (gathering, "rows", (1_000, 10_000, 60_000)),
    **{
        name: (partial(embedded, name), "rows", (10, 100, 1_000, 10_000))
        for name in ("embedding", "embedding_gradient")
    },
    "pack": (packed, "inputs", (50, 784, 2048)),
    **{
        name: (
            partial(elementwise, name, 2 if name.endswith("gradient") or name in ("add", "multiply") else 1),
            *_SIZES,
        )
        for name in (
            *(
                "add",
                "all_finite",
                "gelu",
                "half_squares",
                "gelu_gradient",
                "multiply",
                "relu",
                "relu_gradient",
                "sigmoid",
                "sigmoid_gradient",
            ),
            *("silu", "silu_gradient", "softplus", "softplus_gradient", "tanh", "tanh_gradient"),
            *("gelu_tanh", "gelu_tanh_gradient", "mish", "mish_gradient", "selu", "selu_gradient"),
            *("hard_sigmoid", "hard_sigmoid_gradient", "hard_swish", "hard_swish_gradient"),
            *("softsign", "softsign_gradient"),
        )
    },
    **{
        name: (partial(_with_number, name), *_SIZES)
        for name in ("add_scaled", "celu", "celu_gradient", "elu", "elu_gradient", "leaky_relu", "leaky_relu_gradient")
    },
    **{
        name: (partial(rows, name), "columns", (10, 100, 1_000, 10_000))
        for name in ("glu", "log_softmax", "log_softmax_gradient", "softmax", "softmax_gradient")
    },
    **{name: (partial(_between, name), *_SIZES) for name in ("hard_tanh", "hard_tanh_gradient")},
    **{
        name + end: (partial(normalized, name + end), "numbers", (32, 512, 2048))
        for name in ("batch_norm", "group_norm", "layer_norm", "normalize", "rms_norm")
        for end in ("", "_gradient")
    },
    **{
        name: (partial(layer, name), "units", (10, 50, 512, 2048))
        for name in (
            *(
                "affine",
                "affine_gradient_W",
                "affine_gradient_b",
                "affine_gradient_x",
                "dropout_mask",
                "gaussian_noise",
            ),
            *("sigmoid_loss", "sigmoid_loss_gradient", "softmax_loss", "softmax_loss_gradient"),
            *("squared_error", "squared_error_gradient", "absolute_error", "absolute_error_gradient"),
            *("huber_error", "huber_error_gradient", "poisson_error", "poisson_error_gradient"),
            *("hinge_loss", "hinge_loss_gradient", "squared_hinge_loss", "squared_hinge_loss_gradient"),
            *("log_cosh_error", "log_cosh_error_gradient", "quantile_error", "quantile_error_gradient"),
            *("sigmoid_focal_loss", "sigmoid_focal_loss_gradient"),
            *("class_share", "class_total", "mean_scale", "total"),
        )
    },
}

PEERS: dict[str, Callable[[str, int], Call]] = dict.fromkeys(("embedding", "embedding_gradient"), torchs_embedding)
"""What else does what some kernels do: torch's own functions, timed in the same turns."""


def finish(array: Any) -> None:
    """Wait until an array, or the first of several, is there: some backends return before it is."""
    while isinstance(array, tuple):
        array = array[0]
    if hasattr(array, "block_until_ready"):
        array.block_until_ready()
    elif hasattr(array.device, "synchronize"):
        array.device.synchronize()


def seconds(call: Call, repeats: int) -> float:
    """Return the seconds that one call takes, the mean of `repeats` of them."""
    start = time.perf_counter()
    for _ in range(repeats):
        finish(call())
    return (time.perf_counter() - start) / repeats


def contest(*calls: Call) -> list[float]:
    """Return the median microseconds of calls, timed in turns."""
    for call in calls:
        seconds(call, 3)  # compiles, and fills the caches
    repeats = [max(1, int(SECONDS / seconds(call, 1))) for call in calls]
    rounds = [[seconds(*each) for each in zip(calls, repeats, strict=True)] for _ in range(ROUNDS)]
    return [1e6 * statistics.median(times) for times in zip(*rounds, strict=True)]


def winning_size(times: dict[int, list[float]]) -> int | None:
    """Return the size from which on the second time is always below the first; None if it is not at the last."""
    winner = None
    for size, (portable, quick, *_) in sorted(times.items(), reverse=True):
        if quick >= portable:
            break
        winner = size
    return winner


def line(backend: str, kernel: str) -> str:
    """Return the line of one fast kernel."""
    prepare, unit, sizes = CONTESTS[kernel]
    place = pnn.Place(backend)
    kernels = kernels_for(place.xp)
    ours = {size: (prepare(PORTABLE, place, size), prepare(kernels, place, size)) for size in sizes}
    times = {size: contest(*calls, *_peer(kernel, size)) for size, calls in ours.items()}
    winner = winning_size(times)
    verdict = "never wins" if winner is None else f"wins from {winner:,} {unit}"
    cells = "   ".join(
        f"{size:,}: {portable:,.1f} -> {quick:,.1f}" + "".join(f" (torch {time:,.1f})" for time in peers)
        for size, (portable, quick, *peers) in times.items()
    )
    return f"{backend:6} {kernel:14} {verdict:27} {cells}"


def _peer(kernel: str, size: int) -> list[Call]:
    """Return a call of what else does this, if there is such and it is installed."""
    try:
        return [PEERS[kernel](kernel, size)]
    except (KeyError, ImportError):
        return []


def main() -> None:
    print(f"fast kernels, median of {ROUNDS} in us, portable -> fast, by size; float32, one BLAS thread")
    with one_thread():
        for module in pkgutil.iter_modules(fast.__path__):
            backend = module.name
            if backend.startswith("_"):
                continue
            try:
                pnn.Place(backend)
            except (MissingExtraError, BackendError) as error:
                print(f"{backend:6} left out: {error}")
                continue
            for kernel in importlib.import_module(f"{fast.__name__}.{backend}").__all__:
                print(line(backend, kernel), flush=True)


if __name__ == "__main__":
    main()
