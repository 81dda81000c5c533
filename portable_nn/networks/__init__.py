"""Networks: layers in some layout, with a loss."""

from portable_nn.networks.graph import Graph
from portable_nn.networks.loading import load
from portable_nn.networks.lsuv import lsuv
from portable_nn.networks.network import Network
from portable_nn.networks.node import Node
from portable_nn.networks.residual import Residual
from portable_nn.networks.sequential import Sequential

__all__ = ["Graph", "Network", "Node", "Residual", "Sequential", "load", "lsuv"]
