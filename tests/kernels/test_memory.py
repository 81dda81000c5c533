"""Arrays in one array: what is in it, what its parts are, and how NumPy's lie."""

import numpy as np
import pytest

from portable_nn import Place, to_numpy
from portable_nn.kernels import kernels_for

SHAPES = [(7, 5), (5,), (5, 7), (3,), (2, 3, 4), (6, 1)]


def test_the_parts_are_copies_in_their_shapes(xp):
    place = xp.place
    values = [np.arange(np.prod(shape)).reshape(shape) for shape in SHAPES]
    arrays = [place.asarray(value) for value in values]
    whole, parts = kernels_for(place.xp).pack(arrays)
    assert whole.ndim == 1
    assert place.holds(whole)
    assert whole.dtype == place.dtype
    assert float(to_numpy(whole).sum()) == sum(value.sum() for value in values)  # the gaps are zeros
    for part, value in zip(parts, values, strict=True):
        np.testing.assert_array_equal(to_numpy(part), value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_of_numpy_begin_at_cache_lines_and_are_written_through(dtype):
    arrays = [np.ones(shape, dtype) for shape in SHAPES]
    whole, parts = kernels_for(np).pack(arrays)
    assert all(part.ctypes.data % 64 == 0 for part in parts)
    for part in parts:
        part[...] = 2.0
    assert whole.sum() == 2 * sum(array.size for array in arrays)
    assert all(array.sum() == array.size for array in arrays)


def test_tall_matrices_of_numpy_lie_by_columns():
    _, (tall, _, wide, *_) = kernels_for(np).pack([np.ones(shape, "float32") for shape in SHAPES])
    assert tall.flags.f_contiguous
    assert wide.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_that_can_be_written_begin_at_multiples_of_16_bytes(xp64, dtype):
    place = Place(xp64.place.xp, xp64.place.device, dtype)
    if not kernels_for(place.xp).updates:
        pytest.skip("arrays of this library are not written")
    arrays = [place.asarray(np.ones(shape)) for shape in SHAPES]
    whole, parts = kernels_for(place.xp).pack(arrays)
    assert sum(array.size for array in map(to_numpy, arrays)) == float(to_numpy(whole).sum())
    whole[...] = place.asarray(np.arange(whole.shape[0]))
    firsts = [int(to_numpy(part).flat[0]) for part in parts]  # the place of each, by what was written through the whole
    assert all(first * to_numpy(whole).itemsize % 16 == 0 for first in firsts)
    assert firsts == sorted(set(firsts))


def test_there_are_no_gaps_where_none_are_needed(xp):
    whole, _ = kernels_for(xp.place.xp).pack([xp.place.asarray(np.ones(shape)) for shape in [(4, 8), (32,), (2, 4, 4)]])
    assert whole.shape[0] >= 96
    if xp.place.backend != "numpy":  # whose parts begin at cache lines
        assert whole.shape == (96,)
