"""PyTorch with the network and its loss compiled, and the fastest of its optimizer's variants, also compiled."""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.contestants.loops import Predicting, Training
from benchmarks.contestants.torch_eager import BestTraining, Update, data_of, finish, loss_of, model_of, optimizers_of
from benchmarks.workloads import Workload

__all__ = ["prepare"]


def prepare(workload: Workload, device: str = "cpu") -> Training | Predicting:
    """Return the runner."""
    x, t = data_of(workload, device)
    model, loss = model_of(workload).to(device), loss_of(workload)
    if workload.optimizer is None:
        return Predicting(workload, x, torch.inference_mode()(torch.compile(model)), finish)
    compiled = torch.compile(lambda x, t: loss(model(x), t))

    def step_with(optimizer: torch.optim.Optimizer, update: Update) -> Callable[[Any, Any], Any]:
        def step(x: Any, t: Any) -> Any:
            value = compiled(x, t)
            optimizer.zero_grad()
            value.backward()
            update()
            return value.detach()

        return step

    optimizers = optimizers_of(workload, model)
    steps = [step_with(optimizer, optimizer.step) for optimizer in optimizers]
    return BestTraining(workload, x, t, [*steps, step_with(optimizers[0], torch.compile(optimizers[0].step))])
