"""The handwritten digits of UCI, 1797 images of 8 x 8 pixels, shipped in the package.

N = images, C = classes = 10. Attribution and licence stand in DIGITS-LICENSE.md.
"""

import gzip
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_nn.datasets.idx import decoded_idx
from portable_nn.datasets.images import Samples, Split, prepared

__all__ = ["load_digits"]

_CLASSES = 10
_PEAK = 16


def load_digits(
    *,
    test_fraction: float = 0.2,
    seed: int = 0,
    normalize: bool = True,
    flatten: bool = True,
    one_hot: bool = False,
) -> Split:
    """Read the UCI handwritten digits and split them, class by class, into training and test samples.

    Parameters
    ----------
    test_fraction
        The share of each class, rounded to whole images, that goes to the test samples; from 0 to 1.
    seed
        Of the order of the samples, and so of the split. The same seed gives the same samples, whatever the
        version of NumPy.
    normalize
        True: x is float32 in [0, 1]. False: x is uint8 in [0, 16], as stored.
    flatten
        True: x has shape (N, 64). False: (N, 1, 8, 8).
    one_hot
        False: t is int64 of shape (N,). True: t is float32 of shape (N, 10).

    Returns
    -------
    ((x, t), (x2, t2))
        The training samples and the test samples: by default 1438 and 359, no image in both.

    Raises
    ------
    ValueError
        `test_fraction` is not in [0, 1], or `seed` is negative.

    References
    ----------
    E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49.
    """
    if not 0.0 <= test_fraction <= 1.0:
        raise ValueError(f"load_digits needs a test_fraction from 0 to 1, got {test_fraction}")
    images, labels = _read("digits-images-idx3-ubyte.gz"), _read("digits-labels-idx1-ubyte.gz")

    def samples(rows: NDArray[np.intp]) -> Samples:
        return prepared(
            images[rows],
            labels[rows],
            peak=_PEAK,
            classes=_CLASSES,
            normalize=normalize,
            flatten=flatten,
            one_hot=one_hot,
        )

    train, test = _split_rows(labels, test_fraction, seed)
    return samples(train), samples(test)


def _read(name: str) -> NDArray[Any]:
    from importlib import resources  # a tenth of the package's import time

    with (resources.files("portable_nn.datasets") / name).open("rb") as packed, gzip.open(packed) as stream:
        return decoded_idx(stream, name)


def _split_rows(
    labels: NDArray[np.uint8], test_fraction: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows for training and for test, both in one random order."""
    # The raw stream of a bit generator is fixed for good; Generator.permutation may change (NEP 19).
    order = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    in_test = np.zeros(len(labels), dtype=bool)
    for label in range(_CLASSES):
        places = np.flatnonzero(labels[order] == label)
        in_test[places[: round(test_fraction * len(places))]] = True
    return order[~in_test], order[in_test]
