"""Predicting by plans."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from portable_nn.kernels import Plan, Recorder, UnrecordedError, kernels_for
from portable_nn.layers import Layer, Run

if TYPE_CHECKING:
    from portable_nn.networks.network import Network

__all__ = ["Predictor"]

_PLANS = 16
"""Shapes whose plans are kept."""


class Predictor:
    """Runs a network outside training: by a plan, from the second time on that it sees inputs of a shape.

    Any number of threads may call at once.
    """

    def __init__(self, network: "Network"):
        self._network = network
        self._plans: dict[Any, Callable[..., Any] | None] = {}
        """By shape; None where no plan is known yet, or can be."""

    def __call__(self, x: Any) -> Any:
        """Return the raw outputs for x, as `Network.inputs` returns it."""
        network, key = self._network, (x.shape, Layer.changes)
        plan = self._plans.get(key)
        if plan is not None:
            return plan(network.arrays(), x)
        if key in self._plans:
            self._plans[key] = self._plan(x)
        else:
            if len(self._plans) >= _PLANS:
                self._plans = {}
            self._plans[key] = None
        return network.forward_walk(network.run(), network.arrays(), x)[0]

    def _plan(self, x: Any) -> Callable[..., Any] | None:
        kernels = kernels_for(self._network.place.xp)
        recorder = Recorder(kernels)
        inputs = {"params": recorder.input(self._network.arrays()), "x": recorder.input(x)}
        run = Run(self._network.place, recorder)
        try:
            return kernels.compile_pass(Plan(recorder, inputs, self._network.forward_walk(run, *inputs.values())[0]))
        except UnrecordedError:
            return None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_plans": {}}  # plans are functions; a copy makes its own
