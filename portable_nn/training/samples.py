"""Samples at the door of a training run: checked, and split into those to train on and those to validate with."""

import operator
from typing import Any

from portable_nn import random
from portable_nn.arrays import namespace_of
from portable_nn.errors import ShapeError
from portable_nn.networks import Network
from portable_nn.training.batches import take

__all__ = ["checked", "split", "whole"]


def whole(name: str, number: int, least: int) -> int:
    """Return `number` as a Python int; ValueError if it is not whole, or less than `least`."""
    try:
        whole = operator.index(number)
    except TypeError:
        whole = least - 1
    if whole < least:
        raise ValueError(f"fit needs {name} to be a whole number of at least {least}, got {number!r}")
    return whole


def checked(network: Network, x: Any, t: Any, weight: Any = None) -> list[Any]:
    """Return [x, t, weight]: x where it is, the others checked and at the network's place."""
    namespace_of(x)
    network.inputs(x[: min(1, x.shape[0]), ...] if x.ndim else x)
    if x.shape[0] == 0:
        raise ShapeError("training and evaluation need at least one sample, got none")
    return [x, *network.criterion.targets(network.output_shape(x.shape), t, network.place, weight)]


def split(data: list[Any], share: float, seed: int) -> tuple[list[Any], list[Any]]:
    """Return the samples to train on and the `share` kept; ValueError if one of the two would be empty."""
    samples: int = data[0].shape[0]
    kept = round(share * samples)
    if not 0 < kept < samples:
        raise ValueError(f"validation_split={share} of {samples} samples leaves one of the two parts empty")
    order = random.generator(seed, "validation").permutation(samples)
    return [take(array, order[kept:]) for array in data], [take(array, order[:kept]) for array in data[:2]]
