"""What padding does in a layer: whether the positions that are real come out as without it.

An axis is padded if behind its real positions come others, which stand for nothing. Axes are counted from the front,
and listed for each input: `(1,)` if its axis 1 is padded, `()` if none is.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from portable_nn.kernels import declares, is_ours

__all__ = ["Axes", "common_axes", "padded_axes"]

Axes: TypeAlias = tuple[int, ...]


class _Layer(Protocol):
    def padded_axes(self, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None: ...


def padded_axes(layer: _Layer, axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes | None:
    """Return what `Layer.padded_axes` does, if the class is this library's, or says something in its own body."""
    if not any(axes):
        return ()
    kind = type(layer)
    if is_ours(kind) or "padded_axes" in vars(kind):
        return layer.padded_axes(axes, shapes)
    return common_axes(axes, shapes) if declares(kind, "positionwise") else None


def common_axes(axes: Sequence[Axes], shapes: Sequence[tuple[int, ...]]) -> Axes | None:
    """Return the padded axes of what inputs of `shapes` are broadcast to; None if they lie elsewhere in each."""
    most = max(map(len, shapes))
    found: set[Axes] = set()
    for of_one, shape in zip(axes, shapes, strict=True):
        moved = tuple(most - len(shape) + axis for axis in of_one)
        if moved:
            found.add(moved)
        elif any(_meets(most, shape, axis) for other in axes for axis in other):
            return None
    return found.pop() if len(found) == 1 else None


def _meets(most: int, shape: tuple[int, ...], axis: int) -> bool:
    """Tell whether an input without padding has more than one position along a padded axis of the largest."""
    own = axis - (most - len(shape))
    return own >= 0 and shape[own] != 1
