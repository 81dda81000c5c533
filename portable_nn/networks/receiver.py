"""Layers made of layers that have a loss, and check the batches that they receive for it."""

from collections.abc import Mapping
from typing import Any

from portable_nn.arrays import Namespace, as_array, is_several
from portable_nn.errors import ShapeError
from portable_nn.layers.inputs import UNCAST, check_values, checked_input
from portable_nn.losses import Loss, LossByOutput
from portable_nn.networks.names import MASK, arranged, placed, single
from portable_nn.networks.parts import for_outputs, loss_of
from portable_nn.networks.placed import Placed

__all__ = ["Receiver"]


_SHAPES = 64
"""Shapes of batches for which the shape of the outputs is remembered."""


class Receiver(Placed):
    """Layers made of layers, with a place, that turn what a user gives into what their passes and their loss take.

    Parameters
    ----------
    loss, loss_weights, seed, xp, device, dtype : optional
        As in `Network`.
    """

    def __init__(
        self,
        loss: Loss | Mapping[str, Loss] | None = None,
        loss_weights: Mapping[str, float] | None = None,
        *,
        seed: int | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str | None = None,
    ):
        super().__init__(seed=seed, xp=xp, device=device, dtype=dtype, is_settled=loss is not None)
        self.loss_function: Loss | None = loss_of(type(self).__name__, loss, loss_weights)
        self._fitting: set[tuple[Any, ...]] = set()  # shapes of samples that were checked
        self._shapes: dict[Any, Any] = {}

    @property
    def criterion(self) -> Loss:
        """The loss function; ValueError if the network was made without one."""
        if self.loss_function is None:
            raise ValueError(f"this needs a loss: {type(self).__name__}(..., loss=pnn.SoftmaxWithLoss())")
        return self.loss_function

    @property
    def version(self) -> int:
        """How often an option of a layer or of the loss, or the loss itself, was replaced."""
        return self._changes[0]

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "loss_function" and value is not None:
            value = loss_of(type(self).__name__, value, None)
            if self.order.outputs:
                value = for_outputs(type(self).__name__, value, self.order.outputs, self.order.output_names)
        super().__setattr__(name, value)
        if name == "loss_function" and value is not None:
            self._changes[0] += 1
            value.tell(self._changes)

    def arranged(self, x: Any) -> Any:
        """Return x where it is: an array or nested lists as an array, a mapping as the tuple of arrays of all inputs.

        Raises TypeError, ValueError or ShapeError if it is no mapping where one is needed, a name is wrong, or one
        array has more samples than another.
        """
        return arranged(type(self).__name__, self.order.inputs, x)

    def by_input(self, x: Any) -> Any:
        """Return what `arranged` has returned with the names of several inputs."""
        return dict(zip((*self.order.inputs, MASK), x, strict=False)) if is_several(x) else x

    def inputs(self, x: Any, *, is_known: bool = False) -> Any:
        """Return x at the network's place and in its data type there, its shape and whole numbers checked.

        If it `is_known` that the numbers have been, x is as `arranged` returned it. Several inputs are returned as a
        tuple.
        """
        if self._place.is_ready(x) and x.shape[1:] in self._fitting:  # which has such shapes of one input to be cast
            return x
        x = x if is_known else self.arranged(x)  # once for all batches
        if is_several(x):  # or one with a mask
            return self._several_inputs(x, is_known=is_known)
        kind, given = self.input_kinds[0], x
        x = checked_input(x, self._place, type(self).__name__, kind)
        key = (kind, *x.shape[1:]) if kind in UNCAST else x.shape[1:]
        if key not in self._fitting:
            if x.ndim == 0:
                raise ShapeError(f"{type(self).__name__} needs x of shape (N, ...), got {x.shape}")
            self.output_shape(x.shape)
            self._fitting.add(key)
        if kind in UNCAST and not is_known:
            check_values(self, [given])  # which may be on the CPU
        return x

    def _several_inputs(self, x: tuple[Any, ...], *, is_known: bool) -> tuple[Any, ...]:
        arrays = placed(self._place, self.order.inputs, self.input_kinds, x)
        shapes = tuple(part.shape for part in arrays[: len(self.order.inputs)])
        key = tuple(shape[1:] for shape in shapes)
        if key not in self._fitting:
            self.output_shape(*shapes)
            self._fitting.add(key)
        if not is_known:
            check_values(self, x[: len(self.order.inputs)])
        return arrays

    def batch(self, x: Any, t: Any, sample_weight: Any = None) -> tuple[Any, Any, Any]:
        """Return x (N, ...), t and the sample weights at the network's place, as the loss needs them.

        Several inputs, and targets and weights of losses by output, come as mappings by their names, and are returned
        as tuples in their order.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError, TypeError, ValueError
            If one of them does not fit the network, its loss or the others.
        """
        x, t = self.inputs(x), as_array(t, "t")
        weight = None if sample_weight is None else as_array(sample_weight, "sample_weight")
        shapes = tuple([part.shape for part in x][: len(self.order.inputs)]) if x.__class__ is tuple else (x.shape,)
        shape = self._output_shape(shapes)
        if isinstance(t, dict) or isinstance(weight, dict):
            return x, *self.targets(shape, t, weight)
        return x, *(self.loss_function or self.criterion).targets(shape, t, self._place, weight)

    def targets(self, shape: Any, t: Any, weight: Any) -> tuple[Any, Any]:
        """Return what the loss makes of t and the sample weights, arrays or mappings, for outputs of `shape`."""
        owner, criterion, names = type(self).__name__, self.criterion, self.order.output_names
        if not isinstance(criterion, LossByOutput):
            t, weight = (single(owner, names, *part) for part in (("t", t), ("sample_weight", weight)))
        return criterion.targets(shape, t, self._place, weight)

    def _output_shape(self, shapes: tuple[Any, ...]) -> Any:
        """Return what `output_shape` does, remembered for some shapes, if all that decides on it counts its changes."""
        key = shapes, self._changes[0]
        known = self._shapes.get(key)
        if known is None:
            known = self.output_shape(*shapes)
            if self.is_known:
                self._shapes = {key: known} if len(self._shapes) >= _SHAPES else self._shapes | {key: known}
        return known
