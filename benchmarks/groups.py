"""What groups of parameters cost: `python -m benchmarks.groups`.

One line for each way to group: microseconds from gradients to parameters (the phases transform and apply of a step of
Adam), and how many calls of the kernel that takes: one for parameters that are updated alike, however many they are.
NumPy, float32, one thread.
"""

import statistics
import time
from typing import Any

import numpy as np

import portable_nn as pnn
from benchmarks.threads import one_thread
from portable_nn.kernels import Kernels, kernels_for
from portable_nn.training.planned_step import PlannedStep

ROUNDS, WIDTH = 31, 128
GROUPS: dict[str, dict[str, dict[str, float]]] = {
    "none": {},
    "biases": {"*.b": {"lr_scale": 0.1}},
    "layers and biases": {"*.b": {"lr_scale": 0.1}, "[0-6].*": {"weight_decay": 0.1}},
}


def step_with(groups: dict[str, dict[str, float]]) -> tuple[PlannedStep, list[int]]:
    """Return a training step of eight layers that has run once, and a list to which calls of the kernel are added."""
    layers = [layer for _ in range(8) for layer in (pnn.Affine(WIDTH, WIDTH), pnn.ReLU())][:-1]
    net, calls = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0), list[int]()
    step = PlannedStep(net, pnn.Adam(groups=groups), _counting(kernels_for(np), calls))
    rng = np.random.default_rng(0)
    x, t, _ = net.batch(rng.standard_normal((32, WIDTH)), rng.integers(0, WIDTH, 32))
    step.begin()
    step(x, t)
    return step, calls


def _counting(kernels: Kernels, calls: list[int]) -> Kernels:
    """Return kernels that count how often Adam updates, and how many arrays each time."""
    adam = kernels.in_place().adam

    def counted(params: Any, *rest: Any) -> Any:
        calls.append(len(params))
        return adam(params, *rest)

    counting = kernels.in_place()
    counting.updates = dict(counting.updates) | {"adam": counted}
    return counting


def main() -> None:
    """Time the three in turns."""
    steps = {name: step_with(groups) for name, groups in GROUPS.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    with one_thread():
        for _ in range(ROUNDS):
            for name, (step, calls) in steps.items():
                calls.clear()
                begun = time.perf_counter()
                step.apply(*step.transform())
                times[name].append(1e6 * (time.perf_counter() - begun))
    for name, (step, calls) in steps.items():
        parameters = len(step.network.parameters)
        print(f"{name:20} {statistics.median(times[name]):8.1f} us  {len(calls)} calls for {parameters} parameters")


if __name__ == "__main__":
    main()
