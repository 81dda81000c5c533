"""Where the positions of sequences are in a network, and whether more of them, behind, would be seen."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from portable_nn.kernels import is_ours
from portable_nn.layers import Run
from portable_nn.layers.padding import Axes, padded_axes
from portable_nn.layers.topology import Topology

__all__ = ["Positions", "positions", "unmasked"]


class Positions(NamedTuple):
    """What becomes of an axis of the inputs.

    Attributes
    ----------
    seen_by : tuple of str
        The layers that would see padding; without any, what is real comes out as without padding, if there is a mask
        where one is needed.
    outputs : tuple of tuple of int
        The axis where it is in each output, () where it is no more.
    masked : frozenset of int
        The identities of the layers whose input has it as axis 1: `run.mask` is for them.
    needs_mask : bool
        Whether one of these does more than pass it on.
    """

    seen_by: tuple[str, ...]
    outputs: tuple[Axes, ...]
    masked: frozenset[int]
    needs_mask: bool


def positions(order: Topology, shapes: Sequence[tuple[int, ...]], axes: Sequence[Axes]) -> Positions:
    """Return what becomes of `axes`, one or none of each input, in a graph whose inputs have these shapes."""
    flat = order.flat()
    sizes = flat.shapes(shapes)
    where: dict[str, Axes] = dict(zip(flat.inputs, axes, strict=True))
    seen_by, needs_mask, uses = list[str](), False, dict[int, set[bool]]()
    for step in flat.steps:
        given = [where[name] for name in step.inputs]
        found = padded_axes(step.layer, given, [sizes[name] for name in step.inputs])
        is_masked = bool(given) and given[0] == (1,)
        uses.setdefault(id(step.layer), set()).add(is_masked)
        needs_mask |= is_masked and (not found or not is_ours(type(step.layer)))
        if found is None:
            seen_by.append(str(step.layer))
            found = _left(given, [sizes[name] for name in (*step.inputs, *step.outputs)])
        where |= dict.fromkeys(step.outputs, found)
    seen_by += [str(step.layer) for step in flat.steps if len(uses[id(step.layer)]) > 1]
    masked = frozenset(layer for layer, ways in uses.items() if True in ways)
    return Positions(tuple(dict.fromkeys(seen_by)), tuple(where[name] for name in flat.outputs), masked, needs_mask)


def unmasked(order: Topology, run: Run, x: tuple[Any, ...]) -> Any:
    """Return inputs without the mask behind them, which the layers that it is for find in the run."""
    *arrays, mask = x
    shapes = [array.shape for array in arrays]
    axes = [(1,) if shape[:2] == mask.shape else () for shape in shapes]
    run.heed(mask, positions(order, shapes, axes).masked)
    return tuple(arrays) if len(arrays) > 1 else arrays[0]


def _left(axes: Sequence[Axes], shapes: Sequence[Any]) -> Axes:
    """Return where an axis is behind a layer that does not say: where it was, if all of its size is there."""
    known = next(((of_one[0], shape) for of_one, shape in zip(axes, shapes, strict=False) if of_one), None)
    if known is None:
        return ()
    axis, shape = known
    return (axis,) if all(other[: axis + 1] == shape[: axis + 1] for other in shapes[len(axes) :]) else ()
