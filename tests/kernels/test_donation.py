"""Memory given to kernels outside plans."""

import numpy as np

from portable_nn.kernels import Donating, kernels_for


def test_a_result_is_written_over_by_the_next_of_its_shape_and_no_other():
    rows, x = Donating(kernels_for(np).rows), np.arange(12.0).reshape(6, 2)
    first = rows(x, np.array([1, 2]))
    other = rows(x, np.array([3, 4, 5]))
    second = rows(x, np.array([0, 5]))
    assert second is first
    np.testing.assert_array_equal(second, x[[0, 5]])
    np.testing.assert_array_equal(other, x[3:])


def test_memory_is_kept_for_a_few_shapes_only():
    rows, x = Donating(kernels_for(np).rows), np.arange(40.0)
    for size in range(1, 30):
        np.testing.assert_array_equal(rows(x, np.arange(size)), x[:size])
    assert len(rows._results) <= 8


def test_a_kernel_that_takes_no_memory_returns_its_own():
    double = Donating(lambda x: 2 * x)
    first = double(np.ones(3))
    assert double(np.ones(3)) is not first
