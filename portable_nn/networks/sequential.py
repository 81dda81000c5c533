"""One layer after the other."""

from collections.abc import Sequence
from typing import Any

from portable_nn.arrays import Namespace
from portable_nn.errors import ShapeError
from portable_nn.layers import Layer, Run
from portable_nn.losses import Loss
from portable_nn.networks.network import Network, Tape

__all__ = ["Sequential"]


class Sequential(Network):
    """A network of layers in a row, each taking the output of the one before.

    The parameters are named after the position of their layer: "0.W", "0.b", "2.W", ...

    Parameters
    ----------
    *layers : Layer
        At least one.
    loss, seed, xp, device, dtype : optional
        As in `Network`.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> net = pnn.Sequential(pnn.Affine(4, 3), pnn.ReLU(), pnn.Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> list(net.parameters)
    ['0.W', '0.b', '2.W', '2.b']
    """

    def __init__(
        self,
        *layers: Layer,
        loss: Loss | None = None,
        seed: int | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str | None = None,
    ):
        if not layers:
            raise ValueError("Sequential needs at least one layer")
        for layer in layers:
            if not isinstance(layer, Layer):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not typed)
                raise TypeError(f"Sequential needs layers, got {layer!r}")
        named = {str(i): layer for i, layer in enumerate(layers)}
        super().__init__(named, loss=loss, seed=seed, xp=xp, device=device, dtype=dtype)
        self._draw()

    def forward_walk(self, run: Run, params: Sequence[Any], x: Any) -> tuple[Any, Tape]:
        """Return the output of the last layer, and what each layer kept."""
        tape: list[tuple[str, Layer, Any, Any]] = []
        for name, layer in self._layers.items():
            layer_params = self.wiring.layer_params(name, run.kernels, params)
            x, kept = layer.forward_pass(run, layer_params, x)
            tape.append((name, layer, layer_params, kept))
        return x, tape

    def backward_walk(self, run: Run, params: Sequence[Any], tape: Tape, dy: Any) -> list[Any]:
        """Return the gradients, from the last layer to the first."""
        grads: list[Any] = [None] * len(params)
        for name, layer, layer_params, kept in reversed(tape):
            dy, layer_grads = layer.backward_pass(run, layer_params, kept, dy)
            self.wiring.add_gradients(name, run.kernels, grads, layer_grads)
        return grads

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the last layer's output."""
        for name, layer in self._layers.items():
            try:
                shape = layer.output_shape(shape)
            except ShapeError as error:
                raise ShapeError(f"layer {name}: {error}") from None
        return shape

    def layout(self) -> dict[str, Any]:
        """Return the order of the layers, each by its first name."""
        names = {id(layer): name for name, layer in self.wiring.distinct_layers.items()}
        return {"kind": "Sequential", "layers": [names[id(layer)] for layer in self.layers]}

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, position: int) -> Layer:
        return self.layers[position]
