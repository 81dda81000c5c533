"""What outputs of a network say: probabilities and labels."""

from collections.abc import Mapping
from typing import Any, cast

from portable_nn.arrays import flat, namespace_of, to_numpy
from portable_nn.layers import Run
from portable_nn.losses import Loss, LossByOutput

__all__ = ["labels", "probabilities"]


def probabilities(criterion: Loss, run: Run, y: Any) -> Any:
    """Return the probabilities that outputs stand for; by output where there are several losses.

    Raises
    ------
    TypeError
        If no loss gives any.
    """
    found = {
        name: loss.probabilities(run, of_one)
        for (name, (loss, _)), of_one in zip(criterion.by_name().items(), flat(y), strict=True)
        if _gives(criterion, loss, "probabilities")
    }
    return _said(criterion, found, "probabilities")


def labels(criterion: Loss, run: Run, y: Any, names: Any = None) -> Any:
    """Return the labels that outputs stand for, as NumPy arrays of names where there are `names`; by output as above.

    Raises
    ------
    TypeError
        If no loss gives any.
    ValueError
        If outputs are NaN, and the labels have names: NaN has none.
    """
    found: dict[str, Any] = {}
    for (name, (loss, _)), of_one in zip(criterion.by_name().items(), flat(y), strict=True):
        if _gives(criterion, loss, "labels"):
            found[name] = _named(loss.labels(run, of_one), _of_output(name, names))
    return _said(criterion, found, "labels")


def _of_output(name: str, names: Any) -> Any:
    """Return the names of the classes of one output; None if there are none."""
    if isinstance(names, Mapping):
        return cast("Mapping[str, Any]", names).get(name.removesuffix("_"))
    return None if name else names


def _gives(criterion: Loss, loss: Loss, what: str) -> bool:
    """Tell whether a loss gives something; a network with a single one asks it, to hear why not."""
    return not isinstance(criterion, LossByOutput) or getattr(type(loss), what) is not getattr(Loss, what)


def _said(criterion: Loss, found: dict[str, Any], what: str) -> Any:
    if not found:
        losses = ", ".join(type(loss).__name__ for loss, _ in criterion.by_name().values())
        raise TypeError(f"no output has {what}: {losses} compare numbers, not classes")
    return {name.removesuffix("_"): of_one for name, of_one in found.items()} if "" not in found else found[""]


def _named(found: Any, names: Any) -> Any:
    if names is None:
        return found
    labels = to_numpy(found)
    wrong = int((labels < 0).sum())
    if wrong:
        raise ValueError(f"the outputs are NaN for {wrong} of {labels.size} labels, which have no name")
    xp = namespace_of(labels)
    return xp.asarray(list(names))[labels]
