"""Predicting by plans."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from portable_nn.arrays import Place, copies, each, flat, shares_memory
from portable_nn.kernels import Plan, Recorder, UnrecordedError, kernels_at
from portable_nn.layers import Run
from portable_nn.layers.topology import Topology
from portable_nn.networks.opacity import has_known_walk

__all__ = ["Predictor"]

_PLANS = 16
"""Shapes whose plans are kept."""


class _Network(Protocol):
    @property
    def place(self) -> Place: ...
    @property
    def order(self) -> Topology: ...
    @property
    def version(self) -> int: ...
    def inputs(self, x: Any) -> Any: ...
    def arrays(self) -> list[Any]: ...
    def run(self) -> Run: ...
    def forward_walk(self, run: Run, params: Any, x: Any) -> tuple[Any, Any]: ...


class Predictor:
    """Runs a network outside training: by a plan, from the second time on that it sees inputs of a shape.

    Any number of threads may call at once.
    """

    def __init__(self, network: _Network):
        self._network = network
        self._plans: dict[Any, Callable[..., Any] | None] = {}
        """By shape; None where no plan is known yet, or can be."""
        self._place: Place | None = None  # of the plans
        self._ready: dict[Any, Callable[..., Any]] = {}
        """By shape, the plans of one floating input that needs no move and no cast: nothing more is asked of such."""
        self._host_kind: type[Any] | None = None
        self._of_host: dict[Any, Callable[..., Any]] = {}
        """By shape and data type, the same for arrays of NumPy that compiled plans take as they are."""

    def __call__(self, x: Any) -> Any:
        """Return the raw outputs for x."""
        network, place = self._network, self._place
        if place is not None:
            if place.is_ready(x):
                plan = self._ready.get((x.shape, network.version))
                if plan is not None:
                    return plan(network.arrays(), x)
            elif x.__class__ is self._host_kind:
                plan = self._of_host.get((x.shape, x.dtype, network.version))
                if plan is not None:
                    return plan(network.arrays(), x)
        x = network.inputs(x)
        key = tuple([part.shape for part in x]) if x.__class__ is tuple else x.shape, network.version
        plan = self._plans.get(key)
        if plan is not None:
            return plan(network.arrays(), x)
        if key in self._plans and has_known_walk(network):
            return self._planned(key, x)
        if len(self._plans) >= _PLANS:
            self._plans, self._ready, self._of_host = {}, {}, {}
        self._plans[key] = None
        return self._walk(network.arrays(), x)

    def _planned(self, key: Any, x: Any) -> Any:
        """Return the outputs, and keep the plan that would give them."""
        for trusting in (True, False):
            kernels = kernels_at(self._network.place)
            recorder = Recorder(kernels, trusting=trusting)
            inputs = {"params": recorder.input(self._network.arrays()), "x": recorder.input(x)}
            try:
                y, _ = self._network.forward_walk(Run(self._network.place, recorder), *inputs.values())
                plan = Plan(recorder, inputs, y)
            except UnrecordedError:
                continue
            compiled = plan if recorder.is_opaque else kernels.compile_pass(plan)
            compiled = plan.function if compiled is plan else compiled  # one call less
            # A view of x, from a network that only reshapes, is one each time; what opaque code returns may be, or not.
            copied = recorder.is_opaque or any(_is_of(x, part) for part in flat(y))
            self._plans[key] = function = partial(_apart, compiled) if copied else compiled
            place = self._network.place
            self._place, self._host_kind = place, kernels.host_kind
            if place.is_ready(x):
                self._ready[key] = function
                if kernels.host_pass is not None and not recorder.is_opaque:
                    self._of_host[x.shape, x.dtype, key[1]] = kernels.host_pass(compiled, place.device)
            return _unshared(x, y)
        self._plans[key] = self._walk
        return self._walk(self._network.arrays(), x)

    def _walk(self, params: list[Any], x: Any) -> Any:
        return _unshared(x, self._network.forward_walk(self._network.run(), params, x)[0])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {
            "_plans": {},
            "_ready": {},
            "_of_host": {},
            "_place": None,
        }  # plans are functions; a copy makes its own


def _apart(function: Callable[..., Any], params: list[Any], x: Any) -> Any:
    return _unshared(x, function(params, x))


def _unshared(x: Any, y: Any) -> Any:
    """Return the outputs, copied if they are memory of x, which is the caller's."""
    return each(lambda part: copies([part])[0] if _is_of(x, part) else part, y)


def _is_of(x: Any, part: Any) -> bool:
    return any(shares_memory(one, part) for one in flat(x))
