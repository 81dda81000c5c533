"""Measuring a network on data of any size, batch by batch."""

from typing import Any

from portable_nn.arrays import Array, as_array, namespace_of
from portable_nn.layers import Run
from portable_nn.losses import Loss
from portable_nn.metrics import RunningLoss
from portable_nn.networks import Network
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.batches import Batches, cuts
from portable_nn.training.samples import whole

__all__ = ["evaluate", "predict"]


def predict(network: Network, x: Array, batch_size: int = 1024) -> Any:
    """Return the raw outputs for x (N, ...); ValueError if `batch_size` is less than 1."""
    batch_size, x = whole("batch_size", batch_size, 1, "predict"), as_array(x, "x")
    namespace_of(x)
    if x.ndim == 0 or x.shape[0] <= batch_size:
        return network.predict(x)
    outputs = [network.predict(x[cut, ...]) for cut in cuts(x.shape[0], batch_size)]
    return namespace_of(outputs[0]).concat(outputs, axis=0)


def evaluate(network: Network, batches: Batches | BatchStream) -> dict[str, float]:
    """Return the loss over all batches, and the accuracy where the loss knows one: t checked and at its place.

    Samples count by their weights, where they have some, in both.
    """
    criterion, run, params = network.criterion, network.run(), network.arrays()
    running = RunningLoss(criterion)
    correct: list[Any] = []
    answers: list[Any] = []
    for x, t, weight in batches.epoch(0):
        y, _ = network.forward_walk(run, params, network.inputs(x, is_known=True))
        loss, _ = criterion.forward_pass(run, {}, y, t, weight)
        running.add([loss], [criterion.total_weight(run, t, weight)])
        if criterion.counts_correct is not None:
            correct.append(getattr(run.kernels, criterion.counts_correct)(y, t, weight))
            answers.append(_answers(run, criterion, y.shape, weight))
    if batches.error is not None:
        batches.error.add_note("while evaluating")
        raise batches.error
    scores = {"loss": running.read()}
    if criterion.counts_correct is not None:
        scores["accuracy"] = sum(map(float, correct)) / (sum(map(float, answers)) or 1.0)
    return scores


def _answers(run: Run, criterion: Loss, shape: tuple[int, ...], weight: Any) -> Any:
    """Return how many answers outputs of `shape` give, or the sum of the weights of their samples."""
    count = criterion.answers(shape)
    return count if weight is None or not count else run.kernels.total(weight) * (count // shape[0])
