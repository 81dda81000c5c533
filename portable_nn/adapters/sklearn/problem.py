"""What an estimator minimizes, in scikit-learn's terms: a loss, summed over outputs, and a penalty on the weights.

N = batch, K = outputs, s = the weights of the samples. Source: scikit-learn's user guide, section 1.17.6.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from portable_nn import layers
from portable_nn.layers import Layer, Run
from portable_nn.layers.layer import Arrays
from portable_nn.losses import Loss, MeanSquaredError, PoissonLoss, SigmoidWithLoss, SoftmaxWithLoss
from portable_nn.networks import Sequential

__all__ = ["ACTIVATIONS", "PenalizedNetwork", "criterion", "stack"]

ACTIVATIONS: dict[str, type[Layer]] = {
    "elu": layers.ELU,
    "gelu": layers.GELU,
    "identity": layers.Identity,
    "leaky_relu": layers.LeakyReLU,
    "logistic": layers.Sigmoid,
    "relu": layers.ReLU,
    "silu": layers.SiLU,
    "softplus": layers.Softplus,
    "tanh": layers.Tanh,
}
"""Activations by name: scikit-learn's four and others."""


class _SummedOverOutputs:
    """Makes a mean over the samples alone of a loss that sums over outputs: sum_n s_n l_n / sum_n s_n, scaled."""

    factor = 1.0

    def _scale(self, run: Run, y: Any, weight: Any) -> Any:
        if weight is None:
            return self.factor / max(y.shape[0], 1)
        return run.kernels.mean_scale(weight, weight, self.factor)


class _SigmoidLoss(_SummedOverOutputs, SigmoidWithLoss):
    pass


class _Poisson(_SummedOverOutputs, PoissonLoss):
    pass


class _HalfSquaredError(_SummedOverOutputs, MeanSquaredError):
    """Half the squared error. As in scikit-learn, the loss is averaged over the outputs, its gradient is not."""

    factor = 0.5

    def forward_pass(self, run: Run, params: Arrays, y: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss; keeps y, t and the scale."""
        loss, saved = super().forward_pass(run, params, y, t, weight)
        outputs = math.prod(y.shape[1:])
        return (loss if outputs == 1 else run.kernels.multiply(loss, 1.0 / outputs)), saved


def criterion(loss: str | Loss, activation: Literal["softmax", "logistic", "exp", "identity"]) -> Loss:
    """Return the loss for outputs of that activation: scikit-learn's, or the given one."""
    if isinstance(loss, Loss):
        return loss
    return {
        "softmax": SoftmaxWithLoss,
        "logistic": _SigmoidLoss,
        "exp": _Poisson,
        "identity": _HalfSquaredError,
    }[activation]()


def stack(sizes: Sequence[tuple[Any, Any]], activations: Sequence[Layer], dropout: Sequence[float]) -> list[Layer]:
    """Return affine layers of pairs (W, b), after each but the last an activation, and dropout where it is not 0."""
    *hidden, last = [layers.Affine.from_arrays(W, b) for W, b in sizes]
    result: list[Layer] = []
    for affine, activation, rate in zip(hidden, activations, dropout, strict=True):
        result += [affine, activation, *([layers.Dropout(rate)] if rate else [])]
    return [*result, last]


class PenalizedNetwork(Sequential):
    """A network whose training loss has alpha sum |W|^2 / (2 sum s) added, over the matrices W, not the biases.

    Without sample weights, sum s is the number of samples in the batch.
    """

    alpha: float = 0.0

    def loss_and_gradients(
        self, run: Run, params: Sequence[Any], x: Any, t: Any, weight: Any = None, *dout: Any
    ) -> tuple[Any, list[Any]]:
        """Return the penalized loss and its gradient by each parameter."""
        loss, grads = super().loss_and_gradients(run, params, x, t, weight, *dout)
        if not self.alpha:
            return loss, grads
        kernels = run.kernels
        share = self.alpha / x.shape[0] if weight is None else kernels.per_weight(self.alpha, weight)
        for i, W in enumerate(params):
            if W.ndim == 2:
                grads[i] = kernels.add_scaled(grads[i], W, share)
                loss = kernels.add(loss, kernels.multiply(kernels.half_squares(W), share))
        return loss, grads
