"""Compiling what is called again and again: nothing to do where arrays are computed at once. N = batch."""

from collections.abc import Callable
from typing import Any, cast

from portable_nn.arrays import device_of, each, flat, indices_beside, is_array, namespace_of
from portable_nn.kernels.portable.memory import rows

__all__ = ["accumulate", "compile_pass", "compile_step", "compile_steps"]


def accumulate(
    function: Callable[[Any, Any, Any], tuple[Any, Any, Any]], state: Any, batch: tuple[Any, ...], rows: int
) -> tuple[Any, Any, Any]:
    """Call `function` for every `rows` rows of a batch in turn; return the last state, the sum of results, and outputs.

    `function` is (state, first, rows of the batch) -> (state, result, outputs), with `first` the number of the first of
    these rows: an integer, or a 0-d integer array of int32. `batch` is a tuple of arrays (N, ...), of tuples of such,
    and of None, N > 0; the last call may get fewer rows. The results are trees of numbers and arrays in tuples and
    lists, the outputs an array of as many rows, a tuple of such, or None: one after the other they are returned.
    """
    total, outputs = cast("Any", None), list[Any]()
    count = flat(batch[0])[0].shape[0]
    for first in range(0, count, rows):
        part = each(lambda array, first=first: array[first : min(first + rows, count), ...], batch)
        state, result, output = function(state, first, part)
        total = result if total is None else _sum(total, result)
        outputs.append(output)
    return state, total, _joined(outputs)


def _joined(outputs: list[Any]) -> Any:
    if isinstance(outputs[0], tuple):
        return tuple(_joined(list(column)) for column in zip(*outputs, strict=True))
    return None if outputs[0] is None else namespace_of(outputs[0]).concat(outputs, axis=0)


def _sum(one: Any, other: Any) -> Any:
    if not isinstance(one, tuple | list):
        return one + other
    sums = map(_sum, cast("list[Any]", one), other)
    return tuple(sums) if isinstance(one, tuple) else [*sums]


def compile_pass(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of arrays that does what `function` does."""
    return function


def compile_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does what `step` does; parameters and optimizer slots passed to it are given away."""
    return step


def compile_steps(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function (params, slots, data, orders, keys, numbers) -> (params, slots, results) of S steps.

    `step` is (params, slots, *batch, key, numbers) -> (params, slots, result). Step s gets the rows of each array in
    `data` at the indices orders[s] of the NumPy array `orders` (S, n), None for None and a tuple for a tuple, and of
    the lists `keys` and `numbers` keys[s] and numbers[s]. `result` is a tuple of arrays, or numbers, or tuples of
    such; `results` has them as arrays with an axis (S, ...) more.
    """

    def steps(params: Any, slots: Any, data: Any, orders: Any, keys: Any, numbers: Any) -> Any:
        done: list[Any] = []
        for order, key, now in zip(orders.tolist(), keys, numbers, strict=True):
            batch = [each(lambda x, order=order: rows(x, indices_beside(x, order)), part) for part in data]
            params, slots, result = step(params, slots, *batch, key, now)
            done.append(result)
        first = flat(done[0][0])[0]
        xp, kind = namespace_of(first), {"dtype": first.dtype, "device": device_of(first)}

        def column(parts: Any) -> Any:
            if isinstance(parts[0], tuple):
                return tuple(map(column, zip(*parts, strict=True)))
            return xp.stack([part if is_array(part) else xp.asarray(part, **kind) for part in parts])

        return params, slots, column(done)

    return steps
