"""Weights that a network is evaluated and saved with, where they are others than those it is trained with."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from portable_nn.networks import Network
from portable_nn.training.callbacks import Callback, Training, overrides

__all__ = ["EvaluationWeights", "SetAside", "go_on"]

SetAside = tuple[list[Any], list[Any]] | None
"""What a finished fit has left in the network, and what the next one goes on with as long as that is still there."""


class EvaluationWeights:
    """Puts the weights to evaluate with into the network, and those of training back.

    They are what the last callback returns that has an `evaluation_weights` of its own, else the optimizer's.
    """

    def __init__(self, trainer: Training, watchers: Iterable[Callback]):
        self._trainer = trainer
        self._watchers = [watcher for watcher in watchers if overrides(watcher, "evaluation_weights")]
        self._shown: SetAside = None

    def training(self) -> list[Any]:
        """Return the arrays with which training goes on."""
        network = self._trainer.network
        if self._shown is None:
            return network.arrays()
        # What a callback has put there meanwhile is meant for training, too.
        triples = zip(network.arrays(), *self._shown, strict=True)
        return [before if now is shown else now for now, shown, before in triples]

    @contextmanager
    def shown(self) -> Generator[None]:
        """Let the network have the weights to evaluate with, if there are such."""
        if self._shown is not None or not self._show():
            yield
            return
        try:
            yield
        finally:
            arrays, self._shown = self.training(), None
            self._trainer.network.set_arrays(arrays)

    def leave(self) -> SetAside:
        """Leave them in the network for good, and return what to give to `go_on`."""
        shown = self._show()
        aside, self._shown = self._shown, None
        return aside if shown else None

    def _show(self) -> bool:
        found = self._found()
        if found is None:
            return False
        network = self._trainer.network
        before = network.arrays()
        network.set_arrays([found.get(name, array) for name, array in zip(network.sharing.names, before, strict=True)])
        self._shown = network.arrays(), before
        return True

    def _found(self) -> Mapping[str, Any] | None:
        for watcher in reversed(self._watchers):
            found = watcher.evaluation_weights(self._trainer)
            if found is not None:
                return found
        return self._trainer.optimizer.evaluation_weights(dict(self._trainer.network.parameters))


def go_on(network: Network, aside: SetAside) -> None:
    """Put the weights of training back that a finished fit has set aside, if nobody has changed its others."""
    if aside is not None and all(now is left for now, left in zip(network.arrays(), aside[0], strict=True)):
        network.set_arrays(aside[1])
