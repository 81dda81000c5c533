"""Measuring a network on data of any size, batch by batch."""

from collections.abc import Sequence
from typing import Any

from portable_nn.arrays import Array, namespace_of
from portable_nn.losses import Loss
from portable_nn.networks import Network
from portable_nn.training.batches import cuts

__all__ = ["combine", "evaluate", "predict"]


def predict(network: Network, x: Array, batch_size: int = 1024) -> Any:
    """Return the raw outputs for x (N, ...)."""
    if x.shape[0] <= batch_size:
        return network.predict(x)
    outputs = [network.predict(x[cut, ...]) for cut in cuts(x.shape[0], batch_size)]
    return namespace_of(outputs[0]).concat(outputs, axis=0)


def evaluate(network: Network, x: Any, t: Any, batch_size: int = 1024) -> dict[str, float]:
    """Return the loss, and the accuracy where the loss knows one: t checked and at the network's place."""
    criterion, run = network.criterion, network.run()
    params = network.arrays()
    losses: list[Any] = []
    correct: list[Any] = []
    sizes: list[int] = []
    answers = 0
    for cut in cuts(x.shape[0], batch_size):
        batch_x, batch_t = network.inputs(x[cut, ...]), t[cut, ...]
        y, _ = network.forward_walk(run, params, batch_x)
        losses.append(criterion.forward_pass(run, y, batch_t)[0])
        sizes.append(y.shape[0])
        if criterion.counts_correct is not None:
            correct.append(getattr(run.kernels, criterion.counts_correct)(y, batch_t))
            answers += criterion.answers(y.shape)
    scores = {"loss": combine([float(loss) for loss in losses], sizes, criterion)}
    if criterion.counts_correct is not None:
        scores["accuracy"] = sum(map(int, correct)) / answers
    return scores


def combine(losses: Sequence[float], sizes: Sequence[int], criterion: Loss) -> float:
    """Return the loss of all batches together: their sum, or their mean weighted by size, as the loss reduces."""
    if criterion.reduction == "sum":
        return sum(losses)
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / max(sum(sizes), 1)
