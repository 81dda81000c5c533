"""Arrays of any library: which namespace they belong to, where they live, and how they move.

The only importer of array-api-compat.
"""

from portable_nn.arrays.arguments import as_array, is_nested_list
from portable_nn.arrays.array import Array
from portable_nn.arrays.namespaces import (
    BACKENDS,
    Namespace,
    backend_name,
    copies,
    device_of,
    is_array,
    is_on_cpu,
    namespace,
    namespace_of,
    overflow_unreported,
    owns_memory,
    shares_memory,
    to_numpy,
    without_graph,
)
from portable_nn.arrays.place import FLOATING_DTYPES, Place, indices_beside, move

__all__ = [
    "BACKENDS",
    "FLOATING_DTYPES",
    "Array",
    "Namespace",
    "Place",
    "as_array",
    "backend_name",
    "copies",
    "device_of",
    "indices_beside",
    "is_array",
    "is_nested_list",
    "is_on_cpu",
    "move",
    "namespace",
    "namespace_of",
    "overflow_unreported",
    "owns_memory",
    "shares_memory",
    "to_numpy",
    "without_graph",
]
