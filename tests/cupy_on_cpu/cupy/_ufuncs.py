"""Functions of each element by itself: one launch, and a new C-contiguous array whatever the layout of the operands.

Promotion is NumPy's own (NEP 50), which CuPy follows. Nothing warns.
"""

import numpy as np

from cupy import _work


class ufunc:
    """As CuPy's, with the keywords that it has: out, dtype and casting."""

    def __init__(self, name, function):
        self.name, self.__name__, self._function = f"cupy_{name}", name, function
        self.__doc__ = function.__doc__
        self.nin, self.nout, self.nargs = function.nin, function.nout, function.nin + function.nout

    def __repr__(self):
        return f"<ufunc '{self.name}'>"

    def __reduce__(self):
        return self.__name__

    @property
    def types(self):
        """The loops, as NumPy has them for the data types of a GPU."""
        return [loop for loop in self._function.types if set(loop) - {"-", ">"} <= _work.DTYPES]

    def __call__(self, *arguments, out=None, dtype=None, casting="same_kind", **others):
        if others:
            raise TypeError(f"Wrong arguments {others}")
        if len(arguments) not in (self.nin, self.nargs):
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or {self.nargs} "
                f"(with outputs), but given {len(arguments)}."
            )
        if out is not None and len(arguments) != self.nin:
            raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
        arguments, given = arguments[: self.nin], arguments[self.nin :] or _as_tuple(out)
        operands = [_work.operand(argument) for argument in arguments]
        if dtype is not None:
            _work.checked_dtype(dtype)
        with np.errstate(all="ignore"):
            results = self._function(*operands, dtype=dtype, casting=casting, order="C")
        results = results if isinstance(results, tuple) else (results,)
        if given:
            done = [self._put(result, place, arguments, casting) for result, place in zip(results, given, strict=True)]
        else:
            done = [_work.adopt(np.asarray(result)) for result in results]
        _work.launch(self.name, arguments, done, launches=1 if done[0].size else 0)
        return done[0] if self.nout == 1 else tuple(done)

    def _put(self, result, place, arguments, casting):
        if not _work.is_array(place):
            raise TypeError("Output arguments type must be cupy.ndarray")
        result = np.asarray(result)
        if place.shape != result.shape:
            raise ValueError("Out shape is mismatched")
        if not np.can_cast(result.dtype, place.dtype, casting):
            raise TypeError(
                f"Cannot cast output operand {self.nin} from {result.dtype!r} to {place.dtype!r} "
                f"with casting rule {casting!r}"
            )
        with np.errstate(all="ignore"):
            np.copyto(_work.on_this_device(place)._values, result, casting="unsafe")
        for argument in arguments:  # what overlaps the output otherwise than element by element is copied first
            if _work.is_array(argument) and argument is not place and _overlaps(argument._values, place._values):
                _work.launch("cupy_copy", [argument])
        return place

    def outer(self, *_, **__):
        """Nobody asks for this."""
        raise NotImplementedError(f"{self.__name__}.outer is not in the stand-in")

    reduce = accumulate = reduceat = at = outer


def _as_tuple(out):
    return () if out is None else out if isinstance(out, tuple) else (out,)


def _overlaps(one, other):
    return np.may_share_memory(one, other) and (
        one.__array_interface__["data"] != other.__array_interface__["data"] or one.strides != other.strides
    )


NAMES = """
abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_count bitwise_or bitwise_xor
cbrt ceil conj conjugate copysign cos cosh deg2rad degrees divide divmod equal exp exp2 expm1 fabs float_power floor
floor_divide fmax fmin fmod frexp gcd greater greater_equal heaviside hypot invert isfinite isinf isnan lcm ldexp
left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor
maximum minimum mod modf multiply negative nextafter not_equal positive power rad2deg radians reciprocal remainder
right_shift rint sign signbit sin sinh sqrt square subtract tan tanh true_divide trunc acos acosh asin asinh atan atan2
atanh pow bitwise_invert bitwise_left_shift bitwise_right_shift bitwise_not
"""

UFUNCS = {name: ufunc(name, getattr(np, name)) for name in NAMES.split()}


def _rsqrt(x, **options):
    return np.reciprocal(np.sqrt(x, **options), **options)


_rsqrt.nin, _rsqrt.nout, _rsqrt.types = 1, 1, np.sqrt.types
rsqrt = ufunc("rsqrt", _rsqrt)
