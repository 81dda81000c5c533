"""Measuring a network on data of any size, batch by batch."""

from typing import Any, cast

from portable_nn.arrays import each, flat, is_several, namespace_of
from portable_nn.metrics import RunningAccuracy, RunningLoss
from portable_nn.networks import Network
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.batches import Batches, cuts
from portable_nn.training.samples import count, whole

__all__ = ["evaluate", "predict"]


def predict(network: Network, x: Any, batch_size: int = 1024) -> Any:
    """Return the raw outputs for x (N, ...); ValueError if `batch_size` is less than 1."""
    batch_size, x = whole("batch_size", batch_size, 1, "predict"), network.arranged(x)
    each(namespace_of, x)  # raises for what is no array
    if not flat(x)[0].shape or count(x) <= batch_size:
        return network.predict(x)
    return _joined(
        [network.predict(each(lambda part, cut=cut: part[cut, ...], x)) for cut in cuts(count(x), batch_size)]
    )


def _joined(outputs: list[Any]) -> Any:
    """Return the outputs for some samples after the other as one: arrays, or tuples or mappings of them."""
    if isinstance(outputs[0], dict):
        names = list(cast("dict[str, Any]", outputs[0]))
        return {name: _joined([output[name] for output in outputs]) for name in names}
    if is_several(outputs[0]):
        return tuple(_joined(list(column)) for column in zip(*outputs, strict=True))
    return namespace_of(outputs[0]).concat(outputs, axis=0)


def evaluate(network: Network, batches: Batches | BatchStream) -> dict[str, float]:
    """Return the loss over all batches, and the accuracy where the loss knows one: t checked and at its place.

    Samples count by their weights, where they have some, in both.
    """
    criterion, run, params = network.criterion, network.run(), network.arrays()
    running, counted = RunningLoss(criterion), RunningAccuracy(criterion, run)
    for x, t, weight in batches.epoch(0):
        run.heed(None, frozenset())  # the mask of the batch before
        y, _ = network.forward_walk(run, params, network.inputs(x, is_known=True))
        loss, _ = criterion.forward_pass(run, {}, y, t, weight)
        running.add([loss], [criterion.total_weight(run, t, weight)])
        counted.add(y, t, weight)
    if batches.error is not None:
        batches.error.add_note("while evaluating")
        raise batches.error
    return running.record() | counted.record()
