"""How many threads run a kernel. None of it depends on the device: sums come out the same on all of them."""

from typing import TypeAlias

__all__ = ["BLOCKS", "Launch", "column_launch", "flat_launch", "matrix_launch", "row_launch", "share", "sum_launch"]

Launch: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""The grid and the block, each as (x, y)."""

THREADS = 256  # in every block; the prelude says it too
BLOCKS = 512  # at most, where blocks add up together: enough to fill a device, and few partial sums
_WARP = 32
_GRID_X, _GRID_Y = 65_536, 65_535  # threads go on to further elements; CUDA allows no larger grid in y


def flat_launch(size: int) -> Launch:
    """Return the launch for `size` elements, each by itself."""
    return (_within(size, THREADS, _GRID_X), 1), (THREADS, 1)


def sum_launch(size: int, most: int = BLOCKS) -> Launch:
    """Return the launch for `size` elements that are summed up: four to a thread before there are more blocks."""
    return (_within(size, 4 * THREADS, min(most, BLOCKS)), 1), (THREADS, 1)


def row_launch(rows: int, columns: int) -> Launch:
    """Return the launch for rows that are summed up, each by a warp, or by a whole block if it is long."""
    width = _WARP if columns <= 32 * _WARP else THREADS
    return (_within(rows, THREADS // width, BLOCKS), 1), (width, THREADS // width)


def matrix_launch(rows: int, columns: int, *, summed: bool = False) -> Launch:
    """Return the launch for a matrix in which a thread keeps to its column; `summed` if columns are summed up."""
    width = min(_WARP, 1 << max(columns - 1, 0).bit_length())
    height = THREADS // width
    across = max(1, -(-columns // width))
    if summed:
        return (across, _within(rows, 4 * height, max(1, BLOCKS // across))), (width, height)
    return (across, _within(rows, height, _GRID_Y)), (width, height)


def column_launch(sums: int, *, side_by_side: bool) -> Launch:
    """Return the launch for so many sums, each by a column of threads: all of a block, unless they lie side by side."""
    width = min(_WARP, 1 << max(sums - 1, 0).bit_length()) if side_by_side else 1
    return (max(1, -(-sums // width)), 1), (width, THREADS // width)


def share(size: int, launch: Launch, unit: int = 1) -> int:
    """Return how many of `size` things each block gets, in units of so many, if all blocks together get them all."""
    return -(-size // (launch[0][0] * unit)) * unit


def _within(size: int, each: int, limit: int) -> int:
    """Return how many blocks cover `size` things, `each` to a block, from 1 to `limit`."""
    return max(1, min(-(-size // each), limit))
