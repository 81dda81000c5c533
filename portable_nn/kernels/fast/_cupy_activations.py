"""CuPy: activations, element by element, in one launch each."""

from typing import Any

from portable_nn.kernels.fast import _cuda

__all__ = ["ActivationKernels"]

_Out = Any  # an array of what was returned before, whose memory is given away, or None


class ActivationKernels:
    """The kernels of `_cuda.ACTIVATIONS`, as a launcher runs them."""

    def __init__(self, device: _cuda.Launcher):
        self._device = device

    def relu(self, x: Any, out: _Out = None) -> Any:
        """Return max(x, 0)."""
        return self._device.elementwise("relu", (x,), out)

    def relu_gradient(self, dy: Any, y: Any, out: _Out = None) -> Any:
        """Return dy where y > 0, else 0."""
        return self._device.elementwise("relu_gradient", (dy, y), out)

    def leaky_relu(self, x: Any, slope: float, out: _Out = None) -> Any:
        """Return x where x > 0, else slope x."""
        return self._device.elementwise("leaky_relu", (x,), out, slope)

    def leaky_relu_gradient(self, dy: Any, x: Any, slope: float, out: _Out = None) -> Any:
        """Return dy where x > 0, else slope dy."""
        return self._device.elementwise("leaky_relu_gradient", (dy, x), out, slope)

    def sigmoid(self, x: Any, out: _Out = None) -> Any:
        """Return 1 / (1 + exp(-x))."""
        return self._device.elementwise("sigmoid", (x,), out)

    def sigmoid_gradient(self, dy: Any, y: Any, out: _Out = None) -> Any:
        """Return dy y (1 - y)."""
        return self._device.elementwise("sigmoid_gradient", (dy, y), out)

    def tanh(self, x: Any, out: _Out = None) -> Any:
        """Return the hyperbolic tangent of x."""
        return self._device.elementwise("tanh", (x,), out)

    def tanh_gradient(self, dy: Any, y: Any, out: _Out = None) -> Any:
        """Return dy (1 - y^2)."""
        return self._device.elementwise("tanh_gradient", (dy, y), out)

    def softplus(self, x: Any, out: _Out = None) -> Any:
        """Return log(1 + exp(x))."""
        return self._device.elementwise("softplus", (x,), out)

    def softplus_gradient(self, dy: Any, x: Any, out: _Out = None) -> Any:
        """Return dy sigmoid(x)."""
        return self._device.elementwise("softplus_gradient", (dy, x), out)

    def elu(self, x: Any, alpha: float, out: _Out = None) -> Any:
        """Return x where x > 0, else alpha (exp(x) - 1)."""
        return self._device.elementwise("elu", (x,), out, alpha)

    def elu_gradient(self, dy: Any, x: Any, alpha: float, out: _Out = None) -> Any:
        """Return dy where x > 0, else dy alpha exp(x)."""
        return self._device.elementwise("elu_gradient", (dy, x), out, alpha)

    def silu(self, x: Any, out: _Out = None) -> Any:
        """Return x sigmoid(x)."""
        return self._device.elementwise("silu", (x,), out)

    def silu_gradient(self, dy: Any, x: Any, out: _Out = None) -> Any:
        """Return dy s (1 + x (1 - s)) with s = sigmoid(x)."""
        return self._device.elementwise("silu_gradient", (dy, x), out)

    def gelu(self, x: Any, out: _Out = None) -> Any:
        """Return x Phi(x)."""
        return self._device.elementwise("gelu", (x,), out)

    def gelu_gradient(self, dy: Any, x: Any, out: _Out = None) -> Any:
        """Return dy (Phi(x) + x phi(x))."""
        return self._device.elementwise("gelu_gradient", (dy, x), out)

    def selu(self, x: Any, out: _Out = None) -> Any:
        """Return s x where x > 0, else s alpha (exp(x) - 1)."""
        return self._device.elementwise("selu", (x,), out)

    def selu_gradient(self, dy: Any, x: Any, out: _Out = None) -> Any:
        """Return dy s where x > 0, else dy s alpha exp(x)."""
        return self._device.elementwise("selu_gradient", (dy, x), out)

    def celu(self, x: Any, alpha: float, out: _Out = None) -> Any:
        """Return x where x > 0, else alpha (exp(x / alpha) - 1)."""
        return self._device.elementwise("celu", (x,), out, alpha)

    def celu_gradient(self, dy: Any, x: Any, alpha: float, out: _Out = None) -> Any:
        """Return dy where x > 0, else dy exp(x / alpha)."""
        return self._device.elementwise("celu_gradient", (dy, x), out, alpha)

    def mish(self, x: Any, out: _Out = None) -> Any:
        """Return x tanh(softplus(x))."""
        return self._device.elementwise("mish", (x,), out)

    def mish_gradient(self, dy: Any, x: Any, out: _Out = None) -> Any:
        """Return dy (w + x (1 - w^2) sigmoid(x)), with w = tanh(softplus(x))."""
        return self._device.elementwise("mish_gradient", (dy, x), out)

    def softsign(self, x: Any, out: _Out = None) -> Any:
        """Return x / (1 + |x|)."""
        return self._device.elementwise("softsign", (x,), out)

    def softsign_gradient(self, dy: Any, x: Any, out: _Out = None) -> Any:
        """Return dy / (1 + |x|)^2."""
        return self._device.elementwise("softsign_gradient", (dy, x), out)

    def gelu_tanh(self, x: Any, out: _Out = None) -> Any:
        """Return x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3)."""
        return self._device.elementwise("gelu_tanh", (x,), out)

    def gelu_tanh_gradient(self, dy: Any, x: Any, out: _Out = None) -> Any:
        """Return dy (g + x g (1 - g) 2 du/dx), with g = sigmoid(2 u)."""
        return self._device.elementwise("gelu_tanh_gradient", (dy, x), out)

    def hard_tanh(self, x: Any, low: float, high: float, out: _Out = None) -> Any:
        """Return x, at least `low` and at most `high`."""
        return self._device.elementwise("hard_tanh", (x,), out, low, high)

    def hard_tanh_gradient(self, dy: Any, y: Any, low: float, high: float, out: _Out = None) -> Any:
        """Return dy where low < y < high, else 0."""
        return self._device.elementwise("hard_tanh_gradient", (dy, y), out, low, high)

    def hard_sigmoid(self, x: Any, out: _Out = None) -> Any:
        """Return x / 6 + 1/2, at least 0 and at most 1."""
        return self._device.elementwise("hard_sigmoid", (x,), out)

    def hard_sigmoid_gradient(self, dy: Any, y: Any, out: _Out = None) -> Any:
        """Return dy / 6 where 0 < y < 1, else 0."""
        return self._device.elementwise("hard_sigmoid_gradient", (dy, y), out)

    def hard_swish(self, x: Any, out: _Out = None) -> Any:
        """Return x times its `hard_sigmoid`."""
        return self._device.elementwise("hard_swish", (x,), out)

    def hard_swish_gradient(self, dy: Any, x: Any, out: _Out = None) -> Any:
        """Return dy where x >= 3, else dy (2 x + 3) / 6 where x > -3, else 0."""
        return self._device.elementwise("hard_swish_gradient", (dy, x), out)
