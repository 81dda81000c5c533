"""Whether smaller or larger values of a metric are better."""

from typing import Literal, TypeAlias

from portable_nn.metrics.measuring import better_of_ours

__all__ = ["Mode", "better"]

Mode: TypeAlias = Literal["min", "max"]

_SMALLER, _LARGER = ("loss", "error", "mse", "mae"), ("accuracy", "score")
"""How names of values end that are better if they are smaller, or larger."""


def better(name: str) -> Mode | None:
    """Return whether smaller or larger is better, where the name of a value tells: "val_kind_f1", say."""
    name = name.lower()
    if "neg_" in name:  # which turns a loss around, as scikit-learn does
        return None
    for ours, mode in better_of_ours().items():
        if name == ours or name.endswith(f"_{ours}"):
            return "min" if mode == "min" else "max"
    return "min" if name.endswith(_SMALLER) else "max" if name.endswith(_LARGER) else None
