"""The embedding layer, rows of a matrix by their numbers. E = size of a row."""

from typing import Any, Self

import portable_nn.layers.weights as weights
from portable_nn.arrays import Array, Namespace
from portable_nn.errors import ShapeError
from portable_nn.initializers import Initializer, normal, with_zeros
from portable_nn.layers.layer import Arrays, Layer, Run
from portable_nn.layers.parameter import Parameter, Transposed

__all__ = ["Embedding"]


class Embedding(Layer):
    """y = the rows of W whose numbers are x: x (N, ...) of integers, W (count, size), y (N, ..., size).

    x reaches the layer as whole numbers, never as floats. Those below 0 or from `count` on are an error where x is on
    the CPU; on a GPU they are taken at their word, as labels are. The gradient is summed in an order that depends on x
    alone. Bengio, Ducharme, Vincent, Jauvin (JMLR 3, 2003), section 2.

    Parameters
    ----------
    count, size : int
        How many rows there are, and the numbers in each.
    padding_index : int, optional
        A row that is zero at first and gets no gradient: for what fills sequences up.
    W : initializer, Parameter or Transposed, optional
        As in `Affine`; by default the standard normal distribution, as in torch.
    xp, device, dtype, seed : optional
        As in `Affine`.

    Raises
    ------
    ShapeError
        If a size is not positive or a shared parameter has another shape.
    ValueError
        If `padding_index` is no row.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> layer = pnn.Embedding(10, 4, padding_index=0, seed=0)
    >>> layer.forward([[3, 1, 0], [2, 0, 0]]).shape
    (2, 3, 4)
    >>> layer.forward([[10]])
    Traceback (most recent call last):
    ValueError: Embedding(10, 4, padding_index=0) needs x of whole numbers from 0 to 9, got 10
    """

    options = ("count", "size", "padding_index")
    input_kinds = ("integral",)

    def __init__(
        self,
        count: int,
        size: int,
        *,
        padding_index: int | None = None,
        W: Initializer | Parameter | Transposed | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str = "float32",
        seed: int | None = None,
    ):
        super().__init__()
        self.count, self.size = weights.size("Embedding", "count", count), weights.size("Embedding", "size", size)
        self.padding_index = None
        source = normal(1.0) if W is None else W
        if padding_index is not None:
            self.padding_index = weights.index("Embedding", "padding_index", padding_index, self.count)
            if callable(source):
                source = with_zeros(source, self.padding_index)
        self.parameters["W"] = weights.declare("Embedding", "W", (self.count, self.size), source)
        self.initialize_if_asked(xp, device, dtype, seed)

    @classmethod
    def from_arrays(cls, W: Array, *, padding_index: int | None = None) -> Self:
        """Return the layer with this W, in its namespace, on its device and of its data type.

        Raises
        ------
        ShapeError, NamespaceError, DTypeError
            If W is not a floating array of shape (count, size).
        ValueError
            If `padding_index` is no row.
        """
        if W.ndim != 2:
            raise ShapeError(f"Embedding needs W of shape (count, size), got {W.shape}")
        layer = cls(*W.shape, padding_index=padding_index)
        weights.adopt_arrays(layer, {"W": W})
        return layer

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, ..., size) for (N, ...)."""
        if not shape:
            raise ShapeError("Embedding needs x of shape (N, ...), got ()")
        return *shape, self.size

    def check_values(self, x: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  (there is one input)
        """Raise ValueError if one of x is the number of no row."""
        least, most = x.min(), x.max()
        if least < 0 or most >= self.count:
            wrong = least if least < 0 else most
            raise ValueError(f"{self} needs x of whole numbers from 0 to {self.count - 1}, got {wrong}")

    def forward_pass(self, run: Run, params: Arrays, x: Any) -> tuple[Any, Any]:
        """Return the rows; keeps their numbers."""
        return run.kernels.embedding(params["W"], x), x

    def backward_pass(self, run: Run, params: Arrays, saved: Any, dy: Any) -> tuple[Any, Arrays]:
        """Return dW, the sums of dy over the uses of each row; x has no derivative."""
        return (), {"W": run.kernels.embedding_gradient(dy, saved, self.count, self.padding_index)}
