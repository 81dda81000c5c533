"""JAX with the whole step compiled: one step a call, or many in one `lax.scan`."""

from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from benchmarks.contestants.loops import Predicting
from benchmarks.workloads import Workload

__all__ = ["prepare"]

_MULTIPLICATIONS = 2.5e9  # of one scan, about 50 ms
_STEPS = 50  # of one scan, at most


class Calls:
    """Calls a compiled function (carry, x, t) -> (carry, losses), which slices the batches itself."""

    def __init__(self, workload: Workload, stride: int):
        self.stride = stride
        self.x, self.t = map(jnp.asarray, workload.data())
        params = jax.tree.map(jnp.asarray, workload.weights())
        slots = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)] if workload.optimizer == "adam" else []
        self.carry: Any = (params, slots, jnp.zeros((), jnp.int32))
        step = _step(workload)

        def many(carry: Any, x: Any, t: Any) -> Any:
            return lax.scan(lambda carry, _: step(carry, x, t), carry, length=stride)

        self.call = jax.jit(step if stride == 1 else many, donate_argnums=0)

    def run(self, steps: int) -> None:
        """Take steps."""
        loss = None
        for _ in range(0, steps, self.stride):
            self.carry, loss = self.call(self.carry, self.x, self.t)
        jax.block_until_ready((self.carry, loss))

    def curve(self, steps: int) -> list[float]:
        """Return the losses of the next steps."""
        losses: list[float] = []
        while len(losses) < steps:
            self.carry, loss = self.call(self.carry, self.x, self.t)
            losses += np.ravel(loss).tolist()
        return losses[:steps]


def prepare(workload: Workload, how: str, device: str = "cpu") -> Calls | Predicting:
    """Return the runner of `one` step a call or of `many`; ImportError if JAX does not find the device."""
    try:
        jax.devices(device)  # all that there are: the environment leaves out others
    except RuntimeError as error:
        raise ImportError(f"JAX finds no device {device!r}: {error}") from error
    if workload.optimizer is None:
        if how == "many":
            raise NotImplementedError("only training steps are scanned")
        return _predicting(workload)
    many = max(2, min(_STEPS, int(_MULTIPLICATIONS / workload.multiplications)))
    return Calls(workload, 1 if how == "one" else many)


class _Starts:
    """Gives a slice's start for the slice: the compiled function cuts the batch itself, which is faster."""

    def __getitem__(self, cut: slice) -> int:
        return cut.start


def _predicting(workload: Workload) -> Predicting:
    params, x = jax.tree.map(jnp.asarray, workload.weights()), jnp.asarray(workload.data()[0])

    @jax.jit
    def outputs(params: Any, x: Any, start: Any) -> Any:
        return _outputs(params, lax.dynamic_slice_in_dim(x, start, workload.batch), workload.activation)

    return Predicting(workload, _Starts(), lambda start: outputs(params, x, start), jax.block_until_ready)


def _outputs(params: Any, x: Any, activation: str) -> Any:
    for W, b in params[:-1]:
        x = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}[activation](x @ W + b)
    W, b = params[-1]
    return x @ W + b


def _step(workload: Workload) -> Any:
    def loss_of(params: Any, x: Any, t: Any) -> Any:
        y = _outputs(params, x, workload.activation)
        if workload.loss == "squares":
            return jnp.mean((y - t) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=1))

    update = {"sgd": _sgd, "adam": _adam}[workload.optimizer]

    def step(carry: Any, x: Any, t: Any) -> Any:
        params, slots, count = carry
        start = count % workload.batches * workload.batch
        batch = (lax.dynamic_slice_in_dim(array, start, workload.batch) for array in (x, t))
        loss, grads = jax.value_and_grad(loss_of)(params, *batch)
        params, slots = update(params, grads, slots, count + 1, workload.rate)
        return (params, slots, count + 1), loss

    return step


def _sgd(params: Any, grads: Any, slots: Any, count: Any, rate: float) -> Any:
    return jax.tree.map(lambda p, g: p - rate * g, params, grads), slots


def _adam(params: Any, grads: Any, slots: Any, count: Any, rate: float) -> Any:
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, slots[0], grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, slots[1], grads)
    root = jnp.sqrt(1.0 - 0.999 ** count.astype(jnp.float32))
    rate, epsilon = rate * root / (1.0 - 0.9 ** count.astype(jnp.float32)), 1e-8 * root
    return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + epsilon), params, m, v), [m, v]
