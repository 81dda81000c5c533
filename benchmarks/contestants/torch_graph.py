"""PyTorch with the whole step, optimizer included, captured once in a CUDA graph and replayed."""

from typing import Any

import torch

from benchmarks.contestants.loops import Training
from benchmarks.contestants.torch_eager import data_of, finish, loss_of, model_of
from benchmarks.workloads import Workload

__all__ = ["prepare"]

_WARM_UPS = 3
"""Steps before the capture, on a stream of their own, as PyTorch's notes on CUDA graphs ask for."""


def prepare(workload: Workload) -> Training:
    """Return the runner."""
    if workload.optimizer is None:
        raise NotImplementedError("only training steps are captured")
    x, t = data_of(workload, "cuda")
    model, loss = model_of(workload).to("cuda"), loss_of(workload)
    batch = x[: workload.batch].clone(), t[: workload.batch].clone()
    optimizer = _optimizer(workload, model)
    begin = [parameter.detach().clone() for parameter in model.parameters()]

    def train() -> Any:
        optimizer.zero_grad(set_to_none=True)
        value = loss(model(batch[0]), batch[1])
        value.backward()
        optimizer.step()
        return value.detach()

    _warm_up(train)
    with torch.no_grad():  # the graph holds on to this memory: it is set back in place
        for parameter, value in zip(model.parameters(), begin, strict=True):
            parameter.copy_(value)
        for slots in optimizer.state.values():
            for slot in slots.values():
                slot.zero_()
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        value = train()

    def step(x: Any, t: Any) -> Any:
        batch[0].copy_(x)
        batch[1].copy_(t)
        graph.replay()
        return value

    return Training(workload, x, t, step, finish)


def _optimizer(workload: Workload, model: torch.nn.Module) -> torch.optim.Optimizer:
    if workload.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=workload.rate, fused=True, capturable=True)
    return torch.optim.SGD(model.parameters(), lr=workload.rate, fused=True)


def _warm_up(train: Any) -> None:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            train()
    torch.cuda.current_stream().wait_stream(stream)
