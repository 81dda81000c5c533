"""Which parts of a network are somebody's own code, of which nothing is known."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from portable_nn.kernels import declares, is_ours, is_recordable

__all__ = ["has_known_walk", "opaque_parts"]

_WALKS = ("forward_walk", "backward_walk", "loss_and_gradients")


class _Network(Protocol):
    @property
    def layers(self) -> Sequence[object]: ...
    @property
    def criterion(self) -> object: ...


def has_known_walk(network: object) -> bool:
    """Tell whether the walks of a network's layout are this library's, or declared recordable."""
    kind = type(network)
    walks = (getattr(kind, name).__module__.partition(".")[0] for name in _WALKS)
    return declares(kind, "recordable") or (is_ours(kind) and all(package == "portable_nn" for package in walks))


def opaque_parts(network: _Network) -> list[str]:
    """Return the names of the classes in a network, its loss and layout among them, that nobody declared recordable."""
    kinds: list[type] = [type(part) for part in _parts([*network.layers, network.criterion])]
    names = [kind.__name__ for kind in kinds if not is_recordable(kind)]
    return list(dict.fromkeys(names if has_known_walk(network) else [*names, type(network).__name__]))


def _parts(layers: Sequence[object]) -> Iterator[object]:
    """Yield the layers, and those in the place of each that is a network of this library's."""
    for layer in layers:
        within: Sequence[Any] | None = getattr(layer, "layers", None)
        if within is not None and is_recordable(type(layer)):
            yield from _parts(within)
        else:
            yield layer
