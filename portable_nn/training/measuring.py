"""Measuring a network on data of any size, batch by batch."""

from typing import Any, cast

from portable_nn.arrays import each, flat, is_several, namespace_of
from portable_nn.metrics import ClassReport, Measuring, RunningAccuracy, RunningRecord
from portable_nn.networks import Network
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.batches import Batches, cuts
from portable_nn.training.samples import count, whole

__all__ = ["evaluate", "predict", "reports"]


def predict(network: Network, x: Any, batch_size: int = 1024) -> Any:
    """Return the raw outputs for x (N, ...); ValueError if `batch_size` is less than 1."""
    batch_size, x = whole("batch_size", batch_size, 1, "predict"), network.arranged(x)
    each(namespace_of, x)  # raises for what is no array
    if not flat(x)[0].shape or count(x) <= batch_size:
        return network.predict(x)
    return _joined(
        [network.predict(each(lambda part, cut=cut: part[cut, ...], x)) for cut in cuts(count(x), batch_size)]
    )


def reports(network: Network, batches: Batches | BatchStream) -> Any:
    """Return a report of the answers over all batches; by output where there are several losses.

    Raises
    ------
    TypeError
        If no loss is for classes.
    """
    losses, names = network.criterion.by_name(), network.notes.get("classes")
    outputs = [name.removesuffix("_") for name, (loss, _) in losses.items() if "scores" in loss.compares]
    if not outputs:
        kinds = ", ".join(type(loss).__name__ for loss, _ in losses.values())
        raise TypeError(f"a report needs a loss for classes, got {kinds}")
    if "" in outputs:
        return evaluate(network, batches, Measuring(network.criterion, [ClassReport(names)]))["report"]
    by_output = cast("dict[str, Any]", names) if isinstance(names, dict) else dict[str, Any]()
    measuring = Measuring(network.criterion, {name: [ClassReport(by_output.get(name))] for name in outputs})
    found = evaluate(network, batches, measuring)
    return {name: found[f"{name}_report"] for name in outputs}


def _joined(outputs: list[Any]) -> Any:
    """Return the outputs for some samples after the other as one: arrays, or tuples or mappings of them."""
    if isinstance(outputs[0], dict):
        names = list(cast("dict[str, Any]", outputs[0]))
        return {name: _joined([output[name] for output in outputs]) for name in names}
    if is_several(outputs[0]):
        return tuple(_joined(list(column)) for column in zip(*outputs, strict=True))
    return namespace_of(outputs[0]).concat(outputs, axis=0)


def evaluate(network: Network, batches: Batches | BatchStream, measuring: Measuring | None = None) -> dict[str, Any]:
    """Return the loss over all batches, and the metrics: t checked and at its place.

    Without metrics, that is the accuracy where the loss knows one. Samples count by their weights, if they have some.
    """
    criterion, run, params = network.criterion, network.run(), network.arrays()
    running, counted = RunningRecord(criterion, measuring), RunningAccuracy(criterion, run)
    for x, t, weight in batches.epoch(0):
        run.heed(None, frozenset())  # the mask of the batch before
        y, _ = network.forward_walk(run, params, network.inputs(x, is_known=True))
        loss, _ = criterion.forward_pass(run, {}, y, t, weight)
        total = criterion.total_weight(run, t, weight)
        if measuring is None:
            running.add([loss], [total])
            counted.add(y, t, weight)
        else:
            running.add([loss], [total], [measuring(run, y, t, weight)])
    if batches.error is not None:
        batches.error.add_note("while evaluating")
        raise batches.error
    return running.record() | counted.record()
