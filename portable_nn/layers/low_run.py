"""A run in which layers compute in a lower precision than that of what is kept: mixed precision.

Parameters, states, outputs and gradients are kept in float32. What layers get of them is cast when a walk begins, and
what it gives is cast back at its end: see `Network.forward_walk`. Source: Micikevicius et al., Mixed precision training
(ICLR 2018), section 3.1.
"""

from collections.abc import Sequence
from typing import Any, cast

from portable_nn.arrays import Place
from portable_nn.layers.run import Arrays, Passes, Run

__all__ = ["LowRun"]


class LowRun(Run):
    """What layers see of a run at a place that `is_mixed`: arrays of the data type that they compute in.

    States are as they are kept. What a layer returns is cast, if it is of another floating data type, so that it may
    mix the two.

    Parameters
    ----------
    run : Run
        It shares the changes of states, and the numbers of draws so far.
    """

    def __init__(self, run: Run):
        self.__dict__.update(vars(run))
        self.place = run.place.computing
        self._constants = {}

    def narrow(self, tree: Any) -> Any:
        """Return an array, or a tuple or list of them, in the data type to compute in; whole numbers as they are."""
        return self._cast(tree, self.place)

    def widen(self, tree: Any) -> Any:
        """Return an array, or a tuple or list of them, in the data type to be kept."""
        return self._cast(tree, self.place.keeping)

    def narrow_all(self, arrays: Arrays) -> Arrays:
        """Return arrays by name as `narrow` does."""
        return {name: self.narrow(array) for name, array in arrays.items()}

    def widen_all(self, arrays: Arrays) -> Arrays:
        """Return arrays by name as `widen` does."""
        return {name: self.widen(array) for name, array in arrays.items()}

    def narrow_inputs(self, layer: Any, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """Return the inputs of a layer to compute with; those without a derivative, such as labels, as they are."""
        computed = layer.differentiated(len(inputs))
        return tuple(self.narrow(x) if i in computed else x for i, x in enumerate(inputs))

    def as_given(self, grads: Sequence[Any], params: Sequence[Any]) -> list[Any]:
        """Return the gradient of each parameter, None for none, to be kept if the parameter is."""
        kept = self.place.keeping.dtype
        return [self.widen(g) if p.dtype == kept else g for g, p in zip(grads, params, strict=False)]

    def forward(self, layer: Passes, params: Arrays, *inputs: Any) -> tuple[Any, Any]:
        """Return what the layer's forward pass returns, to compute with; a loss gets what is to be kept."""
        if layer.is_wide:
            y, saved = self._wide().forward(layer, params, *map(self.widen, inputs))
        else:
            y, saved = super().forward(layer, params, *inputs)
        return self.narrow(y), saved

    def backward(self, layer: Passes, params: Arrays, saved: Any, *douts: Any) -> tuple[Any, Arrays]:
        """Return what the layer's backward pass returns, to compute with."""
        if layer.is_wide:
            dx, grads = self._wide().backward(layer, params, saved, *map(self.widen, douts))
        else:
            dx, grads = super().backward(layer, params, saved, *douts)
        return self.narrow(dx), grads

    def _wide(self) -> Run:
        run = Run(self.place.keeping, self.kernels)
        vars(run).update(vars(self) | {"place": run.place, "_constants": run._constants})
        return run

    def _cast(self, tree: Any, place: Place) -> Any:
        if isinstance(tree, tuple | list):
            parts = [self._cast(part, place) for part in cast("list[Any]", tree)]
            return tuple(parts) if isinstance(tree, tuple) else parts
        dtype = getattr(tree, "dtype", place.dtype)
        if dtype == place.dtype or not place.xp.isdtype(dtype, "real floating"):
            return tree
        return self.kernels.as_floating(tree, place.dtype_name)
