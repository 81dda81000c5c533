"""What metrics count and add up. M = rows that are compared, C = classes, K = numbers or questions a row.

t are labels (M,), negative where there is none, or the answers (M, K) to several yes-or-no questions, 1 or 0; y are
scores (M, C), of which the largest is the answer, or (M, K), positive for yes. weight (M,), or of the shape of t. Half
precision is added up in float32. A row with NaN has no answer.
"""

from collections.abc import Callable
from typing import Any

from portable_nn.arrays import Array, device_of, namespace_of, widened
from portable_nn.kernels.portable.losses_of_classes import one_hot

__all__ = [
    "all_finite",
    "answered_labels",
    "answered_signs",
    "average_precisions",
    "calibration_counts",
    "class_counts",
    "confusion_counts",
    "count_correct",
    "count_correct_signs",
    "count_labels",
    "error_totals",
    "log_loss_total",
    "moments",
    "roc_areas",
    "squared_probability_total",
    "top_total",
    "two_scores",
]


def all_finite(x: Array) -> Array:
    """Return whether no element of x is NaN or infinite; 0-d truth value."""
    xp = namespace_of(x)
    return xp.all(xp.isfinite(x))


def count_correct(y: Array, t: Array, weight: Array | None = None) -> Array:
    """Return how many rows of y (N, C) are largest at their class: t labels (N,) or one-hot (N, C); 0-d integer.

    With weights, the sum of theirs. A row with NaN counts as wrong, and so does one whose label is negative.
    """
    xp = namespace_of(y)
    labels = t if t.ndim == 1 else xp.argmax(t, axis=-1)
    right = (xp.argmax(y, axis=-1) == labels) & ~xp.any(xp.isnan(y), axis=-1)
    return _count(right, weight)


def count_correct_signs(y: Array, t: Array, weight: Array | None = None) -> Array:
    """Return how many elements of y (N, ...) are positive where t (N, ...) is above 1/2 and only there; 0-d integer.

    With weights, of the samples or elements, the sum of theirs. NaN counts as wrong.
    """
    return _count(((y > 0) == (t > 0.5)) & ~namespace_of(y).isnan(y), weight)


def count_labels(t: Array) -> Array:
    """Return how many integer labels t are not negative; 0-d integer."""
    xp = namespace_of(t)
    return xp.sum(xp.astype(t >= 0, xp.int32))


def _count(right: Array, weight: Array | None) -> Array:
    xp = namespace_of(right)
    if weight is None:
        return xp.sum(xp.astype(right, xp.int32))
    if weight.ndim < right.ndim:
        weight = xp.reshape(weight, (-1,) + (1,) * (right.ndim - 1))
    return xp.sum(xp.where(right, weight, xp.zeros_like(weight)))


def answered_labels(y: Array, axis: int = -1) -> Array:
    """Return where y is largest along `axis`: integers, -1 where there is NaN."""
    xp = namespace_of(y)
    labels = xp.argmax(y, axis=axis)
    return xp.where(xp.any(xp.isnan(y), axis=axis), xp.asarray(-1, dtype=labels.dtype, device=device_of(y)), labels)


def answered_signs(y: Array, threshold: float = 0.0) -> Array:
    """Return 1 where y is above the threshold, 0 where it is not, -1 where it is NaN: integers in the shape of y."""
    xp = namespace_of(y)
    return xp.astype(y > threshold, xp.int32) - xp.astype(xp.isnan(y), xp.int32)


def two_scores(y: Array) -> Array:
    """Return scores y (M,) for yes as those of two classes, (M, 2): 0 for no."""
    xp = namespace_of(y)
    return xp.stack([xp.where(xp.isnan(y), y, xp.zeros_like(y)), y], axis=-1)


def class_counts(t: Array, y: Array, weight: Array) -> Array:
    """Return for each class, or question, the weights of rows rightly answered with it, answered with it, and of it.

    The result is (3, C).
    """
    xp = namespace_of(y)
    is_true, is_answer = _indicators(t, y)
    answered = is_answer * _beside(weight, is_answer)
    rows = xp.stack([is_true * answered, answered, is_true * _beside(weight, is_true)])
    return xp.sum(rows, axis=1)


def confusion_counts(t: Array, y: Array, weight: Array) -> Array:
    """Return the weights of the rows of class i that were answered with class j: t (M,), the result (C, C)."""
    is_true, is_answer = _indicators(t, y)
    return namespace_of(y).matrix_transpose(is_true) @ (is_answer * _beside(weight, is_answer))


def _indicators(t: Array, y: Array) -> tuple[Array, Array]:
    """Return 1 where a row is of a class, and where it was answered so, 0 elsewhere: both (M, C), of one dtype."""
    xp, y = namespace_of(y), widened(y)
    if t.ndim == 2:
        return xp.astype(t > 0, y.dtype), xp.astype(y > 0, y.dtype)
    return one_hot(t, y), one_hot(answered_labels(y), y)


