"""Matrix products, with a weight above all, and the shapes around them.

N = batch, I = inputs, O = outputs; `...` stands for any further axes, whose sizes multiply to I.
Source of the gradients: Goodfellow, Bengio, Courville, Deep Learning (2016), section 6.5.6.
"""

import math

from portable_nn.arrays import Array, namespace_of
from portable_nn.kernels.portable.arithmetic import unbroadcast
from portable_nn.kernels.portable.reductions import sum_along

__all__ = [
    "affine",
    "affine_gradient_W",
    "affine_gradient_b",
    "affine_gradient_x",
    "matmul",
    "matmul_gradient_W",
    "matmul_gradient_a",
    "matmul_gradient_b",
    "matmul_gradient_x",
    "reshape",
    "transpose",
]


def affine(x: Array, W: Array, b: Array | None) -> Array:
    """Return y = x W + b: x (N, ...), W (I, O), b (O,) or None, y (N, O)."""
    y = reshape(x, (x.shape[0], W.shape[0])) @ W
    return y if b is None else y + b


def affine_gradient_x(dy: Array, W: Array, shape: tuple[int, ...]) -> Array:
    """Return dx = dy W^T in the shape of x: dy (N, O), W (I, O), dx (N, ...)."""
    return reshape(dy @ transpose(W), shape)


def affine_gradient_W(dy: Array, x: Array) -> Array:
    """Return dW = x^T dy: dy (N, O), x (N, ...), dW (I, O)."""
    return transpose(reshape(x, (x.shape[0], math.prod(x.shape[1:])))) @ dy


def affine_gradient_b(dy: Array) -> Array:
    """Return db, the sum of dy (N, O) over the batch: (O,)."""
    return sum_along(dy, (0,), keepdims=False)


def matmul(x: Array, W: Array) -> Array:
    """Return y = x W: x (..., I), W (I, O), y (..., O)."""
    return x @ W


def matmul_gradient_x(dy: Array, W: Array) -> Array:
    """Return dx = dy W^T: dy (..., O), W (I, O), dx (..., I)."""
    return dy @ transpose(W)


def matmul_gradient_W(dy: Array, x: Array) -> Array:
    """Return dW = x^T dy, summed over all axes but the last: dy (..., O), x (..., I), dW (I, O)."""
    rows = math.prod(x.shape[:-1])
    return transpose(reshape(x, (rows, x.shape[-1]))) @ reshape(dy, (rows, dy.shape[-1]))


def matmul_gradient_a(dy: Array, b: Array, shape: tuple[int, ...]) -> Array:
    """Return da = dy b^T for a of `shape`: dy (..., n, m), b (..., k, m), da (..., n, k)."""
    return unbroadcast(dy @ namespace_of(b).matrix_transpose(b), shape)


def matmul_gradient_b(dy: Array, a: Array, shape: tuple[int, ...]) -> Array:
    """Return db = a^T dy for b of `shape`: dy (..., n, m), a (..., n, k), db (..., k, m)."""
    return unbroadcast(namespace_of(a).matrix_transpose(a) @ dy, shape)


def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    """Return x in another shape of as many elements."""
    return namespace_of(x).reshape(x, shape)


def transpose(W: Array) -> Array:
    """Return W^T: W (I, O), W^T (O, I)."""
    return namespace_of(W).permute_dims(W, (1, 0))
