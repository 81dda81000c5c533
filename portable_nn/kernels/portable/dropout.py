"""Dropout masks from counters: no state, no host, and the same mask on every backend."""

import math
from typing import Any

from portable_nn.arrays import Array, device_of, namespace_of
from portable_nn.random import Key, first_row

__all__ = ["dropout_mask"]


def dropout_mask(x: Array, rate: float, key: Key, layer: int) -> Array:
    """Return a mask for x (N, ...), in its shape and dtype: 0 with probability rate, else 1 / (1 - rate).

    Element i of row n is kept if the upper 24 bits of a hash of (n, i, key, layer) reach rate 2^24. Masks of different
    keys or layers are independent as far as the hash can tell. Where the key says which rows of a batch these are, n
    counts from its beginning. More rows, or more behind in each row, change nothing in the others: what is padded is
    dropped as what is not. Source of dropout: Srivastava et al. (JMLR 15, 2014), section 4, with the scaling of the
    kept elements moved from prediction to training ("inverted").
    """
    xp, kind = namespace_of(x), {"dtype": namespace_of(x).int32, "device": device_of(x)}
    rows = x.shape[0] if x.ndim else 1
    n: Any = xp.arange(rows, **kind)
    if key[2:]:
        n = n + first_row(rows, key)
    i: Any = xp.arange(math.prod(x.shape[1:]), **kind)
    bits = _mix(_mix(_mix(n ^ key[0]) ^ layer)[:, None] + _mix(i ^ key[1])[None, :])
    keep = _logical_shift(bits, 8) >= round(rate * 2**24)
    return xp.reshape(xp.astype(keep, x.dtype) * (1.0 / (1.0 - rate)), x.shape)


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
