"""One layer after the other."""

from typing import Any

from portable_nn.arrays import Namespace
from portable_nn.layers import Layer
from portable_nn.losses import Loss
from portable_nn.networks.graph import Graph

__all__ = ["Sequential"]


class Sequential(Graph):
    """A graph of one path: layers in a row, each taking the output of the one before.

    The parameters are named after the position of their layer: "0.W", "0.b", "2.W", ...

    Parameters
    ----------
    *layers : Layer
        At least one.
    loss, seed, xp, device, dtype : optional
        As in `Network`.

    Raises
    ------
    TypeError
        If a layer is no Layer, or the loss no Loss, but a class or a name, say.
    ValueError
        If there is no layer, or one has several outputs.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> net = pnn.Sequential(pnn.Affine(4, 3), pnn.ReLU(), pnn.Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> list(net.parameters)
    ['0.W', '0.b', '2.W', '2.b']
    """

    what = "layer"

    def __init__(
        self,
        *layers: Layer,
        loss: Loss | None = None,
        seed: int | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str | None = None,
    ):
        super().__init__(loss=loss, seed=seed, xp=xp, device=device, dtype=dtype)
        self.output(self.chain(layers, self.input("x")))

    def layout(self) -> dict[str, Any]:
        """Return the order of the layers, each by its first name."""
        names = self.order.first_names()
        return {"kind": "Sequential", "layers": [names[id(layer)] for layer in self.layers]}

    def __len__(self) -> int:
        return len(self.order.steps)

    def __getitem__(self, position: int) -> Layer:
        return self.order.steps[position].layer
