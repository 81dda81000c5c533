from importlib import resources

import numpy as np
import pytest

from portable_nn.datasets import load_digits

# optdigits.names, "Class Distribution" of the test set, which is the part that is shipped.
COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
# A fifth of each, rounded by hand: 35.6, 36.4, 35.4, 36.6, 36.2, 36.4, 36.2, 35.8, 34.8, 36.0.
FIFTHS = [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
# The first line of optdigits.tes, a zero.
FIRST = [
    [0, 0, 5, 13, 9, 1, 0, 0],
    [0, 0, 13, 15, 10, 15, 5, 0],
    [0, 3, 15, 2, 0, 11, 8, 0],
    [0, 4, 12, 0, 0, 8, 8, 0],
    [0, 5, 8, 0, 0, 9, 8, 0],
    [0, 4, 11, 0, 1, 12, 7, 0],
    [0, 2, 14, 5, 10, 12, 0, 0],
    [0, 0, 6, 13, 10, 0, 0, 0],
]


def rows(x):
    return {row.tobytes() for row in x}


def test_the_counts_that_uci_gives():
    (x, t), (x2, t2) = load_digits()
    assert (x.shape, t.shape, x2.shape, t2.shape) == ((1438, 64), (1438,), (359, 64), (359,))
    assert x.dtype == x2.dtype == np.float32
    assert t.dtype == t2.dtype == np.int64
    assert np.bincount(np.concatenate([t, t2])).tolist() == COUNTS
    assert np.bincount(t2).tolist() == FIFTHS
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)


def test_no_image_is_in_both_parts():
    (x, _), (x2, _) = load_digits()
    assert len(rows(x)) == 1438
    assert len(rows(x2)) == 359
    assert not rows(x) & rows(x2)


def test_the_images_keep_their_labels():
    for seed in (0, 1):
        (x, t), (x2, t2) = load_digits(seed=seed, normalize=False, flatten=False)
        images, labels = np.concatenate([x, x2]), np.concatenate([t, t2])
        (place,) = np.flatnonzero((images == np.array(FIRST)).all(axis=(1, 2, 3)))
        assert labels[place] == 0


def test_the_same_seed_gives_the_same_samples():
    first = load_digits(seed=3)
    np.random.default_rng(0).random(5)
    again, other = load_digits(seed=3), load_digits(seed=4)
    for one, two in zip(sum(first, ()), sum(again, ()), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0][0], other[0][0])
    assert rows(first[1][0]) != rows(other[1][0])


def test_the_split_is_what_the_published_data_and_a_plain_loop_give():
    data = pytest.importorskip("sklearn.datasets").load_digits()
    raw = np.random.PCG64(7).random_raw(1797).tolist()
    train, test, seen = [], [], [0] * 10
    for row in sorted(range(1797), key=raw.__getitem__):
        label = int(data.target[row])
        seen[label] += 1
        (test if seen[label] <= FIFTHS[label] else train).append(row)
    (x, t), (x2, t2) = load_digits(seed=7, normalize=False)
    np.testing.assert_array_equal(x, data.data[train])
    np.testing.assert_array_equal(t, data.target[train])
    np.testing.assert_array_equal(x2, data.data[test])
    np.testing.assert_array_equal(t2, data.target[test])


def test_the_options():
    (x, _), _ = load_digits(flatten=False)
    (flat, t), (_, t2) = load_digits()
    assert x.shape == (1438, 1, 8, 8)
    np.testing.assert_array_equal(x.reshape(1438, 64), flat)
    (stored, _), _ = load_digits(normalize=False)
    assert stored.dtype == np.uint8
    assert int(stored.max()) == 16
    np.testing.assert_array_equal(stored.astype(np.float32) / np.float32(16), flat)
    (_, hot), (_, hot2) = load_digits(one_hot=True)
    assert hot.dtype == hot2.dtype == np.float32
    assert hot2.shape == (359, 10)
    assert hot.sum() == 1438
    np.testing.assert_array_equal(hot.argmax(axis=1), t)
    np.testing.assert_array_equal(hot2.argmax(axis=1), t2)


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (0.5, None), (1.0, 1797)])
def test_the_share_of_the_test_samples(fraction, count):
    (x, t), (x2, t2) = load_digits(test_fraction=fraction)
    assert len(x) == len(t)
    assert len(x2) == len(t2)
    assert len(x) + len(x2) == 1797
    if count is None:
        halves = np.bincount(t2) - np.array(COUNTS) / 2
        assert np.abs(halves).max() <= 0.5
    else:
        assert len(x2) == count


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none(fraction):
    with pytest.raises(ValueError, match=f"needs a test_fraction from 0 to 1, got {fraction}"):
        load_digits(test_fraction=fraction)


def test_the_caller_may_write_into_what_was_loaded():
    (x, _), _ = load_digits(normalize=False)
    x[:] = 0
    (again, _), _ = load_digits(normalize=False)
    assert int(again.max()) == 16


def test_the_attribution_is_shipped():
    text = (resources.files("portable_nn.datasets") / "DIGITS-LICENSE.md").read_text(encoding="utf-8")
    for words in ("Alpaydin", "Kaynak", "1998", "CC BY 4.0", "10.24432/C50P49"):
        assert words in text
