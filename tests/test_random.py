"""Seeds and streams: every draw depends on its seed, its name and its number alone."""

import contextlib
import copy
import os
import pickle
import subprocess
import sys
import threading
from itertools import combinations

import numpy as np
import pytest

from portable_nn import random
from portable_nn.random import Stream, generator, permutation, replayed

PATHS = [
    (),
    ("weights",),
    ("weights", "0.W"),
    ("weights", "0.b"),
    ("weights", "1.W"),
    ("0.W", "weights"),
    ("batches", 0),
]
PATHS += [("batches", 1), ("batches", 10), ("batches", 1, 0)]


def numbers(seed, path):
    return generator(seed, *path).standard_normal(4096)


def test_paths_and_seeds_are_independent():
    draws = [numbers(seed, path) for seed in (0, 1, 2**32 - 1) for path in PATHS]
    limit = 5 / np.sqrt(4096)  # five standard deviations of the correlation of independent draws
    assert max(abs(np.corrcoef(a, b)[0, 1]) for a, b in combinations(draws, 2)) < limit


def test_a_path_gives_the_same_numbers_whatever_was_drawn_before():
    first = numbers(7, ("weights", "0.W"))
    numbers(7, ("weights", "1.W"))
    np.testing.assert_array_equal(numbers(7, ("weights", "0.W")), first)


FRESH = """
from portable_nn.random import Stream, generator, permutation
stream = Stream(5)
print(generator(5, "weights", "0.W").standard_normal(3).tolist())
print(permutation(5, 2, 6).tolist(), stream.next(), stream.next())
"""


@pytest.mark.parametrize("hash_seed", ["1", "2"])  # Python's own hash of a name changes with it
def test_a_fresh_process_draws_the_same(hash_seed):
    environment, stream = os.environ | {"PYTHONHASHSEED": hash_seed}, Stream(5)
    run = subprocess.run([sys.executable, "-c", FRESH], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        str(generator(5, "weights", "0.W").standard_normal(3).tolist()),
        f"{permutation(5, 2, 6).tolist()} {stream.next()} {stream.next()}",
    ]


def test_the_global_state_of_numpy_is_left_alone():
    np.random.seed(3)  # noqa: NPY002  (the state that is meant)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    permutation(0, 0, 10)
    Stream(0).next()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("length", [0, 1, 2, 1000])
def test_a_permutation_holds_every_sample_once(length):
    order = permutation(0, 3, length)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(length))


def test_a_permutation_changes_with_epoch_and_seed():
    orders = [tuple(permutation(seed, epoch, 50)) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len(set(orders)) == len(orders)
    assert tuple(permutation(0, 1, 50)) == orders[1]


def test_every_position_is_reached_alike():
    firsts = [permutation(0, epoch, 4)[0] for epoch in range(1000)]
    shares = np.bincount(firsts, minlength=4) / 1000
    assert np.all(np.abs(shares - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 1000))


def test_keys_are_pairs_of_signed_32_bit_integers():
    stream = Stream(0)
    keys = [stream.next() for _ in range(200)]
    assert len(set(keys)) == 200
    words = [word for key in keys for word in key]
    assert all(type(word) is int and -(2**31) <= word < 2**31 for word in words)
    assert min(words) < -(2**30) < 2**30 < max(words)


def test_streams_differ_by_seed_and_name():
    assert len({Stream(seed, name).next() for seed in (0, 1) for name in ("dropout", "noise")}) == 4


def test_the_position_can_be_set():
    stream = Stream(4)
    keys = [stream.next() for _ in range(5)]
    assert stream.position == 5
    stream.position = 3
    assert stream.next() == keys[3]


@pytest.mark.parametrize("copied", [lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy, copy.copy])
def test_a_copy_goes_on_from_the_same_position(copied):
    stream = Stream(4, "noise")
    stream.next()
    twin = copied(stream)
    assert [twin.next(), twin.next()] == [stream.next(), stream.next()]


def test_replayed_sets_streams_back():
    one, two = Stream(1), Stream(2)
    one.next()
    with replayed():
        inside = [one.next(), two.next(), one.next()]
    assert (one.position, two.position) == (1, 0)
    assert [one.next(), two.next(), one.next()] == inside


def test_replayed_sets_back_after_an_error():
    stream = Stream(1)
    with contextlib.suppress(ZeroDivisionError), replayed():
        stream.next()
        raise ZeroDivisionError
    assert stream.position == 0
    stream.next()
    assert stream.position == 1


def test_replayed_inside_replayed():
    stream = Stream(1)
    with replayed():
        first = stream.next()
        with replayed():
            second = stream.next()
        assert stream.position == 1
        assert stream.next() == second
    assert stream.position == 0
    assert stream.next() == first


def test_a_stream_first_used_in_an_inner_context_is_set_back_by_the_outer():
    stream = Stream(1)
    with replayed():
        with replayed():
            stream.next()
        stream.next()
    assert stream.position == 0


def test_replayed_leaves_other_threads_alone():
    stream = Stream(1)
    with replayed():
        thread = threading.Thread(target=stream.next)
        thread.start()
        thread.join()
    assert stream.position == 1


def test_fresh_seeds_differ_and_fit_in_32_bits():
    seeds = {random.fresh_seed() for _ in range(20)}
    assert len(seeds) > 15
    assert all(0 <= seed < 2**32 for seed in seeds)
