"""Kinks: points at which a function has two slopes, one to each side, and central differences mean nothing."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["kinks"]

_STEP = 1e-6
_CLEAR = 1e-2
"""By how much, beside their size, two slopes differ at a kink; elsewhere by some steps' size."""


def kinks(
    evaluate: Callable[[], Any],
    arrays: Mapping[str, np.ndarray],
    found: Mapping[str, np.ndarray],
    differences: Mapping[str, np.ndarray],
) -> str:
    """Return lines on the arrays that are at a kink where what was found is not what central differences say.

    Parameters
    ----------
    evaluate : callable
        Reads the arrays, which are changed in place and back again.
    arrays, found, differences : mapping of str to numpy.ndarray of float64
        The point, the gradients by hand there, and those by central differences.
    """
    lines = ""
    for name, array in arrays.items():
        if found[name].shape == array.shape:
            told = _kink(evaluate, array, abs(found[name] - differences[name]) > _CLEAR * abs(differences[name]))
            lines += f"\n{name}{told}; move it away from there" if told else ""
    return lines


def _kink(evaluate: Callable[[], Any], values: np.ndarray, suspects: np.ndarray) -> str | None:
    """Return a sentence on the first of the suspect elements of `values` at which there is a kink, if any."""
    for index in map(tuple, np.argwhere(suspects)):
        middle, here = float(evaluate()), values[index]
        values[index] = here + _STEP
        right = (float(evaluate()) - middle) / _STEP
        values[index] = here - _STEP
        left = (middle - float(evaluate())) / _STEP
        values[index] = here
        if abs(right - left) > _CLEAR * max(abs(right), abs(left)):
            at = ", ".join(map(str, index))
            return f"[{at}] = {here:.3g} is a kink: the slope is {left:.3g} before and {right:.3g} after it"
    return None
