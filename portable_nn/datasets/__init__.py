"""Data sets: digits that come with the package, MNIST and Fashion-MNIST, and tables from a user's own files.

Images come as ((x, t), (x2, t2)), training and test samples: x float32 in [0, 1], t integer labels.

>>> from portable_nn.datasets import load_digits
>>> (x, t), (x2, t2) = load_digits()
>>> x.shape, t.shape, x2.shape, t2.shape
((1438, 64), (1438,), (359, 64), (359,))
"""

from portable_nn.datasets.digits import load_digits
from portable_nn.datasets.downloads import load_fashion_mnist, load_mnist
from portable_nn.datasets.idx import load_idx, read_idx
from portable_nn.datasets.tables import Table, load_features, load_table

__all__ = [
    "Table",
    "load_digits",
    "load_fashion_mnist",
    "load_features",
    "load_idx",
    "load_mnist",
    "load_table",
    "read_idx",
]
