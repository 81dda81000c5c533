"""Central differences: derivatives from values alone, the judge of every derivative that was found by thought."""

from collections.abc import Callable
from typing import Any

import numpy as np

from portable_nn import random
from portable_nn.arrays import Array, Place, as_array, device_of, namespace_of, to_numpy
from portable_nn.errors import DTypeError, ShapeError
from portable_nn.testing.backends import float64_enabled

__all__ = ["central_differences", "numerical_gradient"]

_STEP = float(np.cbrt(np.finfo(np.float64).eps))
"""Balances the error of rounding, eps / h, against that of the formula, h^2. Press et al., Numerical Recipes, 5.7."""


def numerical_gradient(f: Callable[[Any], Any], x: Array) -> np.ndarray:
    """Return the gradient of f at x by central differences, (f(x + h) - f(x - h)) / 2h for each element of x.

    All of it happens in float64, whatever the data type of x: f gets float64 arrays of x's namespace and device. Random
    layers draw the same masks at every evaluation, and once more at the first pass that follows.

    Parameters
    ----------
    f : callable
        From an array like x to a number or a 0-d array.
    x : array
        Of any shape and real data type; it is not changed.

    Returns
    -------
    numpy.ndarray of float64, in the shape of x

    Raises
    ------
    DTypeError
        If f answers in less than float64 (its differences would be noise), or the backend has no float64.
    ShapeError
        If f does not return a single number.
    """
    x = as_array(x, "x")
    xp, device = namespace_of(x), device_of(x)
    values = np.array(to_numpy(x), dtype=np.float64)
    with float64_enabled(xp):
        place = Place(xp, device, "float64")
        return central_differences(lambda: f(place.asarray(values)), values)


def central_differences(
    evaluate: Callable[[], Any], values: np.ndarray, tick: Callable[[], Any] = lambda: None
) -> np.ndarray:
    """Return the derivative of `evaluate()` by each element of `values`, which is changed in place and back again.

    Parameters
    ----------
    evaluate : callable
        Reads `values`.
    values : numpy.ndarray of float64
    tick : callable, optional
        Called after each element.
    """
    gradient = np.empty_like(values)
    for index in np.ndindex(values.shape):
        center = values[index]
        step = _STEP * max(1.0, abs(center))
        try:
            values[index] = center + step
            above, right = values[index], _value(evaluate)
            values[index] = center - step
            below, left = values[index], _value(evaluate)
        finally:
            values[index] = center
        gradient[index] = (right - left) / (above - below)
        tick()
    return gradient


def _value(evaluate: Callable[[], Any]) -> float:
    with random.replayed():
        result = evaluate()
    if getattr(result, "shape", ()) != ():
        raise ShapeError(f"a gradient needs a function with one number as its value, got shape {result.shape}")
    dtype = str(getattr(result, "dtype", "float64")).rpartition(".")[2]
    if dtype != "float64":
        raise DTypeError(
            f"a numerical gradient needs a function that computes in float64, got {dtype}: "
            'move the network with .to(dtype="float64"), or use check_network'
        )
    return float(result)
