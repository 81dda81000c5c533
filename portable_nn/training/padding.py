"""Batches of many lengths, padded to a few: a plan, or a compiled step, for each shape is dear.

What stands behind the real rows and positions are copies of the last real ones, which are in the range of every layer;
with the weight 0 they count nothing in the loss, nor in its gradient. N = batch, T = time, axis 1.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from portable_nn.arrays import Place, device_of, flat, is_on_cpu, is_several, move, namespace_of, to_numpy
from portable_nn.kernels import is_ours
from portable_nn.losses import Loss
from portable_nn.networks import Network
from portable_nn.networks.opacity import has_known_walk
from portable_nn.networks.positions import Positions, positions

__all__ = ["Padding"]

_LEAST = 8
"""The smallest number of rows or positions that is padded to; from there on powers of two."""

_SHAPES = 8
"""To how many shapes batches are brought, those of `_PLAIN` counted: as many have plans at a time."""

_PLAIN = 2
"""Shapes that are left as they are: that of the first batch, and perhaps of the last of an epoch."""

_HOST = Place().xp
"""NumPy, where what is on the CPU is padded: for other libraries each length would be something new to compile."""

_Shapes: TypeAlias = tuple[tuple[int, ...], ...]
"""Of the inputs of a batch."""

_Size: TypeAlias = tuple[int, int]
"""Rows and positions."""

_At: TypeAlias = tuple[int, int]
"""Epoch and batch. What is decided for a batch follows from those before it alone, also in a run that has gone back."""


class Padding:
    """Pads batches to few shapes, where the network and its loss are known not to see it.

    Batches of the first two shapes are left as they are, so that batches of one shape, and a last one of another, cost
    nothing.

    Parameters
    ----------
    network : Network
    warns : bool
        Whether to warn of many shapes where padding would be seen.
    """

    def __init__(self, network: Network, *, warns: bool = True):
        self._network, self._warns = network, warns
        self._plain: dict[_Shapes, _At] = {}
        """The shapes that are left as they are, and since when."""
        self._since: dict[_Size, _At] = {}
        """To what was padded, and since when."""
        self._shapes: set[Any] = set()

    def state(self) -> dict[str, Any]:
        """Return what a run needs to go on with the same shapes, as JSON can say it."""
        plain = [[*map(list, shapes), [*at]] for shapes, at in self._plain.items()]
        return {"plain": plain, "since": [[*size, *at] for size, at in self._since.items()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up again what `state` returned."""
        self._since = {(rows, length): (epoch, batch) for rows, length, epoch, batch in state["since"]}
        for *shapes, (epoch, batch) in state["plain"]:
            self._plain[tuple(tuple(shape) for shape in shapes)] = epoch, batch
        if self._plain:
            self._begin(next(iter(self._plain)))

    def __call__(self, batch: list[Any], at: _At) -> list[Any]:
        """Return a checked batch [x, t, weight], the one `at` this epoch and number, padded."""
        count = len(self._network.order.inputs)
        shapes = tuple(tuple(array.shape) for array in flat(batch[0])[:count])
        if not self._plain:
            self._begin(shapes)
        if self._is_plain(shapes, at):
            return batch
        size = self._size(shapes)
        wanted = None if size is None else self._wanted(size, at)
        if size is None or wanted is None:
            self._count(shapes)
            return batch
        return self._padded(batch, shapes, size, wanted)

    def _is_plain(self, shapes: _Shapes, at: _At) -> bool:
        known = [one for one, since in self._plain.items() if since <= at]
        if shapes not in known and len(known) == _PLAIN:
            return False
        self._plain[shapes] = min(at, self._plain.get(shapes, at))
        return True

    def _begin(self, first: _Shapes) -> None:
        """See what may be padded: rows, and the positions of those inputs that are sequences."""
        self._first, self._times, self._seen_by = first, (), list[str]()
        every = range(len(first))
        self._rows = self._if_unseen(0, every)
        self._positions: Positions | None = None
        samples = positions(self._network.order, first, [(0,)] * len(first)).outputs
        if any(axes != (0,) for axes in samples):
            return
        for length in dict.fromkeys(shape[1] for shape in first if len(shape) > 1):
            group = [i for i in every if len(first[i]) > 1 and first[i][1] == length]
            found = self._if_unseen(1, group)
            if found is not None:
                self._times, self._positions = tuple(group), found
                break

    def _if_unseen(self, axis: int, inputs: Iterable[int]) -> Positions | None:
        """Return what becomes of an axis of these inputs, None if padding would be seen."""
        order = self._network.order
        axes = [(axis,) if i in inputs else () for i in range(len(self._first))]
        found = positions(order, self._first, axes)
        seen_by = [*found.seen_by]
        if not has_known_walk(self._network):
            seen_by.append(type(self._network).__name__)
        for loss, shape, of_one in zip(self._losses(), self._outputs(self._first), found.outputs, strict=True):
            is_known = is_ours(type(loss)) or "padded_axis" in vars(type(loss))
            is_in_place = of_one == (0,) if axis == 0 else of_one != (0,)
            if not is_known or not is_in_place or (of_one and loss.padded_axis(shape, of_one[0]) is None):
                seen_by.append(type(loss).__name__)
        self._seen_by += seen_by
        return None if seen_by else found

    def _losses(self) -> list[Loss]:
        return [loss for loss, _ in self._network.criterion.by_name().values()]

    def _outputs(self, shapes: Sequence[tuple[int, ...]]) -> _Shapes:
        found: Any = self._network.output_shape(*shapes)
        return found if len(self._network.order.outputs) > 1 else (found,)

    def _size(self, shapes: _Shapes) -> _Size | None:
        """Return how many rows and positions a batch has; None if it is no batch like the first one but for them."""
        rows, lengths = shapes[0][0], {shapes[i][1] for i in self._times if len(shapes[i]) > 1}
        length = lengths.pop() if lengths else 0
        alike = tuple(
            (rows, length, *first[2:]) if i in self._times else (rows, *first[1:])
            for i, first in enumerate(self._first)
        )
        return (rows, length) if shapes == alike and rows and (length or not self._times) else None

    def _wanted(self, size: _Size, at: _At) -> _Size | None:
        """Return to what a batch is padded; None if it may not be."""
        rows, length = size
        first = self._first[0][0]
        if rows != first and self._rows is not None:
            rows = first if rows <= first <= _power(rows) else _power(rows)
        length = _power(length) if self._times else 0
        others = {shape[1] for i, shape in enumerate(self._first) if i not in self._times and len(shape) > 1}
        while self._times and length in others:  # masks are told from the others by their shapes
            length += 1
        return self._fitted((rows, length), at)

    def _fitted(self, size: _Size, at: _At) -> _Size:
        """Return the size itself as long as there are few, and then the least known one that holds it."""
        known = [one for one, since in self._since.items() if since <= at]
        rows, length = size
        left = 3 if any(one[0] != rows for one in known) else 1  # for what is larger than all that came
        if size not in known and len(known) >= _SHAPES - _PLAIN - left:
            holding = [
                one
                for one in known
                if one[1] >= length and (one[0] == rows or (one[0] > rows and self._rows is not None))
            ]
            if holding:
                return min(holding, key=lambda one: one[0] * max(one[1], 1))
            # One for all that came so far: then few more are needed.
            rows = rows if self._rows is None else max(rows, *(one[0] for one in known))
            size = rows, max(length, *(one[1] for one in known))
        self._since[size] = min(at, self._since.get(size, at))
        return size

    def _count(self, shapes: _Shapes) -> None:
        """Say once that there are many shapes."""
        self._shapes.add(shapes)
        if len(self._shapes) == _SHAPES and self._warns:
            what = ", ".join(dict.fromkeys(self._seen_by)) or "this network"
            warnings.warn(
                f"the batches so far have more than {_SHAPES} shapes, and each needs a plan of its own, which is slow: "
                f"padding to fewer would be seen by {what}; batches of fewer lengths help, or, in a class of your own "
                "that acts at each position by itself, positionwise = True",
                stacklevel=2,
            )

    def _padded(self, batch: list[Any], shapes: _Shapes, size: _Size, wanted: _Size) -> list[Any]:
        x, t, weight = batch
        (rows, length), (more_rows, more_length) = size, wanted
        arrays = [
            _longer(array, {0: more_rows, 1: more_length} if i in self._times else {0: more_rows})
            for i, array in enumerate(flat(x)[: len(shapes)])
        ]
        masks = [self._mask(mask, size, wanted) for mask in flat(x)[len(shapes) :]]
        if not masks and self._positions is not None and self._positions.needs_mask:
            masks = [self._mask(None, size, wanted)]
        targets, weights = list[Any](), list[Any]()
        losses, outputs = self._losses(), self._outputs([array.shape for array in arrays])
        given = (None,) * len(losses) if weight is None else flat(weight)
        for i, (loss, shape, t_of_one, w_of_one) in enumerate(zip(losses, outputs, flat(t), given, strict=True)):
            axes = [] if self._positions is None else [*self._positions.outputs[i]]
            label_axis = loss.padded_axis(shape, axes[0]) if axes else None
            t_axis = axes[0] if axes and t_of_one.ndim == len(shape) else label_axis
            longer = _longer(t_of_one, {0: more_rows} | ({} if t_axis is None else {t_axis: more_length}))
            targets.append(move(longer, self._network.place, t_of_one.dtype, name="t"))
            shape = loss.weighted_shape(shape)
            real = (slice(rows), *(slice(length if k == label_axis else None) for k in range(1, len(shape))))
            weights.append(self._weight(w_of_one, shape, real))
        inputs = [*arrays, *masks]
        return [
            tuple(inputs) if len(inputs) > 1 else inputs[0],
            tuple(targets) if is_several(t) else targets[0],
            tuple(weights) if is_several(t) else weights[0],
        ]

    def _weight(self, given: Any, shape: tuple[int, ...], real: tuple[slice, ...]) -> Any:
        """Return weights of `shape`: those given, or 1, where it is real, and 0 elsewhere."""
        place = self._network.place
        if given is not None and not is_on_cpu(given):
            whole: Any = place.xp.zeros(shape, dtype=given.dtype, device=device_of(given))
            whole[real] = _beside(given, len(shape))
            return whole
        whole = _HOST.zeros(shape, dtype=getattr(_HOST, place.dtype_name))
        whole[real] = 1.0 if given is None else _beside(to_numpy(given), len(shape))
        return place.asarray(whole)

    def _mask(self, given: Any, size: _Size, wanted: _Size) -> Any:
        """Return a mask, of what is given or of all that is real, with nothing real behind it."""
        place = self._network.place
        whole = _HOST.zeros(wanted, dtype=_HOST.bool)
        whole[:, : size[1]] = True if given is None else to_numpy(_longer(given, {0: wanted[0]}))
        return move(whole, place, place.xp.bool, name="mask")


def _power(size: int) -> int:
    """Return the least power of two that is not less."""
    return max(_LEAST, 1 << (size - 1).bit_length())


def _beside(array: Any, ndim: int) -> Any:
    """Return an array with so many axes, those behind its own of size 1."""
    return namespace_of(array).reshape(array, (*array.shape, *(1,) * (ndim - array.ndim)))


def _longer(array: Any, sizes: Mapping[int, int]) -> Any:
    """Return an array with its last entries along axes repeated up to sizes there."""
    array = to_numpy(array) if is_on_cpu(array) else array
    xp = namespace_of(array)
    for axis, size in sizes.items():
        more = size - array.shape[axis]
        if more:
            front = (slice(None),) * axis
            last = array[(*front, slice(-1, None), ...)]
            shape = (*last.shape[:axis], more, *last.shape[axis + 1 :])
            array = xp.concat([array, xp.broadcast_to(last, shape)], axis=axis)
    return array
