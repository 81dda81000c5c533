"""Networks: layers in some layout, with a loss."""

from portable_nn.networks.loading import load
from portable_nn.networks.network import Network
from portable_nn.networks.sequential import Sequential

__all__ = ["Network", "Sequential", "load"]
