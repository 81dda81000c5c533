"""Which metrics measure which outputs of a network, on one batch and over many."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from portable_nn.arrays import check_names, copies, flat
from portable_nn.kernels import is_recordable
from portable_nn.layers import Run
from portable_nn.losses import Loss
from portable_nn.metrics.classification import F1, Accuracy, ConfusionMatrix, Precision, Recall
from portable_nn.metrics.metric import Function, Metric
from portable_nn.metrics.probability import ROCAUC, AveragePrecision, Brier, CalibrationError, LogLoss
from portable_nn.metrics.regression import MAE, MAPE, R2, RMSE
from portable_nn.metrics.running_metric import RunningMetric

__all__ = ["GivenMetrics", "Measuring", "RunningMetrics", "as_metrics", "better_of_ours"]

GivenMetric: TypeAlias = Metric | str | Callable[..., Any]

GivenMetrics: TypeAlias = Iterable[GivenMetric] | Mapping[str, Iterable[GivenMetric]]
"""Metrics, names of ours, or functions of (t, y): for all outputs that they can measure, or by output."""

_OURS: tuple[type[Metric], ...] = (
    *(Accuracy, Precision, Recall, F1, ConfusionMatrix),
    *(ROCAUC, AveragePrecision, LogLoss, Brier, CalibrationError),
    *(R2, MAE, RMSE, MAPE),
)
_BY_NAME = {kind.name: kind for kind in _OURS}
_TAKEN = ("loss", "lr", "seconds")


def better_of_ours() -> dict[str, str]:
    """Return "max" or "min" for the names of this library's metrics, what is better of each."""
    return {name: kind.better for name, kind in _BY_NAME.items() if kind.better is not None}


def as_metrics(given: Any) -> list[Metric] | dict[str, list[Metric]]:
    """Return the argument `metrics` of a trainer as metrics, by output if it is a mapping.

    Raises
    ------
    TypeError, ValueError
        If something else is given, or a name that no metric has, or two of one name.
    """
    if isinstance(given, Mapping):
        by_output = cast("Mapping[str, Any]", given)
        return {name: _listed(metrics) for name, metrics in by_output.items()}
    return _listed(given)


