"""What a training step asks a GPU to do: `python -m benchmarks.launches`.

Counted on the stand-in for CuPy on the CPU (tests/cupy_on_cpu), beside the operations of PyTorch eager in the same
step. Nothing here is a result of a GPU: counts are not times, and the one time is that of Python alone.
"""

import importlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import portable_nn as pnn
from portable_nn.cli.console import table

__all__ = ["CASES", "Case", "Counted", "count", "count_torch"]

STAND_IN = Path(__file__).parents[1] / "tests" / "cupy_on_cpu"
_BATCHES = 4
_SMALL, _LARGE = (784, 50, 10), (784, 512, 512, 10)


@dataclass(frozen=True)
class Case:
    """A network, its loss and its optimizer, and PyTorch's namesakes of both, if it has them."""

    label: str
    sizes: tuple[int, ...]
    loss: Callable[[], pnn.Loss]
    optimizer: Callable[[], pnn.Optimizer]
    torch_loss: Callable[[Any], Any] | None = None
    torch_optimizer: str = "SGD"
    torch_options: dict[str, Any] = field(default_factory=dict)
    weighted: bool = False
    batch: int = 100

    def data(self, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return x, targets that suit the loss, and weights of the samples if there are to be some."""
        rng = np.random.default_rng(0)
        x = rng.random((rows, self.sizes[0]), dtype=np.float32)
        if isinstance(self.loss(), pnn.SoftmaxWithLoss):
            t = rng.integers(0, self.sizes[-1], rows)
        else:
            t = rng.integers(0, 2, (rows, self.sizes[-1])).astype(np.float32)
        return x, t, rng.random(rows, dtype=np.float32) if self.weighted else None

    def network(self) -> pnn.Sequential:
        """Return the network, on NumPy."""
        layers: list[pnn.Layer] = []
        for inputs, outputs in zip(self.sizes, self.sizes[1:], strict=False):
            layers += [pnn.Affine(inputs, outputs), pnn.ReLU()]
        return pnn.Sequential(*layers[:-1], loss=self.loss(), seed=0)


def _case(label: str, loss: Callable[[], pnn.Loss], torch_loss: Callable[[Any], Any] | None, **more: Any) -> Case:
    return Case(f"784-50-10, {label}, SGD", _SMALL, loss, pnn.SGD, torch_loss, **more)


def _entropy(functional: Any) -> Any:
    return functional.cross_entropy


CASES = (
    _case("softmax", pnn.SoftmaxWithLoss, _entropy),
    Case("784-512-512-10, softmax, Adam", _LARGE, pnn.SoftmaxWithLoss, pnn.Adam, _entropy, "Adam", batch=128),
    Case(
        "784-512-512-10, softmax, Adam, decay and clipping",
        _LARGE,
        pnn.SoftmaxWithLoss,
        lambda: pnn.Adam(weight_decay=1e-4, clip_norm=1.0),
        _entropy,
        "Adam",
        {"weight_decay": 1e-4},
        batch=128,
    ),
    _case("softmax of weighted samples", pnn.SoftmaxWithLoss, None, weighted=True),
    _case("softmax, smoothed", lambda: pnn.SoftmaxWithLoss(label_smoothing=0.1), None),
    _case("softmax, classes weighted", lambda: pnn.SoftmaxWithLoss(class_weight={0: 2.0}), None),
    _case("sigmoid", pnn.SigmoidWithLoss, lambda functional: functional.binary_cross_entropy_with_logits),
    _case("squared error", pnn.MeanSquaredError, lambda functional: functional.mse_loss),
    _case("absolute error", pnn.MeanAbsoluteError, lambda functional: functional.l1_loss),
    _case("Huber", pnn.Huber, lambda functional: functional.huber_loss),
    _case("Poisson", pnn.PoissonLoss, lambda functional: functional.poisson_nll_loss),
    _case("squared error of weighted samples", pnn.MeanSquaredError, None, weighted=True),
    _case("Huber of weighted samples", pnn.Huber, None, weighted=True),
)
"""What is counted; the first three have goals of their own, the others one for all losses."""


@dataclass(frozen=True)
class Counted:
    """What one warm step asks for.

    Attributes
    ----------
    products, kernels, functions : int
        Calls of cuBLAS, launches of our own kernels, and of CuPy's.
    weighing : int
        Launches for what a mean over batches divides by.
    gathers : float
        Launches that `Trainer.fit` adds to all that, with the data on the device.
    allocations, copies_in : float
        Arrays for which it asks the pool, and copies from the host, a step.
    reads : int
        Values for which the step lets the host wait. `fit` reads the losses, of up to 50 steps at a time.
    microseconds : float
        What Python takes for the step, while kernels and products do nothing: see `host_microseconds`.
    """

    products: int
    kernels: int
    functions: int
    weighing: int
    gathers: float
    allocations: float
    copies_in: float
    reads: int
    microseconds: float
    names: dict[str, int]

    @property
    def launches(self) -> int:
        """All of a step, its products among them, the gathering of its batch apart."""
        return self.products + self.kernels + self.functions + self.weighing


def count(case: Case) -> Counted:
    """Return what a step asks for, on whatever `cupy` is: it needs a ledger, which the stand-in has.

    Raises
    ------
    AssertionError
        If two warm steps do not ask for the same.
    """
    from portable_nn.training.step import training_step

    ledger = importlib.import_module("cupy")._ledger
    network = case.network().to("cupy")
    x, t, weight = network.batch(*case.data(case.batch))
    step, run = training_step(network, case.optimizer(), compile=False), network.run()
    counts = []
    for _ in range(5):
        with ledger.counting() as counted:
            step(x, t, weight)
        with ledger.counting() as weighed:
            network.criterion.total_weight(run, t, weight)
        counts.append(counted)
    assert counts[3] == counts[4], "warm steps ask for different things"
    more = _in_training(case)
    return Counted(
        counted.products.total(),
        counted.kernels.total(),
        counted.functions.total(),
        weighed.launches,
        more.launches + more.products - counted.launches - counted.products.total() - weighed.launches,
        more.allocations,
        more.copies_in,
        counted.reads,
        host_microseconds(lambda: step(x, t, weight)),
        dict(counted.kernels + weighed.kernels + counted.functions + weighed.functions),
    )


def host_microseconds(step: Callable[[], Any], steps: int = 50, rounds: int = 9) -> float:
    """Return the time that Python takes for a warm step on the stand-in, while kernels and products do nothing.

    That is the library's own code, up to each call of CuPy, and the stand-in's views and properties of arrays. What
    CuPy itself would take for a call is not in it.
    """
    cupy, raw = importlib.import_module("cupy"), importlib.import_module("cupy.cuda._raw")
    times: list[float] = []
    with mock.patch.object(raw._Function, "__call__", _nothing), mock.patch.object(cupy.ndarray, "dot", _nothing):
        for _ in range(rounds):
            begin = time.thread_time()
            for _ in range(steps):
                step()
            times.append((time.thread_time() - begin) / steps)
    return 1e6 * min(times)


def _nothing(*_: Any) -> None:
    """Do nothing, in the place of work on the device."""


def _in_training(case: Case) -> Any:
    """Return what a step of `Trainer.fit` asks for: by an epoch of data on the device, and one of twice the batches."""
    ledger = importlib.import_module("cupy")._ledger
    network = case.network().to("cupy")
    counts = []
    for batches in (_BATCHES, 2 * _BATCHES):
        x, t, weight = network.batch(*case.data(batches * case.batch))
        trainer = pnn.Trainer(case.network().to("cupy"), case.optimizer())
        options = {"batch_size": case.batch, "sample_weight": weight, "progress": False}
        trainer.fit(x, t, epochs=2, **options)
        with ledger.counting() as counted:
            trainer.fit(x, t, epochs=1, **options)
        counts.append(counted)
    return _Difference(*counts)


class _Difference:
    """What twice as many batches ask for, less what they do, by batch."""

    def __init__(self, few: Any, many: Any):
        more = many.since(few)
        self.launches, self.products = more.launches / _BATCHES, more.products.total() / _BATCHES
        self.copies_in, self.allocations = more.copies_in / _BATCHES, more.allocations / _BATCHES


def count_torch(case: Case) -> int | None:
    """Return how many operations PyTorch eager makes in a step that launch a kernel on a GPU; None without PyTorch.

    They are counted as they reach its dispatcher, below autograd: views and empty memory left out. On a GPU some of
    them launch more than one kernel, none launches none.
    """
    if case.torch_loss is None or importlib.util.find_spec("torch") is None:
        return None
    import torch
    from torch.nn import functional
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        operations = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = func.overloadpacket.__name__
            self.operations += not (func.is_view or name in ("detach", "empty", "empty_like", "empty_strided", "alias"))
            return func(*args, **(kwargs or {}))

    layers: list[Any] = []
    for inputs, outputs in zip(case.sizes, case.sizes[1:], strict=False):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model, loss = torch.nn.Sequential(*layers[:-1]), case.torch_loss(functional)
    # "fused" is the variant with the fewest launches of those that all optimizers of the table have.
    optimizer = getattr(torch.optim, case.torch_optimizer)(
        model.parameters(), lr=0.01, fused=True, **case.torch_options
    )
    x, t, _ = case.data(case.batch)
    batch = torch.from_numpy(x), torch.from_numpy(t)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(batch[0]), batch[1]).backward()
        if "clipping" in case.label:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()
    with Counting() as counting:
        step()
    return counting.operations


def lines() -> list[str]:
    """Return the table, and below it the names of what is launched."""
    header = "a step of|cuBLAS|own kernels|CuPy's|weighing|all|gather|allocations|copies in|reads|Python, us"
    rows, names = [[*header.split("|"), "PyTorch eager"]], list[str]()
    for case in CASES:
        counted, theirs = count(case), count_torch(case)
        numbers = (counted.products, counted.kernels, counted.functions, counted.weighing, counted.launches)
        more = (counted.gathers, counted.allocations, counted.copies_in, counted.reads)
        times = f"{counted.microseconds:.0f}", "" if theirs is None else str(theirs)
        rows.append([case.label, *(f"{n:g}" for n in (*numbers, *more)), *times])
        names.append(f"{case.label}: {', '.join(f'{n} {name}' for name, n in sorted(counted.names.items()))}")
    return [*table(rows, ">").splitlines(), "", *names]


def main() -> int:
    """Print what was counted, in a process in which `cupy` is the stand-in."""
    if os.environ.get("PORTABLE_NN_CUPY") != "stand-in":
        path = os.pathsep.join(filter(None, [str(STAND_IN), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PORTABLE_NN_CUPY": "stand-in", "PYTHONPATH": path}
        return subprocess.run([sys.executable, "-m", "benchmarks.launches"], env=environment, check=False).returncode
    print("What a warm training step asks for, counted on the stand-in for CuPy on the CPU: not a result of a GPU.")
    print(
        "Python: the time of the step on the CPU while kernels and products do nothing, without what CuPy's own calls"
    )
    print("would take; no time of a GPU, of its own thread. Gather, allocations, copies in: what Trainer.fit adds.\n")
    print("\n".join(lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