def _beside(weight: Array, rows: Array) -> Array:
    """Return weights of rows so that they multiply rows (M, C), in their dtype."""
    xp = namespace_of(rows)
    weight = xp.astype(weight, rows.dtype)
    return weight[:, None] if weight.ndim < rows.ndim else weight


def top_total(t: Array, y: Array, weight: Array, k: int) -> Array:
    """Return the sum of the weights of the rows whose class is among the k with the largest scores, and of all: (2,).

    Of equal scores that of the later class is the larger one, as scikit-learn sorts. NaN is above all numbers.
    """
    xp, y = namespace_of(y), widened(y)
    is_true = one_hot(t, y)
    own = xp.sum(xp.where(is_true > 0, y, xp.zeros_like(y)), axis=-1, keepdims=True)
    classes = xp.arange(y.shape[-1], dtype=t.dtype, device=device_of(y))
    above = ~(y <= own) | ((y == own) & (classes[None, :] > t[:, None]))
    places = xp.sum(xp.astype(above, xp.int32), axis=-1)
    right = xp.astype((places < k) & (t >= 0) & ~xp.isnan(own[:, 0]), y.dtype)
    return _totals(right, xp.astype(weight, y.dtype))


def log_loss_total(t: Array, p: Array, weight: Array) -> Array:
    """Return the sum of -log p of what is true, by weight, and of the weights: (2,).

    p (M, C), or (M,) for label 1 of two, or (M, K) with t (M, K). It is cut to [eps, 1 - eps], eps that of its data
    type, as in scikit-learn: a single sure mistake is not infinite.
    """
    xp, p = namespace_of(p), widened(p)
    eps = float(xp.finfo(p.dtype).eps)
    cut = xp.where(p > 1.0 - eps, xp.full_like(p, 1.0 - eps), xp.where(p <= eps, xp.full_like(p, eps), p))
    if p.ndim > t.ndim:
        losses = -xp.sum(xp.log(cut) * one_hot(t, p), axis=-1)
    else:
        # 1 - p of what was cut to 1 - eps is eps only nearly.
        other = xp.where(p > 1.0 - eps, xp.full_like(p, eps), 1.0 - cut)
        losses = -xp.log(xp.where(t > 0, cut, other))
    return _totals(losses, _beside(weight, losses))


def squared_probability_total(t: Array, p: Array, weight: Array) -> Array:
    """Return the sum of the squared distances of p from what is true, by weight, and of the weights: (2,).

    p as in `log_loss_total`; of (M, C) the squares are summed over the classes.
    """
    xp, p = namespace_of(p), widened(p)
    of_classes = p.ndim > t.ndim
    apart = p - (one_hot(t, p) if of_classes else xp.astype(t > 0, p.dtype))
    squares = xp.sum(apart * apart, axis=-1) if of_classes else apart * apart
    return _totals(squares, _beside(weight, squares))


def calibration_counts(t: Array, p: Array, weight: Array, bins: int) -> Array:
    """Return for bins of confidence the weights of rows, times their confidences, and of right answers: (3, bins).

    Confidence is the probability of the answer, p as in `log_loss_total`. Bin m of B has those in (m / B, (m + 1) / B].
    Source: Guo et al., On calibration of modern neural networks (ICML 2017), section 2.
    """
    xp, p = namespace_of(p), widened(p)
    if p.ndim > t.ndim:
        confidence, right = xp.max(p, axis=-1), answered_labels(p) == t
    else:
        confidence, right = xp.where(p > 0.5, p, 1.0 - p), (p > 0.5) == (t > 0)
    weight = xp.broadcast_to(_beside(weight, confidence), confidence.shape)
    confidence, right, weight = (xp.reshape(part, (-1,)) for part in (confidence, right, weight))
    place = xp.ceil(confidence * bins) - 1.0
    place = xp.where(place <= 0, xp.zeros_like(place), place)
    in_bin = xp.astype(place[:, None] == xp.arange(bins, dtype=p.dtype, device=device_of(p))[None, :], p.dtype)
    rows = xp.stack([weight, weight * confidence, weight * xp.astype(right, p.dtype)])
    # NaN is in no bin, and shall not get lost.
    return rows @ in_bin + 0.0 * xp.sum(confidence)


