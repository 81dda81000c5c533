"""Samples at the door of a training run: checked, and split into those to train on and those to validate with."""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, cast

from portable_nn import random
from portable_nn.arrays import as_array, each, flat, is_array, is_on_cpu, namespace_of, to_numpy
from portable_nn.errors import ShapeError
from portable_nn.kernels import kernels_for
from portable_nn.layers.inputs import check_values
from portable_nn.losses.targets import is_finite
from portable_nn.networks import Network
from portable_nn.training.batches import cuts

__all__ = ["check_finite", "checked", "count", "parts", "split", "whole"]

_BLOCK = 2**22
"""Elements that are looked at in one go: few enough for the memory of what is larger than memory."""


def whole(name: str, number: int, least: int, owner: str = "fit") -> int:
    """Return `number`, given to `owner`, as a Python int; ValueError if it is not whole, or less than `least`."""
    try:
        whole = operator.index(number)
    except TypeError:
        whole = least - 1
    if whole < least:
        raise ValueError(f"{owner} needs {name} to be a whole number of at least {least}, got {number!r}")
    return whole


def checked(network: Network, x: Any, t: Any, weight: Any = None) -> list[Any]:
    """Return [x, t, weight]: x where it is, a list as NumPy's, the others checked and at the network's place.

    Mappings become tuples: see `Network.batch`.
    """
    x, t, weight = network.arranged(x), as_array(t, "t"), as_array(weight, "sample_weight")
    each(namespace_of, x)  # raises for what is no array
    shape = network.output_shape(*(part.shape for part in flat(x)))
    network.inputs(each(lambda part: part[: min(1, part.shape[0]), ...] if part.ndim else part, x), is_known=True)
    check_values(network, flat(x))
    if count(x) == 0:
        raise ShapeError("training and evaluation need at least one sample, got none")
    t, kept = network.targets(shape, t, weight)
    if weight is not None and kept is None:
        kind = type(network.criterion).__name__
        raise ValueError(f"{kind} takes no sample weights: its targets() returns None in their place")
    return [x, t, kept]


def count(x: Any) -> int:
    """Return the number of samples in an array, or in each of several."""
    return flat(x)[0].shape[0]


def check_finite(name: str, x: Any) -> None:
    """Raise ValueError if a number in `x` (N, ...) is NaN or infinite; other devices' are taken at their word.

    `x` may be a mapping of names to arrays.
    """
    if isinstance(x, Mapping):
        for key, part in cast("Mapping[str, Any]", x).items():
            check_finite(f"{name}[{key!r}]", part)
        return
    if not is_array(x) or 0 in x.shape or not is_on_cpu(x) or not namespace_of(x).isdtype(x.dtype, "real floating"):
        return
    for cut in cuts(x.shape[0], max(1, _BLOCK * x.shape[0] // math.prod(x.shape))):
        block = to_numpy(x[cut, ...])
        if not kernels_for(namespace_of(block)).all_finite(block):
            first = [int(axis[0]) for axis in (~is_finite(block)).nonzero()]
            at = ", ".join(map(str, [cut.start + first[0], *first[1:]]))
            raise ValueError(f"{name} needs finite numbers, got {block[tuple(first)]} at [{at}]")


def parts(thing: Any) -> Sequence[Any]:
    """Return a tuple or list as it is, and nothing for all else."""
    # What a tuple of anything holds is unknown, and may be.
    return thing if isinstance(thing, tuple | list) else ()  # pyright: ignore[reportUnknownVariableType]


def split(samples: int, share: float, seed: int) -> tuple[Any, Any]:
    """Return the indices of the samples to train on, and those of the `share` kept, as NumPy arrays.

    ValueError if one of the two would be empty.
    """
    kept = round(share * samples)
    if not 0 < kept < samples:
        raise ValueError(f"validation_split={share} of {samples} samples leaves one of the two parts empty")
    order = random.generator(seed, "validation").permutation(samples)
    return order[kept:], order[:kept]
