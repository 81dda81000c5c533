"""What a training step asks a GPU to do: `python -m benchmarks.launches`.

Counted on the stand-in for CuPy on the CPU (tests/cupy_on_cpu), beside the operations of PyTorch eager in the same
step. Nothing here is a result of a GPU: counts are not times.
"""

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    gathers, copies_in : int
        What `Trainer.fit` adds to that with the data on the device: launches, and copies from the host, a step.
    reads, blocks : int
        Values for which the host waits, and memory that is asked of the driver: there should be none.
    """

    products: int
    kernels: int
    functions: int
    gathers: float
    copies_in: float
    reads: int
    blocks: int
    names: dict[str, int]

    @property
    def launches(self) -> int:
        """All of a step, its products among them, the gathering of its batch apart."""
        return self.products + self.kernels + self.functions


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
    step = training_step(network, case.optimizer(), compile=False)
    for _ in range(3):
        step(x, t, weight)
    counts = []
    for _ in range(2):
        with ledger.counting() as counted:
            step(x, t, weight)
        counts.append(counted)
    first, counted = sorted(counts, key=lambda count: count.blocks, reverse=True)  # losses come in blocks of memory
    assert (first.kernels, first.functions) == (counted.kernels, counted.functions), (
        "warm steps ask for different things"
    )
    names = counted.kernels + counted.functions
    more = _gathered(case)
    return Counted(
        counted.products.total(),
        counted.kernels.total(),
        counted.functions.total(),
        more.launches + more.products.total() - names.total() - counted.products.total(),
        more.copies_in,
        counted.reads,
        counted.blocks,
        dict(names),
    )


def _gathered(case: Case) -> Any:
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
        self.launches, self.products = more.launches / _BATCHES, more.products
        for name in list(self.products):
            self.products[name] /= _BATCHES
        self.copies_in = more.copies_in / _BATCHES


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
    header = [
        "a step of",
        "products",
        "own kernels",
        "CuPy's",
        "all",
        "gather",
        "copies in",
        "reads",
        "new memory",
    ]
    rows, names = [[*header, "PyTorch eager"]], []
    for case in CASES:
        counted, theirs = count(case), count_torch(case)
        numbers = (counted.products, counted.kernels, counted.functions, counted.launches)
        more = (counted.gathers, counted.copies_in, counted.reads, counted.blocks)
        rows.append(
            [
                case.label,
                *map(str, numbers),
                *(f"{n:g}" for n in more),
                "" if theirs is None else str(theirs),
            ]
        )
        names.append(f"{case.label}: {', '.join(f'{n} {name}' for name, n in sorted(counted.names.items()))}")
    return [*table(rows, ">").splitlines(), "", *names]


def main() -> int:
    """Print what was counted, in a process in which `cupy` is the stand-in."""
    if os.environ.get("PORTABLE_NN_CUPY") != "stand-in":
        path = os.pathsep.join(filter(None, [str(STAND_IN), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PORTABLE_NN_CUPY": "stand-in", "PYTHONPATH": path}
        return subprocess.run([sys.executable, "-m", "benchmarks.launches"], env=environment, check=False).returncode
    print("Launches of a warm training step, counted on the stand-in for CuPy on the CPU: not a result of a GPU.\n")
    print("\n".join(lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
