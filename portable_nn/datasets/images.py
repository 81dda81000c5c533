"""Stored images and labels become the arrays that a network is trained on.

N = images, H = rows, W = columns, C = classes.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Samples", "Split", "prepared"]

Samples = tuple[NDArray[Any], NDArray[Any]]
Split = tuple[Samples, Samples]


def prepared(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    *,
    peak: int,
    classes: int,
    normalize: bool,
    flatten: bool,
    one_hot: bool,
) -> Samples:
    """Return (x, t) from images (N, H, W) whose brightest value is `peak`, and labels (N,) below `classes`."""
    count, *sides = images.shape
    x: NDArray[Any] = images.reshape((count, math.prod(sides)) if flatten else (count, 1, *sides))
    if normalize:
        x = x.astype(np.float32)
        x /= peak
    if one_hot:
        return x, (labels[:, None] == np.arange(classes)).astype(np.float32)
    return x, labels.astype(np.int64)
