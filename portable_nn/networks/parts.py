"""Checks of what networks and trainers are made of: instances, neither classes nor names of them, that go together."""

import difflib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from portable_nn.kernels import is_ours
from portable_nn.layers import Layer, Sigmoid, Softmax
from portable_nn.losses import (
    KLDivergence,
    Loss,
    LossByOutput,
    NegativeLogLikelihood,
    SigmoidWithLoss,
    SoftmaxWithLoss,
)

__all__ = ["check_instance", "for_outputs", "instances", "loss_of", "warn_of_two_in_a_row"]


def check_instance(owner: str, name: str, part: object, kind: type[Any], example: str) -> None:
    """Check that the argument `name` of `owner` is a `kind`.

    Parameters
    ----------
    owner, name : str
        As errors call them.
    part : object
    kind : class
    example : str
        What to write if nothing nearer to `part` is known.

    Raises
    ------
    TypeError
        If it is something else, such as the class of one. The message says what works.
    """
    if isinstance(part, kind):
        return
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    came, nearest = f"{type(part).__name__} {part!r}", example
    if isinstance(part, type):
        came = f"the class {part.__name__}"
        nearest = f"{part.__name__}(...)" if issubclass(part, kind) else example
    elif isinstance(part, str):
        came, nearest = repr(part), _named_like(part, kind) or example
    raise TypeError(f"{owner} needs {name} to be {article} {kind.__name__}, got {came}: write {nearest}")


def instances(owner: str, name: str, parts: Iterable[Any], kind: type[Any], example: str) -> list[Any]:
    """Return an argument that is an iterable of `kind` as a list; raises as `check_instance` does."""
    if not isinstance(parts, Iterable) or isinstance(parts, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        came = f"the class {parts.__name__}" if isinstance(parts, type) else f"{type(parts).__name__} {parts!r}"
        raise TypeError(f"{owner} needs {name} to be a list of {kind.__name__}s, got {came}: write [{example}]")
    listed = list(parts)
    for i, part in enumerate(listed):
        check_instance(owner, f"{name}[{i}]", part, kind, example)
    return listed


def loss_of(owner: str, loss: Any, weights: Mapping[str, float] | None) -> Loss | None:
    """Return the argument `loss` of `owner`, a Loss or a mapping of names to such, as a Loss; None for None.

    Raises
    ------
    TypeError, ValueError
        If it is something else, or the weights do not fit it.
    """
    example = "pnn.SoftmaxWithLoss(), say"
    if isinstance(loss, Mapping):
        by_name = cast("Mapping[str, Any]", loss)
        for name, part in by_name.items():
            check_instance(owner, f"loss[{name!r}]", part, Loss, example)
        if not by_name:
            raise ValueError(f"{owner} needs a loss for each output, got an empty mapping")
        return LossByOutput(by_name, weights)
    if loss is not None:
        check_instance(owner, "loss", loss, Loss, example)
    if weights is not None:
        raise ValueError(f"{owner} needs loss_weights only with a mapping of losses, got {loss!r} as loss")
    return loss


def for_outputs(owner: str, loss: Loss | None, outputs: Sequence[str], names: Sequence[str] | None) -> Loss | None:
    """Return the loss for these outputs, losses by output in their order; ValueError if it does not fit them."""
    if isinstance(loss, LossByOutput):
        if names is None:
            wanted = ", ".join(f"{name}=..." for name in loss.losses)
            raise ValueError(
                f"{owner} has losses for {', '.join(loss.losses)}, but no outputs of these names: give one loss, or "
                f"name the outputs of a Graph, with output({wanted})"
            )
        return loss.ordered(list(names))
    if loss is not None and len(outputs) > 1 and is_ours(type(loss)):
        called = ", ".join(f"{name!r}: ..." for name in names or outputs)
        named = "" if names else ", and output(name=node, ...)"
        raise ValueError(
            f"{owner} has {len(outputs)} outputs, and {loss!r} is a loss for one: write loss={{{called}}}{named}"
        )
    return loss


def warn_of_two_in_a_row(loss: Loss | None, last: Sequence[Layer | None]) -> None:
    """Warn if a network ends, in `last` by output, in the activation that its loss applies itself."""
    if isinstance(loss, LossByOutput):
        for one, layer in zip(loss.layers, last, strict=True):
            _warn_of_two_in_a_row(one, [layer])
    else:
        _warn_of_two_in_a_row(loss, last)


def _warn_of_two_in_a_row(loss: Loss | None, last: Iterable[Layer | None]) -> None:
    named, layers = type(loss).__name__, list(last)
    for kind, activation in ((SoftmaxWithLoss, Softmax), (SigmoidWithLoss, Sigmoid)):
        if isinstance(loss, kind) and any(isinstance(layer, activation) for layer in layers):
            name = activation.__name__
            warnings.warn(
                f"the network ends in {name}, and {named} takes raw outputs and applies {name.lower()} itself: "
                f"leave out the last layer; kernels.{name.lower()} makes probabilities of what predict returns",
                stacklevel=6,
            )
    if isinstance(loss, NegativeLogLikelihood | KLDivergence) and any(isinstance(layer, Softmax) for layer in layers):
        warnings.warn(
            f"the network ends in Softmax, and {named} takes log-probabilities: let it end in LogSoftmax", stacklevel=6
        )


def _named_like(text: str, kind: type[Any]) -> str | None:
    """Return the call of this library's class of that kind whose name is like a text; None if there is none."""
    names = {
        sub.__name__.lower(): sub.__name__ for sub in _subclasses(kind) if sub.__module__.startswith("portable_nn")
    }
    wanted = text.lower().replace("_", "").replace(" ", "")
    begin = [name for name in names if wanted and name.startswith(wanted)]
    near = sorted(begin, key=len) or difflib.get_close_matches(wanted, names, 1, 0.7)
    return f"pnn.{names[near[0]]}(...)" if near else None


def _subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _subclasses(sub)
