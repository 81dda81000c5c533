"""Sequences of many lengths as one array and a mask."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import device_of, namespace_of, to_numpy

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("behind", [(), (3,), (2, 4)])
def test_what_is_real_is_as_it_was_and_the_rest_is_the_padding_value(xp, behind):
    given = [RNG.standard_normal((length, *behind)).astype("float32") for length in (3, 0, 5, 1)]
    arrays = [xp.place.asarray(array) for array in given]
    x, mask = pnn.pad_sequences(arrays, padding_value=-2)
    assert (tuple(x.shape), tuple(mask.shape)) == ((4, 5, *behind), (4, 5))
    assert (namespace_of(x), x.dtype, mask.dtype) == (namespace_of(arrays[0]), xp.float32, xp.bool)
    assert device_of(x) == device_of(mask) == xp.place.device
    for i, sequence in enumerate(given):
        n = len(sequence)
        np.testing.assert_array_equal(to_numpy(x)[i, :n], sequence)
        assert np.all(to_numpy(x)[i, n:] == -2)
        assert to_numpy(mask)[i].tolist() == [True] * n + [False] * (5 - n)


def test_lists_and_whole_numbers():
    x, mask = pnn.pad_sequences([[1, 2], [3]])
    assert x.dtype == np.int64
    assert (x.tolist(), mask.tolist()) == ([[1, 2], [3, 0]], [[True, True], [True, False]])


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ([], pnn.ShapeError, "at least one array .*got none"),
        (np.ones((2, 3)), pnn.ShapeError, r"a list .* got an array of shape \(2, 3\)"),
        ([np.ones((2, 3)), np.ones((2, 4))], pnn.ShapeError, r"shapes \(T, 3\), got \(2, 4\) at 1"),
        ([np.asarray(3.0)], pnn.ShapeError, r"shapes \(T,\), got \(\) at 0"),
        ([np.ones(2), np.ones(2, int)], pnn.DTypeError, "one data type, float64, got int64 at 1"),
        ([np.ones(2), "ab"], pnn.NamespaceError, "an array of"),
    ],
)
def test_what_cannot_be_padded_is_refused(given, error, said):
    with pytest.raises(error, match=said):
        pnn.pad_sequences(given)


def test_ragged_lists_are_told_of_it():
    with pytest.raises(pnn.ShapeError, match="pad_sequences makes an array and a mask"):
        pnn.Sequential(pnn.Affine(2, 2), seed=0).predict([[1.0, 2.0], [3.0]])
