"""A loss for each output of a network, by name."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from portable_nn.arrays import Place, as_array, check_names, flat, in_order, is_several
from portable_nn.errors import DTypeError, LabelError, NamespaceError, ShapeError
from portable_nn.layers.layer import Arrays, Run
from portable_nn.losses.loss import Loss

__all__ = ["LossByOutput"]


class LossByOutput(Loss):
    """sum_o w_o L_o over the outputs o of a network; each L_o reduces by itself, with the weights of its own samples.

    `Graph(loss={...}, loss_weights={...})` makes one. Outputs, targets and sample weights are tuples in the order of
    the losses; the loss is the tuple of all L_o, of which `record` makes the sum.

    Parameters
    ----------
    losses : mapping of str to Loss
        By the names of the outputs.
    weights : mapping of str to float, optional
        What each counts; 1 where nothing is said.

    Raises
    ------
    TypeError, ValueError
        If a weight is no finite number, or of no output.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> losses = {"kind": pnn.SoftmaxWithLoss(), "age": pnn.MeanSquaredError()}
    >>> pnn.Graph(loss=losses, loss_weights={"age": 0.1}).loss_function
    LossByOutput({'kind': SoftmaxWithLoss(), 'age': MeanSquaredError()}, {'kind': 1.0, 'age': 0.1})
    """

    options = ("losses", "weights")

    def __init__(self, losses: Mapping[str, Loss], weights: Mapping[str, float] | None = None):
        super().__init__("sum")
        self._losses = dict(losses)
        self.weights = {} if weights is None else weights

    @property
    def losses(self) -> Mapping[str, Loss]:
        """The loss of each output, by its name."""
        return MappingProxyType(self._losses)

    @property
    def weights(self) -> Mapping[str, float]:
        """What each loss counts. It is replaced as a whole."""
        return MappingProxyType(self._weights)

    @weights.setter
    def weights(self, given: Mapping[str, float]) -> None:
        in_order(given, list(self._losses), "loss_weights", complete=False)
        for name, weight in given.items():
            # Callers may pass anything, whatever is declared.
            if not isinstance(weight, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"loss_weights needs a number for {name}, got {weight!r}")
            if not math.isfinite(weight):
                raise ValueError(f"loss_weights needs a finite number for {name}, got {weight!r}")
        self._weights = {name: float(given.get(name, 1.0)) for name in self._losses}
        for changes in self._told:
            changes[0] += 1

    @property
    def layers(self) -> list[Loss]:
        """The losses, in order."""
        return list(self._losses.values())

    def ordered(self, names: list[str]) -> "LossByOutput":
        """Return the same losses in the order of the outputs; ValueError if there is not one for each."""
        check_names(self._losses, names, "loss")
        return LossByOutput({name: self._losses[name] for name in names}, self._weights)

    def tell(self, changes: list[int]) -> None:
        """Have all losses count in `changes`."""
        super().tell(changes)
        for loss in self.layers:
            loss.tell(changes)

    def by_name(self) -> dict[str, tuple[Loss, float]]:
        """Return each loss and what it counts, by the beginning of its names in records: "kind_"."""
        return {f"{name}_": (loss, self._weights[name]) for name, loss in self._losses.items()}

    def record(self, loss: Any) -> dict[str, Any]:
        """Return the weighted sum as "loss", and each loss by its name."""
        weighted = [weight * one for weight, one in zip(self._weights.values(), loss, strict=True)]
        by_name = {f"{name}_loss": one for name, one in zip(self._losses, loss, strict=True)}
        return {"loss": sum(weighted[1:], weighted[0])} | by_name

    def forward_pass(self, run: Run, params: Arrays, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the tuple of the losses, and what each saves."""
        weight = (None,) * len(t) if weight is None else weight
        pairs = [run.forward(loss, {}, *of_one) for loss, *of_one in zip(self.layers, flat(y), t, weight, strict=True)]
        losses, saved = zip(*pairs, strict=True)
        return losses, saved

    def gradient(self, run: Run, saved: Any, dout: Any = 1.0) -> Any:
        """Return dy for dout, one for all losses or a tuple of one for each; one array for one output."""
        douts: tuple[Any, ...] = dout if is_several(dout) else (dout,) * len(saved)
        multiply, found = run.kernels.multiply, list[Any]()
        for loss, weight, saved_of_one, dout_of_one in zip(
            self.layers, self._weights.values(), saved, douts, strict=True
        ):
            dy = run.gradient(loss, saved_of_one)
            for factor in (weight, dout_of_one):
                dy = dy if isinstance(factor, float) and factor == 1.0 else multiply(dy, factor)
            found.append(dy)
        return tuple(found) if len(found) > 1 else found[0]

    def targets(self, shape: Any, t: Any, place: Place, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return the tuples of targets and weights, for outputs of the shapes `shape`.

        t is a mapping by output; the weights are one array for all outputs, or a mapping by those that have some.
        """
        names = list(self._losses)
        shapes = (shape,) if isinstance(shape[0], int) else shape
        of_each = in_order(as_array(t, "t"), names, "t")
        weights: tuple[Any, ...] = (sample_weight,) * len(names)
        if isinstance(sample_weight, Mapping):
            weights = in_order(as_array(sample_weight, "sample_weight"), names, "sample_weight", complete=False)
        made: list[Any] = []
        for name, loss, of_one in zip(names, self.layers, zip(shapes, of_each, weights, strict=True), strict=True):
            try:
                made.append(loss.targets(of_one[0], of_one[1], place, of_one[2]))
            except (ShapeError, DTypeError, LabelError, NamespaceError) as error:
                raise type(error)(f"the output {name}: {error}") from None
            if of_one[2] is not None and made[-1][1] is None:
                kind = type(loss).__name__
                raise ValueError(f"{kind}, of the output {name}, takes no sample weights: its targets() returns None")
        found, weights = zip(*made, strict=True)
        return found, None if all(weight is None for weight in weights) else weights

    def check_reduces(self, owner: str) -> None:
        """Raise ValueError, in which `owner` is named, if one of the losses is no single number."""
        for loss in self.layers:
            loss.check_reduces(owner)

    def before_training(self, t: Any) -> None:
        """Let each loss see the targets of its output."""
        for loss, of_one in zip(self.layers, flat(t) if t is not None else (None,) * len(self.layers), strict=True):
            loss.before_training(of_one)

    def total_weight(self, run: Run, t: Any, weight: Any = None) -> Any:
        """Return the tuple of what each loss divides by."""
        weight = (None,) * len(t) if weight is None else weight
        return tuple(loss.total_weight(run, *of_one) for loss, *of_one in zip(self.layers, t, weight, strict=True))

    def config(self) -> dict[str, Any]:
        """Return the losses and what each counts."""
        return {"losses": self._losses, "weights": self._weights}

    def __repr__(self) -> str:
        return f"LossByOutput({self._losses!r}, {self._weights!r})"
