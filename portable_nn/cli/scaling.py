"""Columns brought to mean 0 and standard deviation 1 for training, and that undone in the network itself.

N = rows, F = features, O = outputs. All arrays but the network's are NumPy's.
"""

from typing import Any

from portable_nn.arrays import Place, namespace_of, to_numpy
from portable_nn.networks import Sequential

__all__ = ["Scaling", "dtype_of", "fold_inputs", "fold_outputs", "fold_remembered", "remember_scaling"]

_LEAST_DEVIATION = 1e-30
"""A column that varies less counts as constant: dividing by so little leaves float32."""


class Scaling:
    """The map x -> (x - mean) / deviation of each column of `data` (N, F), with its mean and deviation there.

    A column that is constant in `data` is mapped to 0 whatever its value: nothing was learnt about it.

    Attributes
    ----------
    mean, deviation : NumPy float64 (F,)
        The standard deviation is infinite for constant columns.
    """

    def __init__(self, data: Any):
        xp = namespace_of(data)
        data = xp.astype(data, xp.float64)
        # From the first row on: the mean of equal numbers may differ from them, and squares of large ones overflow.
        offsets = data - data[0]
        scale = xp.maximum(xp.max(xp.abs(offsets), axis=0), _LEAST_DEVIATION)
        deviation = xp.std(offsets / scale, axis=0) * scale
        self.mean = data[0] + xp.mean(offsets, axis=0)
        self.deviation = xp.where(deviation > _LEAST_DEVIATION, deviation, xp.inf)

    def __call__(self, data: Any) -> Any:
        """Return `data` (N, F) scaled, of the same data type."""
        return namespace_of(data).astype((data - self.mean) / self.deviation, data.dtype)


def dtype_of(*data: Any) -> str:
    """Return the data type that holds tables (N, F) and a network into which their scaling is folded: "float32" mostly.

    It is "float64" where float32, which knows a number x to x 2^-24, would not know some column to a thousandth of its
    standard deviation, or not hold it.
    """
    for table in data:
        xp = namespace_of(table)
        largest, deviation = xp.max(xp.abs(table), axis=0), Scaling(table).deviation
        if xp.any((largest > xp.finfo(xp.float32).max) | (largest * 2.0**-24 > 1e-3 * deviation)):
            return "float64"
    return "float32"


def fold_inputs(network: Sequential, scaling: Scaling) -> None:
    """Let a network trained on scaled features take them as they are; its first layer is Affine.

    ((x - mean) / deviation) W + b = x (W / deviation) + b - (mean / deviation) W.
    """
    W, b = _affine(network, 0)
    folded = W / scaling.deviation[:, None]
    _replace(network, 0, folded, b - scaling.mean @ folded)


def fold_outputs(network: Sequential, scaling: Scaling) -> None:
    """Let a network trained towards scaled targets give them as they were; its last layer is Affine.

    (x W + b) deviation + mean = x (W deviation) + b deviation + mean; a constant target is given as it was.
    """
    last = len(network) - 1
    W, b = _affine(network, last)
    xp = namespace_of(scaling.deviation)
    deviation = xp.where(xp.isfinite(scaling.deviation), scaling.deviation, 0.0)
    _replace(network, last, W * deviation, b * deviation + scaling.mean)


def remember_scaling(network: Sequential, inputs: Scaling | None, outputs: Scaling | None) -> None:
    """Note how features and targets are scaled: a checkpoint of the run has the network before that is undone."""
    kept = {"inputs": inputs, "outputs": outputs}
    numbers = {name: [s.mean.tolist(), s.deviation.tolist()] for name, s in kept.items() if s is not None}
    if numbers:
        network.notes["scaling"] = numbers


def fold_remembered(network: Sequential) -> None:
    """Undo in the network what `remember_scaling` noted, and forget it."""
    for name, (mean, deviation) in network.notes.pop("scaling", {}).items():
        place = Place(dtype="float64")
        scaling = Scaling.__new__(Scaling)
        scaling.mean, scaling.deviation = place.asarray(mean), place.asarray(deviation)
        (fold_inputs if name == "inputs" else fold_outputs)(network, scaling)


def _affine(network: Sequential, layer: int) -> tuple[Any, Any]:
    """Return the layer's W (F, O) and b (O,) in float64."""
    W, b = (to_numpy(network.parameters[f"{layer}.{name}"]) for name in ("W", "b"))
    xp = namespace_of(W)
    return xp.astype(W, xp.float64), xp.astype(b, xp.float64)


def _replace(network: Sequential, layer: int, W: Any, b: Any) -> None:
    network.parameters.update({f"{layer}.W": W, f"{layer}.b": b})
