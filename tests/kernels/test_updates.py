"""Portable updates: first steps worked by hand, clipping, and lists that are not written.

Whole trajectories are held to torch and scikit-learn in tests/optimizers/test_optimizers.py.
"""

import math

import numpy as np
import pytest

from portable_nn import to_numpy
from portable_nn.kernels import PORTABLE

P, G, S = [[1.0, -2.0], [4.0]], [[0.5, -1.0], [2.0]], [[1.0, 3.0], [0.5]]  # parameters, gradients, one slot


def arrays(xp, rows):
    return [xp.asarray(row, dtype=xp.float32) for row in rows]


def lists(result):
    return [to_numpy(array).tolist() for array in result]


# name: (slots, numbers, what comes out for one p, g and slots s)
RULES = {
    "sgd": (0, (0.5,), lambda p, g: (p - 0.5 * g,)),
    "momentum": (1, (0.5, 0.75), lambda p, g, v: (p + 0.75 * v - 0.5 * g, 0.75 * v - 0.5 * g)),
    "nesterov": (
        1,
        (0.5, 0.75),
        lambda p, g, v: (p + 0.75 * (0.75 * v - 0.5 * g) - 0.5 * g, 0.75 * v - 0.5 * g),
    ),
    "adagrad": (
        1,
        (0.5, 0.25),
        lambda p, g, h: (p - 0.5 * g / (math.sqrt(h + g**2) + 0.25), h + g**2),
    ),
    "rmsprop": (
        1,
        (0.5, 0.75, 0.25),
        lambda p, g, h: (
            p - 0.5 * g / (math.sqrt(0.75 * h + 0.25 * g**2) + 0.25),
            0.75 * h + 0.25 * g**2,
        ),
    ),
    "adam": (
        2,
        (0.5, 0.5, 0.75, 0.25),
        lambda p, g, m, v: (
            p - 0.5 * (0.5 * m + 0.5 * g) / (math.sqrt(0.75 * v + 0.25 * g**2) + 0.25),
            0.5 * m + 0.5 * g,
            0.75 * v + 0.25 * g**2,
        ),
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_one_step_of_each_rule(xp, name):
    slots, numbers, rule = RULES[name]
    given = [arrays(xp, rows) for rows in (P, G, *[S] * slots)]
    result = getattr(PORTABLE, name)(*given, *numbers)
    result = result if slots else (result,)
    for position, (p_row, g_row, s_row) in enumerate(zip(P, G, S, strict=True)):
        expected = [rule(p, g, *[s] * slots) for p, g, s in zip(p_row, g_row, s_row, strict=True)]
        for array, column in zip([column[position] for column in result], zip(*expected, strict=True), strict=True):
            np.testing.assert_allclose(to_numpy(array), column, rtol=1e-6)
            assert array.dtype == xp.float32
            assert xp.place.holds(array)
    assert [lists(rows) for rows in given] == [P, G, *[S] * slots]


def test_decay_of_both_kinds(xp):
    p, g = arrays(xp, P), arrays(xp, G)
    assert lists(PORTABLE.add_l2(g, p, 0.5)) == [[1.0, -2.0], [4.0]]
    assert lists(PORTABLE.decay(p, 0.25)) == [[0.75, -1.5], [3.0]]
    assert (lists(p), lists(g)) == (P, G)


def test_clip_by_value_cuts_each_element(xp):
    g = arrays(xp, [[0.5, -3.0], [math.inf, -math.inf]])
    assert lists(PORTABLE.clip_by_value(g, 1.0)) == [[0.5, -1.0], [1.0, -1.0]]


def test_clip_by_global_norm_takes_all_arrays_together(xp):
    g = arrays(xp, [[3.0, 0.0], [4.0]])  # of norm 5 together
    np.testing.assert_allclose(np.concatenate(lists(PORTABLE.clip_by_global_norm(g, 1.0))), [0.6, 0, 0.8], rtol=1e-6)
    assert lists(PORTABLE.clip_by_global_norm(g, 5.0)) == lists(g)
    assert lists(PORTABLE.clip_by_global_norm(g, 1e6)) == lists(g)
    assert lists(PORTABLE.clip_by_global_norm(arrays(xp, [[0.0], [0.0]]), 1.0)) == [[0.0], [0.0]]


def test_a_nan_gradient_is_not_hidden_by_clipping(xp):
    assert np.isnan(lists(PORTABLE.clip_by_global_norm(arrays(xp, [[math.nan], [1.0]]), 1.0))[0][0])


def test_lists_must_be_of_one_length(xp):
    p, g = arrays(xp, P), arrays(xp, G)
    with pytest.raises(ValueError, match="zip"):
        PORTABLE.sgd(p, g[:1], 0.1)


def test_nothing_to_update():
    assert PORTABLE.sgd([], [], 0.1) == PORTABLE.clip_by_global_norm([], 1.0) == PORTABLE.clip_by_value([], 1.0) == []
    assert PORTABLE.adam([], [], [], [], 0.1, 0.9, 0.999, 1e-8) == ([], [], [])
