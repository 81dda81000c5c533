"""Dropout masks and noise from counters: no state, no host, and the same on every backend.

N = batch, C = channels. What is drawn for an element depends on the number n of its row and its place i there, on the
key of the pass, and on the number of the layer's draw in it. Where the key says which rows of a batch these are, n
counts from its beginning. More rows, or more behind in each row, change nothing in the others: what is padded is drawn
for as what is not. Draws of different keys or layers are independent as far as the hash can tell.
"""

import math
from typing import Any

from portable_nn.arrays import Array, as_dtype_of, device_of, namespace_of, widened
from portable_nn.random import Key, first_row

__all__ = ["alpha_dropout", "alpha_dropout_gradient", "channel_mask", "dropout_mask", "gaussian_noise"]


def dropout_mask(x: Array, rate: float, key: Key, layer: int) -> Array:
    """Return a mask for x (N, ...), in its shape and dtype: 0 with probability rate, else 1 / (1 - rate).

    Element i of row n is kept if the upper 24 bits of a hash of (n, i, key, layer) reach rate 2^24. Source of dropout:
    Srivastava et al. (JMLR 15, 2014), section 4, with the scaling of the kept elements moved from prediction to
    training ("inverted").
    """
    return namespace_of(x).reshape(_kept(x, math.prod(x.shape[1:]), rate, key, layer), x.shape)


def channel_mask(x: Array, rate: float, axis: int, key: Key, layer: int) -> Array:
    """Return a mask for whole channels of x (N, ..., C, ...), which lie along an axis counted from the front.

    It is (N, 1, ..., C, ..., 1), and for (N, C) that of `dropout_mask`. Source: Tompson, Goroshin, Jain, LeCun, Bregler
    (CVPR 2015), section 3.2.
    """
    rows, channels = x.shape[0], x.shape[axis]
    shape = tuple(rows if k == 0 else channels if k == axis else 1 for k in range(x.ndim))
    return namespace_of(x).reshape(_kept(x, channels, rate, key, layer), shape)


_FLOOR = -1.0507009873554804934 * 1.6732632423543772848
"""The limit of SELU for x to minus infinity."""


def alpha_dropout(x: Array, mask: Array, rate: float) -> Array:
    """Return a x + b where a mask of `dropout_mask` is not 0, else a f + b, with f the lower limit of SELU.

    a = ((1 - rate) (1 + rate f^2))^(-1/2) and b = -a rate f keep mean 0 and variance 1. Source: Klambauer, Unterthiner,
    Mayr, Hochreiter, Self-normalizing neural networks (NIPS 2017), "New dropout technique".
    """
    scale = _scale(rate)
    offset = -scale * rate * _FLOOR
    return namespace_of(x).where(mask > 0, scale * x + offset, scale * _FLOOR + offset)


def alpha_dropout_gradient(dy: Array, mask: Array, rate: float) -> Array:
    """Return a dy where the mask is not 0, else 0."""
    return namespace_of(dy).where(mask > 0, _scale(rate) * dy, 0.0)


def _scale(rate: float) -> float:
    return ((1.0 - rate) * (1.0 + rate * _FLOOR**2)) ** -0.5


def gaussian_noise(x: Array, std: float, key: Key, layer: int) -> Array:
    """Return x plus std times normal numbers, which are the same on every backend but for the rounding of log and cos.

    sqrt(-2 log u) cos(2 pi v), with u and v from the upper 24 bits of two hashes, at the places i and -1 - i of a row:
    none is farther from 0 than 5.77. Source: Box and Muller, Annals of Mathematical Statistics 29 (1958) 610.
    """
    xp, wide, width = namespace_of(x), widened(x), math.prod(x.shape[1:])
    u = (xp.astype(_bits(x, width, key, layer), wide.dtype) + 1.0) * 2.0**-24
    v = xp.astype(_bits(x, width, key, layer, mirrored=True), wide.dtype) * 2.0**-24
    normal = xp.sqrt(-2.0 * xp.log(u)) * xp.cos((2.0 * math.pi) * v)
    return as_dtype_of(x, wide + std * xp.reshape(normal, x.shape))


def _kept(x: Array, width: int, rate: float, key: Key, layer: int) -> Any:
    """Return 0 or 1 / (1 - rate) for rows of `width` elements, as many rows as x has."""
    keep = _bits(x, width, key, layer) >= round(rate * 2**24)
    return namespace_of(x).astype(keep, x.dtype) * (1.0 / (1.0 - rate))


def _bits(x: Array, width: int, key: Key, layer: int, *, mirrored: bool = False) -> Any:
    """Return the upper 24 bits of the hash of each place of such rows, or with `mirrored` of the places -1 - i."""
    xp, kind = namespace_of(x), {"dtype": namespace_of(x).int32, "device": device_of(x)}
    rows = x.shape[0] if x.ndim else 1
    n: Any = xp.arange(rows, **kind)
    if key[2:]:
        n = n + first_row(rows, key)
    i: Any = xp.arange(width, **kind)
    i = -1 - i if mirrored else i
    bits = _mix(_mix(_mix(n ^ key[0]) ^ layer)[:, None] + _mix(i ^ key[1])[None, :])
    return _logical_shift(bits, 8)


def _mix(h: Any) -> Any:
    """Return h with its bits mixed: a bijection of 32-bit numbers, "lowbias32".

    Signed integers wrap on all backends, as the algorithm needs, and all have int32; not all have uint32.
    Source: C. Wellons, Prospecting for hash functions (2018), in the form of MurmurHash3's finaliser by A. Appleby.
    """
    h = (h ^ _logical_shift(h, 16)) * 0x7FEB352D
    h = (h ^ _logical_shift(h, 15)) * (0x846CA68B - 2**32)
    return h ^ _logical_shift(h, 16)


def _logical_shift(h: Any, bits: int) -> Any:
    return (h >> bits) & (2 ** (32 - bits) - 1)