def error_totals(t: Array, y: Array, weight: Array, kind: str) -> Array:
    """Return the sums of errors of each number of a row, by weight, and of the weights: t, y (M, K), the result (2, K).

    `kind` is "square", "absolute", or "relative": |t - y| / max(|t|, eps), eps that of float64.
    """
    xp, t, y = namespace_of(y), widened(t), widened(y)
    errors = xp.abs(t - y)
    if kind == "square":
        errors = errors * errors
    elif kind == "relative":
        size = xp.abs(t)
        errors = errors / xp.where(size > _EPS, size, xp.full_like(size, _EPS))
    weight = xp.broadcast_to(_beside(weight, errors), errors.shape)
    return xp.stack([xp.sum(weight * errors, axis=0), xp.sum(weight, axis=0)])


_EPS = 2.0**-52


def moments(t: Array, weight: Array) -> tuple[Array, Array, Array, Array]:
    """Return of each number of t (M, K) sum w, the first row, the mean above that, and sum w (t - mean)^2: (K,) each.

    Two passes, from the first row on, so that the spread of large numbers, or of equal ones, is right.
    """
    xp, t = namespace_of(t), widened(t)
    weight = xp.broadcast_to(_beside(weight, t), t.shape)
    first = xp.sum(t[:1, :], axis=0)  # 0 for none
    above, total = t - first, xp.sum(weight, axis=0)
    mean = xp.sum(weight * above, axis=0) / xp.where(total > 0, total, xp.ones_like(total))
    return total, first, mean, xp.sum(weight * (above - mean) ** 2, axis=0)


def _totals(values: Array, weight: Array) -> Array:
    xp = namespace_of(values)
    weight = xp.broadcast_to(weight, values.shape)
    return xp.stack([xp.sum(values * weight), xp.sum(weight)])


def roc_areas(t: Array, scores: Array, weight: Array) -> Array:
    """Return the area under the ROC curve of each column of scores (M, K): t (M, K), the result (K,).

    It is the share of pairs of a row where t is 1 and one where it is 0 that the scores put in this order, pairs of
    equal scores counted half, each pair by the product of its weights; NaN where there is no pair. Source: Fawcett,
    Pattern Recognition Letters 27 (2006), section 7.
    """
    return _by_column(_roc_area, t, scores, weight)


def _roc_area(positive: Array, below: Array, upto: Array, sums: tuple[Array, Array]) -> Array:
    xp = namespace_of(positive)
    under = xp.take(sums[1], below, axis=0)
    pairs = xp.sum(positive * (under + 0.5 * (xp.take(sums[1], upto, axis=0) - under)))
    possible = sums[0][-1] * sums[1][-1]
    return _nan_unless(possible > 0, pairs / xp.where(possible > 0, possible, xp.ones_like(possible)))


def average_precisions(t: Array, scores: Array, weight: Array) -> Array:
    """Return the average precision of each column of scores (M, K): t (M, K), the result (K,), 0 without a positive.

    sum_n (R_n - R_(n-1)) P_n over the distinct scores as thresholds, from above, with recall R and precision P.
    Source: scikit-learn's user guide, section 3.4.4.9.
    """
    return _by_column(_average_precision, t, scores, weight)


def _average_precision(positive: Array, below: Array, upto: Array, sums: tuple[Array, Array]) -> Array:
    xp = namespace_of(positive)
    found, others = (part[-1] - xp.take(part, below, axis=0) for part in sums)
    taken = xp.where(found + others > 0, found + others, xp.ones_like(found))
    total = sums[0][-1]
    return xp.sum(positive * found / taken) / xp.where(total > 0, total, xp.ones_like(total))


def _by_column(area: Callable[..., Any], t: Array, scores: Array, weight: Array) -> Array:
    """Return `area` for each column, of what is known of its rows in the order of their scores.

    That is the weight of each row if it is positive, which rows begin and end the scores equal to its own, and the sums
    of positive and of negative weights up to each row. NaN for a column with NaN.
    """
    xp, scores = namespace_of(scores), widened(scores)
    weight = xp.broadcast_to(_beside(weight, scores), scores.shape)
    areas: list[Any] = []
    for k in range(scores.shape[1]):
        order = xp.argsort(scores[:, k])
        s, w, is_true = (xp.take(part[:, k], order, axis=0) for part in (scores, weight, t > 0))
        parts = [xp.where(those, w, xp.zeros_like(w)) for those in (is_true, ~is_true)]
        zero = xp.zeros((1,), dtype=w.dtype, device=device_of(w))
        sums = tuple(xp.concat([zero, xp.cumulative_sum(part)]) for part in parts)
        found = area(parts[0], xp.searchsorted(s, s), xp.searchsorted(s, s, side="right"), sums)
        areas.append(_nan_unless(~xp.any(xp.isnan(s)), found))
    return xp.stack(areas)


def _nan_unless(condition: Array, value: Array) -> Array:
    xp = namespace_of(value)
    return xp.where(condition, value, xp.full_like(value, float("nan")))
