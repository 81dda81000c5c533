"""Operators of arrays, each a launch of a function; what CuPy does not take is left to NumPy to refuse."""

import numpy as np

from cupy import _ledger, _products, _work
from cupy._ufuncs import UFUNCS

_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "lshift": "left_shift", "rshift": "right_shift", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "divmod": "divmod",
}  # fmt: skip
_UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
_COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip


def _takes(other):
    """Tell whether CuPy's own function is asked, which refuses NumPy's arrays in its own words."""
    return _work.is_array(other) or isinstance(other, (np.ndarray, *_work.NUMBERS))


def _forward(function, numpys):
    return lambda self, other: function(self, other) if _takes(other) else numpys(self, other)


def _backward(function, numpys):
    return lambda self, other: function(other, self) if _takes(other) else numpys(other, self)


def _in_place(function, numpys):
    return lambda self, other: function(self, other, out=self) if _takes(other) else numpys(self, other, out=self)


def _unary(function):
    return lambda self: function(self)


def _comparison(short, function, numpys):
    def compare(self, other):
        if isinstance(other, np.ndarray) and not other.ndim:
            other = other.item()
        if _takes(other):
            return function(self, other)
        if short in ("eq", "ne") and not isinstance(other, list | tuple | str):
            _ledger.total.memory_operations["memset"] += 1
            return _work.made(function.name, np.full(self.shape, short == "ne"), launches=0)
        return numpys(self, other)

    return compare


def _all():
    """Return each operator by the name of its method."""
    found = {
        "__matmul__": lambda self, other: _products.matmul(self, other),
        "__rmatmul__": lambda self, other: _products.matmul(other, self),
    }
    for short, name in _BINARY.items():
        both = UFUNCS[name], getattr(np, name)
        found |= {f"__{short}__": _forward(*both), f"__r{short}__": _backward(*both)}
        if short != "divmod":
            found[f"__i{short}__"] = _in_place(*both)
    found |= {f"__{short}__": _unary(UFUNCS[name]) for short, name in _UNARY.items()}
    found |= {f"__{s}__": _comparison(s, UFUNCS[name], getattr(np, name)) for s, name in _COMPARISONS.items()}
    return found


OPERATORS = _all()
