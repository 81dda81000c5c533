"""Labels, scores and probabilities at the door of a metric, in the form that is compared. M = rows, C = classes."""

from typing import Any

from portable_nn.arrays import device_of, namespace_of, to_numpy
from portable_nn.errors import LabelError, ShapeError
from portable_nn.kernels.portable.losses_of_classes import one_hot
from portable_nn.kernels.portable.metrics import two_scores

__all__ = ["as_probabilities", "as_scores"]


def as_scores(t: Any, y: Any) -> tuple[Any, Any]:
    """Return t and y as scores (M, C): of labels y (M,) 1 for that class, 0 for others; of scores for yes two columns.

    t (M, K) are answers to K questions, and y is then, too, if it is whole numbers: 1 for yes and 0 for no.
    """
    xp, y = namespace_of(y), _without_column(t, y)
    whole = not xp.isdtype(y.dtype, "real floating")
    if y.ndim > 1:
        if not whole:
            if t.ndim == 1 and t.shape[0] and (highest := int(to_numpy(t).max())) >= y.shape[1]:
                raise LabelError(
                    f"y of shape {tuple(y.shape)} has scores for labels up to {y.shape[1] - 1}, t has {highest}"
                )
            return t, y
        return t, xp.astype(y, xp.float32) - 0.5
    if t.ndim > 1:
        raise ShapeError(f"y needs the shape {t.shape} of t, or (M, classes), got {y.shape}")
    if not whole:
        return t, two_scores(y)
    classes = max([2, *(int(to_numpy(part).max()) + 1 for part in (t, y) if part.shape[0])])
    known = xp.__array_namespace_info__().dtypes(device=device_of(y))
    like = xp.zeros((classes,), dtype=known.get("float64", xp.float32), device=device_of(y))
    return t, one_hot(xp.astype(y, xp.int32), like)


def as_probabilities(t: Any, y: Any) -> Any:
    """Return probabilities, of two classes those of the second."""
    y = _without_column(t, y)
    return y[:, 1] if t.ndim == 1 and y.ndim == 2 and y.shape[1] == 2 else y


def _without_column(t: Any, y: Any) -> Any:
    """Return y (M, 1), of one output, as (M,), beside labels (M,)."""
    return y[:, 0] if t.ndim == 1 and y.ndim == 2 and y.shape[1] == 1 else y
