"""Normalization of each position by the squares of neighbouring channels. N = batch, C = channels, further axes `...`.

Source: Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural networks (NIPS 2012),
section 3.3, with alpha divided by the size of the window, as in torch.
"""

from typing import Any

from portable_nn.arrays import Array, as_dtype_of, namespace_of, widened

__all__ = ["local_response_norm", "local_response_norm_gradient"]


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> tuple[Any, Any]:
    """Return y = x / s^beta, and s = k + alpha / size (sum of x^2 over the window of each channel): all (N, C, ...).

    The window of channel c goes from c - floor(size / 2) to c + ceil(size / 2) - 1, without what is no channel. s of
    half precision is float32.
    """
    wide = widened(x)
    s = _window_sum(wide * wide, size // 2, (size - 1) // 2) * (alpha / size) + k
    return as_dtype_of(x, wide * s ** (-beta)), s


def local_response_norm_gradient(dy: Array, x: Array, s: Any, size: int, alpha: float, beta: float) -> Any:
    """Return dx = dy / s^beta - 2 alpha beta / size x (sum of dy x / s^(beta + 1) over the channels that see it)."""
    d, wide = widened(dy), widened(x)
    scaled = d * s ** (-beta)
    seen = _window_sum(scaled * wide / s, (size - 1) // 2, size // 2)
    return as_dtype_of(x, scaled - (2.0 * alpha * beta / size) * wide * seen)


def _window_sum(values: Array, before: int, after: int) -> Any:
    """Return at each channel the sum of values (N, C, ...) from `before` channels before it to `after` after it."""
    xp, channels = namespace_of(values), values.shape[1]
    before, after = min(before, channels), min(after, channels)
    first, last = (xp.zeros_like(values[:, :count, ...]) for count in (before, after))
    padded = xp.concat([first, values, last], axis=1)
    total = values
    for offset in range(before + after + 1):
        if offset != before:
            total = total + padded[:, offset : offset + channels, ...]
    return total
