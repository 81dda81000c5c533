"""PyTorch as it comes, with the fastest of its optimizer's variants."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from benchmarks.contestants.loops import Predicting, Training
from benchmarks.workloads import Workload

__all__ = ["BestTraining", "Update", "data_of", "finish", "loss_of", "model_of", "optimizers_of", "prepare"]

Update = Callable[[], Any]


class BestTraining(Training):
    """Training with whichever of several updates is the fastest, found in the first run."""

    def __init__(self, workload: Workload, x: Any, t: Any, steps: list[Callable[[Any, Any], Any]]):
        super().__init__(workload, x, t, steps[0], finish)
        self._candidates = steps

    def run(self, steps: int) -> None:
        """Take steps."""
        if len(self._candidates) > 1:
            self._candidates = [min(self._candidates, key=self._seconds)]
            self.step = self._candidates[0]
        super().run(steps)

    def _seconds(self, step: Callable[[Any, Any], Any]) -> float:
        """Return the seconds of a step: the best of five times, each of at least 20 ms."""
        self.step, steps, best = step, 1, 0.0
        super().run(3)
        while best < 0.02:
            steps *= 2
            best = self._time(steps)
        return min(best, *(self._time(steps) for _ in range(4))) / steps

    def _time(self, steps: int) -> float:
        started = time.perf_counter()
        super().run(steps)
        return time.perf_counter() - started


def prepare(workload: Workload, device: str = "cpu") -> Training | Predicting:
    """Return the runner."""
    x, t = data_of(workload, device)
    model = model_of(workload).to(device)
    if workload.optimizer is None:
        return Predicting(workload, x, torch.inference_mode()(model), finish)
    loss = loss_of(workload)

    def step_with(optimizer: torch.optim.Optimizer) -> Callable[[Any, Any], Any]:
        def step(x: Any, t: Any) -> Any:
            value = loss(model(x), t)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            return value.detach()

        return step

    return BestTraining(workload, x, t, [step_with(optimizer) for optimizer in optimizers_of(workload, model)])


def data_of(workload: Workload, device: str) -> tuple[Any, Any]:
    """Return x and t on a device; ImportError if torch finds none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ImportError("torch finds no CUDA device")
    x, t = (torch.from_numpy(array).to(device) for array in workload.data())
    return x, t


def finish(result: Any) -> None:
    """Wait until a tensor is there: a GPU returns before it is."""
    if result is not None and result.is_cuda:
        torch.cuda.synchronize(result.device)


def model_of(workload: Workload) -> torch.nn.Module:
    """Return the workload's network, with its initial weights."""
    activation = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid}[workload.activation]
    layers: list[torch.nn.Module] = []
    for W, b in workload.weights():
        linear = torch.nn.Linear(*W.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, activation()]
    return torch.nn.Sequential(*layers[:-1])


def loss_of(workload: Workload) -> Callable[..., Any]:
    """Return the workload's loss function."""
    return {"softmax": functional.cross_entropy, "squares": functional.mse_loss}[workload.loss]


def optimizers_of(workload: Workload, model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """Return the optimizer in its variants."""
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[workload.optimizer]
    variants = ({"foreach": False}, {"foreach": True}, {"fused": True})
    return [optimizer(model.parameters(), lr=workload.rate, **variant) for variant in variants]
