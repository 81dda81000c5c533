"""Tools to test networks, layers and backends with, here and in projects of your own."""

from portable_nn.testing.backends import BACKENDS, Backend, float64_enabled, selected_backends
from portable_nn.testing.checks import Report, Row, check_layer, check_network
from portable_nn.testing.differences import numerical_gradient

__all__ = [
    "BACKENDS",
    "Backend",
    "Report",
    "Row",
    "check_layer",
    "check_network",
    "float64_enabled",
    "numerical_gradient",
    "selected_backends",
]
