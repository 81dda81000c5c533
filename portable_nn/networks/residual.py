"""Layers whose input is added to what they give."""

from typing import Any

from portable_nn.arrays import Namespace
from portable_nn.errors import ShapeError
from portable_nn.layers import Layer
from portable_nn.losses import Loss
from portable_nn.networks.graph import Graph

__all__ = ["Residual"]


class Residual(Graph):
    """y = x + F(x), where F is one layer after the other; with a `shortcut` S, y = S(x) + F(x).

    He, Zhang, Ren, Sun (CVPR 2016), eq. 1 and 2. The parameters are named by the positions of the layers, "0.W", and
    those of the shortcut "shortcut.W".

    Parameters
    ----------
    *layers : Layer
        At least one. Together they keep the shape of x, or give that of the shortcut.
    shortcut : Layer, optional
        What x goes through on the way round, where the shape changes.
    loss, seed, xp, device, dtype : optional
        As in `Network`.

    Raises
    ------
    TypeError, ValueError
        As `Sequential` does.
    ShapeError
        From the first inputs on, if the shapes to be added differ.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> block = pnn.Residual(pnn.Affine(4, 4), pnn.ReLU())
    >>> net = pnn.Sequential(pnn.Affine(3, 4), block, block, pnn.Affine(4, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> list(net.parameters)
    ['0.W', '0.b', '1.0.W', '1.0.b', '3.W', '3.b']
    """

    def __init__(
        self,
        *layers: Layer,
        shortcut: Layer | None = None,
        loss: Loss | None = None,
        seed: int | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str | None = None,
    ):
        super().__init__(loss=loss, seed=seed, xp=xp, device=device, dtype=dtype)
        x = self.input("x")
        y = self.chain(layers, x)
        self.output((x if shortcut is None else self.apply(shortcut, [x], "shortcut")) + y)

    def output_shape(self, *shapes: tuple[int, ...]) -> Any:
        """Return the shape of the output; ShapeError if what is added would have to be broadcast."""
        found = self.order.shapes(shapes, self.what)
        kept, changed = (found[name] for name in self.order.steps[-1].inputs)
        if kept != changed:
            raise ShapeError(f"{self} needs layers that give the shape {kept}, to which they are added, got {changed}")
        return changed

    def layout(self) -> dict[str, Any]:
        """Return the order of the layers, and the shortcut, each by its first name."""
        names = self.order.first_names()
        chain = [names[id(step.layer)] for step in self.order.steps if step.name.isdigit()]
        shortcut = [names[id(step.layer)] for step in self.order.steps if step.name == "shortcut"]
        return {"kind": "Residual", "layers": chain, "shortcut": shortcut[0] if shortcut else None}
