"""JAX: whole passes and steps as one compiled computation; and sums that take XLA long."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax as _jax
import numpy as np

from portable_nn.arrays import as_dtype_of, each, flat, widened
from portable_nn.kernels.fast._jax_norms import layer_norm_gradient, rms_norm_gradient
from portable_nn.kernels.portable import embedding as portable

__all__ = [
    "accumulate",
    "compile_pass",
    "compile_step",
    "compile_steps",
    "embedding_gradient",
    "layer_norm_gradient",
    "rms_norm_gradient",
]

jax: Any = _jax  # its types are in part unknown


def accumulate(function: Callable[..., Any], state: Any, batch: Any, rows: int) -> tuple[Any, Any, Any]:
    """Call `function` for every `rows` rows in one `lax.scan`: however many there are, it is compiled once.

    And once more for fewer rows at the end.
    """
    tree = jax.tree
    calls, rest = divmod(flat(batch[0])[0].shape[0], rows)
    together = calls * rows
    firsts = jax.numpy.arange(calls, dtype=jax.numpy.int32) * rows
    parts = each(lambda array: array[:together].reshape(calls, rows, *array.shape[1:]), batch)

    def one(carry: Any, part: Any) -> Any:
        state, result, output = function(carry[0], *part)
        return (state, tree.map(jax.numpy.add, carry[1], result)), output

    result = jax.eval_shape(function, state, firsts[0], each(lambda array: array[0], parts))[1]
    zeros = tree.map(jax.numpy.zeros_like, result)
    (state, total), outputs = jax.lax.scan(one, (state, zeros), (firsts, parts))
    outputs = tree.map(_as_one, outputs)
    if rest:
        state, result, output = function(state, together, each(lambda array: array[together:], batch))
        total = tree.map(jax.numpy.add, total, result)
        outputs = tree.map(_joined, outputs, output)
    return state, total, outputs


def _as_one(parts: Any) -> Any:
    """Return the rows of all parts (parts, rows, ...) as (parts rows, ...)."""
    return parts.reshape(parts.shape[0] * parts.shape[1], *parts.shape[2:])


def _joined(rows: Any, others: Any) -> Any:
    return jax.numpy.concatenate((rows, others))


def compile_pass(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` compiled, once for each form and shape of its arguments."""
    return jax.jit(function)


def _host_pass(function: Callable[..., Any], device: Any) -> Callable[..., Any]:
    """Return the compiled function (params, x) for x in NumPy's memory, of which JAX gets a copy as it is.

    JAX reads such memory after the call has returned; a copy is nobody else's. That takes it fewer steps than to make
    an array of its own before.
    """

    def call(params: Any, x: Any) -> Any:
        x = _copied(x)
        # Where the result comes to be is decided by what is committed to a device.
        return function(params, x if params and params[0].committed else jax.device_put(x, device))

    return call


_LARGE, _ALIGNED = 1 << 16, 64  # bytes; JAX takes memory that begins at a multiple of the latter without another copy


def _copied(x: np.ndarray) -> np.ndarray:
    if x.nbytes < _LARGE:
        return x.copy()
    memory = np.empty(x.nbytes + _ALIGNED, np.uint8)
    begin = -memory.ctypes.data % _ALIGNED
    copy = memory[begin : begin + x.nbytes].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy


HOST_KIND, HOST_PASS = np.ndarray, _host_pass


def compile_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return `step` compiled as a whole, with the memory of its first two arguments reused for its results."""
    return jax.jit(step, donate_argnums=(0, 1))


def compile_steps(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return S steps as one computation, a `lax.scan`, so that JAX is called once for all of them."""

    def scan(params: Any, slots: Any, data: Any, orders: Any, keys: Any, numbers: Any) -> Any:
        def one(state: Any, each: Any) -> Any:
            order, key, now = each
            # The indices are in range; any other mode than "clip" looks at them again.
            batch = jax.tree.map(partial(jax.numpy.take, indices=order, axis=0, mode="clip"), data)
            params, slots, result = step(*state, *batch, (key[0], key[1]), now)
            return (params, slots), result

        (params, slots), results = jax.lax.scan(one, (params, slots), (orders, keys, numbers))
        return params, slots, results

    compiled = jax.jit(scan, donate_argnums=(0, 1))

    def steps(params: Any, slots: Any, data: Any, orders: Any, keys: Any, numbers: Any) -> Any:
        columns = {name: np.asarray([now[name] for now in numbers], params[0].dtype) for name in numbers[0]}
        return compiled(params, slots, data, orders, np.asarray(keys, np.int32), columns)

    return steps


def embedding_gradient(dy: Any, x: Any, count: int, padding: int | None) -> Any:
    """Return for each row the sum of dy over its uses in x: a scatter on the CPU, where it has one order."""

    def scattered(dy: Any, x: Any) -> Any:
        wide = widened(dy)
        sums = jax.numpy.zeros((count, dy.shape[-1]), wide.dtype).at[x].add(wide, mode="drop")
        return as_dtype_of(dy, sums if padding is None else sums.at[padding].set(0))

    def sorted_first(dy: Any, x: Any) -> Any:
        return portable.embedding_gradient(dy, x, count, padding)

    return jax.lax.platform_dependent(dy, x, cpu=scattered, default=sorted_first)