def _listed(given: Any) -> list[Metric]:
    if isinstance(given, str | Metric) or not isinstance(given, Iterable):
        raise TypeError(f'Trainer needs metrics to be a list, got {given!r}: write ["accuracy", pnn.metrics.F1()], say')
    metrics = [_metric(one) for one in cast("Iterable[Any]", given)]
    names = [metric.name for metric in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two metrics are called {twice!r}: give one of them another name, as in F1(name={twice}_2)")
    wrong = next((name for name in names if not name or name in _TAKEN or name.startswith("val_")), None)
    if wrong is not None:
        raise ValueError(f"a metric needs a name that nothing else in a history has, got {wrong!r}")
    return metrics


def _metric(given: Any) -> Metric:
    if isinstance(given, Metric):
        return given
    if isinstance(given, str):
        if given not in _BY_NAME:
            near = difflib.get_close_matches(given.lower(), _BY_NAME, 1, 0.6)
            hint = f", did you mean {near[0]!r}?" if near else f": there are {', '.join(_BY_NAME)}"
            raise ValueError(f"there is no metric {given!r}{hint}")
        return _BY_NAME[given]()
    if isinstance(given, type):
        raise TypeError(f"Trainer needs metrics, got the class {given.__name__}: write {given.__name__}()")
    if callable(given):
        return Function(given)
    raise TypeError(f"Trainer needs metrics, their names or functions of (t, y), got {type(given).__name__} {given!r}")


class _Measure(NamedTuple):
    output: int
    prefix: str
    loss: Loss
    metric: Metric


class Measuring:
    """The metrics of a network with a loss: a function (run, y, t, weight) of a batch, all behind the door of the loss.

    It returns a tuple with what `Metric.measure` returned for each output and metric. Two that do the same are equal.

    Parameters
    ----------
    criterion : Loss
    metrics : list of Metric, or dict of such by output
        A list is for all outputs that they can measure.

    Raises
    ------
    ValueError
        If a metric can measure no output, or not the one it is for.
    """

    def __init__(self, criterion: Loss, metrics: list[Metric] | dict[str, list[Metric]]):
        outputs = criterion.by_name()
        by_output: dict[str, list[Metric]] = {}
        if isinstance(metrics, dict):
            check_names(metrics, [name.removesuffix("_") for name in outputs], "metrics", complete=False)
            by_output = {f"{name}_": chosen for name, chosen in metrics.items()}
        self.measures: list[_Measure] = []
        for i, (prefix, (loss, _)) in enumerate(outputs.items()):
            chosen = by_output.get(prefix, []) if isinstance(metrics, dict) else metrics
            self.measures += [_Measure(i, prefix, loss, metric) for metric in chosen if metric.of in loss.compares]
        done = {id(measure.metric) for measure in self.measures}
        for metric in metrics if not isinstance(metrics, dict) else sum(metrics.values(), list[Metric]()):
            if id(metric) not in done:
                losses = ", ".join(type(loss).__name__ for loss, _ in outputs.values())
                raise ValueError(
                    f"{metric!r} compares {metric.of} with targets, which {losses} cannot say of outputs: that has "
                    + ", ".join(sorted({what for loss, _ in outputs.values() for what in loss.compares}))
                )

    @property
    def names(self) -> list[str]:
        """What the values are called in records."""
        return [f"{measure.prefix}{measure.metric.name}" for measure in self.measures]

    @property
    def is_known(self) -> bool:
        """Whether all code that measures may be compiled."""
        return all(is_recordable(type(m.metric)) and is_recordable(type(m.loss)) for m in self.measures)

    @property
    def better(self) -> dict[str, str]:
        """What is better, "max" or "min", of the values by their names, as far as it is known."""
        return {f"{m.prefix}{m.metric.name}": m.metric.better for m in self.measures if m.metric.better is not None}

    def __call__(self, run: Run, y: Any, t: Any, weight: Any = None) -> tuple[tuple[Any, ...], ...]:
        """Return what each metric measures on a batch."""
        ys, ts, found = flat(y), flat(t), dict[tuple[int, str], tuple[Any, ...]]()
        weights: tuple[Any, ...] = (None,) * len(ys) if weight is None else flat(weight)
        measured: list[tuple[Any, ...]] = []
        for output, _, loss, metric in self.measures:
            key = output, metric.of
            if key not in found:
                t, y, weight = loss.compared(run, metric.of, ys[output], ts[output], weights[output])
                if weight is None:
                    weight = run.place.xp.ones(t.shape[:1], dtype=run.place.dtype, device=run.place.device)
                found[key] = t, y, weight
            arrays = metric.measure(*found[key])
            # Rows may be memory of the batch, which the next one gets.
            measured.append(tuple(copies(arrays)) if metric.keeps_rows else arrays)
        return tuple(measured)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Measuring) or len(self.measures) != len(other.measures):
            return False
        return all(
            a[:2] == b[:2] and a.loss is b.loss and a.metric is b.metric
            for a, b in zip(self.measures, other.measures, strict=True)
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType]  (its parts may change)


class RunningMetrics:
    """All metrics of a network over many batches.

    Parameters
    ----------
    measuring : Measuring
    """

    def __init__(self, measuring: Measuring):
        self._names = measuring.names
        self._running = [RunningMetric(measure.metric) for measure in measuring.measures]

    def add(self, measured: Sequence[Any]) -> None:
        """Add what `Measuring` returned for batches: a list, or a tuple whose arrays have one axis more, the first."""
        if isinstance(measured, tuple):
            for running, arrays in zip(self._running, measured, strict=True):
                running.add_stacked(arrays)
        elif measured:
            for running, parts in zip(self._running, zip(*measured, strict=True), strict=True):
                running.add(parts)

    def record(self, *, cheap: bool = False) -> dict[str, Any]:
        """Return the values so far by name, if they are only shown the `cheap` ones; this waits for the device."""
        return {
            name: running.result()
            for name, running in zip(self._names, self._running, strict=True)
            if not (cheap and running.metric.keeps_rows)
        }

    def state(self) -> list[list[Any]]:
        """Return what was added so far, as NumPy arrays of each metric; this waits for the device."""
        return [running.state() for running in self._running]

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Take up again what `state` returned, and nothing else."""
        for running, arrays in zip(self._running, state or [()] * len(self._running), strict=True):
            running.restore(arrays)
