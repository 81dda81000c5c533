"""Updates of parameters that see them as whole arrays, in the terms of `updates`.

Sums and statistics of half precision are float32.
"""

import math
from typing import Any

from portable_nn.arrays import Array, device_of, namespace_of, widened
from portable_nn.kernels.portable.updates import Arrays, moments

__all__ = ["adafactor", "lamb", "lars", "muon"]

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Of Jordan: the polynomial is steep at 0, and brings what is in (0, 1] near 1 in a few rounds."""
_ROUNDS = 5
_LIKE_ADAM = 0.2
"""The root mean square of a step of Adam at rate 1, about."""


def lars(
    params: Arrays,
    grads: Arrays,
    velocity: Arrays,
    lr: float,
    momentum: float,
    trust: float,
    weight_decay: float,
) -> tuple[list[Array], list[Array]]:
    """Return p - v and v = momentum v + lr r (g + weight_decay p), for r = trust |p| / (|g| + weight_decay |p|).

    r is 1 where one of the norms is 0. Source: You, Gitman, Ginsburg (arXiv 1708.03888), eq. 6 and algorithm 1.
    """
    moved: list[Any] = []
    for p, g, v in zip(params, grads, velocity, strict=True):
        size, slope = _norm(p), _norm(g)
        ratio = _ratio(trust * size, namespace_of(p).where(slope > 0, slope + weight_decay * size, 0.0), p)
        moved.append(momentum * v + lr * ratio * (g + weight_decay * p))
    return [p - v for p, v in zip(params, moved, strict=True)], moved


def lamb(
    params: Arrays,
    grads: Arrays,
    mean: Arrays,
    square_mean: Arrays,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    correction: float,
    weight_decay: float,
) -> tuple[list[Array], list[Array], list[Array]]:
    """Return p - lr (|p| / |u|) u for u = correction m / (sqrt(v) + epsilon) + weight_decay p, and m and v as Adam's.

    The ratio is 1 where one of the norms is 0. Source: You et al. (ICLR 2020), algorithm 2.
    """
    mean, square_mean = moments(grads, mean, square_mean, beta1, beta2)
    updated: list[Any] = []
    for p, m, v in zip(params, mean, square_mean, strict=True):
        u = correction * m / (namespace_of(p).sqrt(v) + epsilon) + weight_decay * p
        updated.append(p - lr * _ratio(_norm(p), _norm(u), p) * u)
    return updated, mean, square_mean


def adafactor(
    params: Arrays,
    grads: Arrays,
    row_mean: Arrays,
    column_mean: Arrays,
    rate: float,
    rest: float,
    epsilon1: float,
    epsilon2: float,
    clip_threshold: float,
    decay: float,
) -> tuple[list[Array], list[Array], list[Array]]:
    """Return p (1 - decay) - a u / max(1, rms(u) / clip_threshold), and the running means of g^2 over columns and rows.

    u = g / max(sqrt(v), epsilon1), where v is the product of the two means over the mean of the first; of parameters
    with less than two axes it is the running mean of g^2 itself, which stands for `row_mean` then. The new share of a
    mean is `rest`, and a = rate max(rms(p), epsilon2). Source: Shazeer and Stern (ICML 2018), algorithms 4 to 6, in
    torch's form: epsilon1 is a bound, and no summand of g^2.
    """
    results: list[tuple[Any, Any, Any]] = []
    for p, g, rows, columns in zip(params, grads, row_mean, column_mean, strict=True):
        if not math.prod(p.shape):
            results.append((p, rows, columns))
            continue
        xp: Any = namespace_of(p)
        slope = widened(g)
        square = slope * slope
        if p.ndim > 1:
            rows = rows + rest * (xp.mean(square, axis=-1, keepdims=True) - rows)
            columns = columns + rest * (xp.mean(square, axis=-2, keepdims=True) - columns)
            v = rows * (columns / xp.maximum(xp.mean(rows, axis=-2, keepdims=True), epsilon1))
        else:
            v = rows = rows + rest * (square - rows)
        u = slope / xp.sqrt(xp.maximum(v, epsilon1 * epsilon1))
        size = math.sqrt(math.prod(p.shape))
        step = rate * xp.maximum(_norm(p) / size, epsilon2) / xp.maximum(_norm(u) / (size * clip_threshold), 1.0)
        results.append((p * (1.0 - decay) - xp.astype(step * u, p.dtype), rows, columns))
    return [p for p, _, _ in results], [rows for _, rows, _ in results], [columns for _, _, columns in results]


def muon(params: Arrays, grads: Arrays, mean: Arrays, lr: float, momentum: float) -> tuple[list[Array], list[Array]]:
    """Return p - 0.2 lr sqrt(max(A, B)) O and m = momentum m + (1 - momentum) g, for p (A, ...) of B elements a row.

    O is about U V^T, where U S V^T is the singular value decomposition of (1 - momentum) g + momentum m, as a matrix
    (A, B). Sources: Jordan et al., Muon (2024); the factor is that of Liu et al. (arXiv 2502.16982), eq. 4: steps are
    as long as Adam's.
    """
    mean = [momentum * m + (1.0 - momentum) * g for m, g in zip(mean, grads, strict=True)]
    updated: list[Any] = []
    for p, g, m in zip(params, grads, mean, strict=True):
        if not math.prod(p.shape):
            updated.append(p)
            continue
        xp: Any = namespace_of(p)
        matrix = xp.reshape((1.0 - momentum) * g + momentum * m, (p.shape[0], -1))
        factor = _LIKE_ADAM * math.sqrt(max(matrix.shape))
        updated.append(p - (lr * factor) * xp.reshape(_orthogonal(matrix), p.shape))
    return updated, mean


def _orthogonal(x: Any) -> Any:
    """Return a matrix with the singular vectors of x and singular values near 1, by Newton and Schulz's iteration."""
    a, b, c = _QUINTIC
    xp: Any = namespace_of(x)
    is_tall = x.shape[0] > x.shape[1]
    x = xp.permute_dims(x, (1, 0)) if is_tall else x
    x = x / xp.astype(xp.maximum(_norm(x), 1e-7), x.dtype)
    for _ in range(_ROUNDS):
        gram = x @ xp.permute_dims(x, (1, 0))
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return xp.permute_dims(x, (1, 0)) if is_tall else x


def _norm(x: Any) -> Any:
    """Return the norm of all elements, 0-d. They are divided by the largest first: no square overflows or vanishes."""
    xp: Any = namespace_of(x)
    x = widened(x)
    if not math.prod(x.shape):
        return xp.zeros((), dtype=x.dtype, device=device_of(x))
    largest = xp.max(xp.abs(x))
    largest = xp.where((largest > 0) & xp.isfinite(largest), largest, 1.0)
    return largest * xp.sqrt(xp.sum((x / largest) ** 2))


def _ratio(above: Any, below: Any, like: Any) -> Any:
    """Return the ratio of two 0-d arrays, 1 where one of them is 0, in the data type of another."""
    xp: Any = namespace_of(above)
    ratio = xp.where((above > 0) & (below > 0), above / xp.where(below > 0, below, 1.0), 1.0)
    return xp.astype(ratio, like.dtype)
