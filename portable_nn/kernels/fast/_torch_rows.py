"""PyTorch: rows of a matrix by their numbers, and the sums that are the gradient."""

from typing import Any, TypeAlias

import torch as _torch

from portable_nn.arrays import as_dtype_of, widened

__all__ = ["embedding", "embedding_gradient"]

torch: Any = _torch  # its types are in part unknown

Tensor: TypeAlias = Any


def embedding(W: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return the rows of W (count, E) whose numbers are x (...): (..., E)."""
    if out is None:
        return torch.index_select(W, 0, x.reshape(-1)).view(*x.shape, W.shape[1])
    torch.index_select(W, 0, x.reshape(-1), out=out.view(x.numel(), W.shape[1]))
    return out


def embedding_gradient(dy: Tensor, x: Tensor, count: int, padding: int | None) -> Tensor:
    """Return for each row the sum of dy over its uses in x.

    In one order on the CPU, and on CUDA too, where the uses are sorted: torch's list of what is not deterministic (its
    documentation of `torch.use_deterministic_algorithms`) has `index_add_`, but not this.
    """
    unused = -1 if padding is None else padding
    return as_dtype_of(dy, torch.ops.aten.embedding_dense_backward(widened(dy), x, count, unused, False))
