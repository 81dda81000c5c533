"""Arrays of any library: which namespace they belong to, where they live, and how they move.

The only importer of array-api-compat.
"""

from portable_nn.arrays.arguments import as_array, is_nested_list
from portable_nn.arrays.array import Array
from portable_nn.arrays.namespaces import (
    BACKENDS,
    Namespace,
    as_dtype_of,
    backend_name,
    copies,
    device_of,
    floating_dtype,
    is_array,
    is_on_cpu,
    namespace,
    namespace_of,
    overflow_unreported,
    owns_memory,
    shares_memory,
    to_numpy,
    widened,
    without_graph,
)
from portable_nn.arrays.place import FLOATING_DTYPES, PRECISIONS, Place, indices_beside, move
from portable_nn.arrays.sequences import pad_sequences
from portable_nn.arrays.several import check_names, each, flat, in_order, is_several, same_length

__all__ = [
    "BACKENDS",
    "FLOATING_DTYPES",
    "PRECISIONS",
    "Array",
    "Namespace",
    "Place",
    "as_array",
    "as_dtype_of",
    "backend_name",
    "check_names",
    "copies",
    "device_of",
    "each",
    "flat",
    "floating_dtype",
    "in_order",
    "indices_beside",
    "is_array",
    "is_nested_list",
    "is_on_cpu",
    "is_several",
    "move",
    "namespace",
    "namespace_of",
    "overflow_unreported",
    "owns_memory",
    "pad_sequences",
    "same_length",
    "shares_memory",
    "to_numpy",
    "widened",
    "without_graph",
]
