"""What every metric is: what a batch tells, how batches are put together, and the number that follows.

M = rows that are compared: samples, or labels of sequences and images, or elements.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

from portable_nn.arrays import as_array, device_of, move, namespace_of, to_numpy, widened
from portable_nn.errors import ShapeError
from portable_nn.layers.inputs import place_of
from portable_nn.metrics.answers import as_probabilities, as_scores

__all__ = ["Compared", "Function", "Metric", "host"]

Compared = Literal["labels", "probabilities", "values", "scores", "outputs"]
"""What of a network is compared with targets; see `Metric`."""


class Metric:
    """A number that tells over many batches how good a network is.

    A metric of your own says in `of` what it compares, and overrides `measure` and `result`:

    - `measure(t, y, weight)` returns a tuple of arrays, what one batch tells, on its device: sums, say. It is called
      with arrays of any backend, and changes nothing.
    - `merged(one, other)` makes one such tuple of two: by default the sums of their arrays. It gets NumPy arrays, of
      float64 where they are numbers with a fraction. With `keeps_rows = True` in the class it is not asked: the rows of
      all batches are put one after the other then, as for metrics of ranks.
    - `result(*arrays)` returns the number, from what all batches told together: NumPy arrays again.

    A metric has no state of its own: one object may measure several runs at once. A class whose `measure` computes with
    arrays alone and takes no branch on their values may say `recordable = True` in its own body: then JAX compiles it
    with the training step, where it else takes one step a call. It is not inherited.

    Parameters
    ----------
    name : str, optional
        The key in histories and records, `name` of the class by default.

    Attributes
    ----------
    of : str
        What y is, M rows of a batch with targets t and weights:

        - "labels": t and y (M,) whole numbers; for several yes-or-no questions a row (M, K) ones and zeros.
        - "probabilities": y (M, C) with t (M,) labels; of two classes (M,), that of the second; of questions (M, K).
        - "scores": y (M, C), of which the largest is the answer, with t (M,) labels; of questions (M, K), positive for
          yes.
        - "values": t and y (M, ...) numbers in the units of t, for losses that compare numbers.
        - "outputs": y raw outputs, in rows beside t (M, C) or (M, ...).

        weight is (M,), or of the shape of t where single elements have weights: ones if nobody gave any, 0 for labels
        to ignore and padding. A negative label is one to ignore.
    better : "max", "min" or None
        Whether larger or smaller is better, for `EarlyStopping` and the like; None if it has to be said there.
    keeps_rows : bool
        Whether what `measure` returns are rows, not sums.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> class WorstError(pnn.metrics.Metric):
    ...     name, of, better = "worst_error", "values", "min"
    ...
    ...     def measure(self, t, y, weight):
    ...         xp = pnn.namespace_of(y)
    ...         return (xp.max(xp.abs(t - y)),)
    ...
    ...     def merged(self, one, other):
    ...         return (max(one[0], other[0]),)
    ...
    ...     def result(self, worst):
    ...         return float(worst)
    >>> WorstError()([1.0, 2.0, 4.0], [1.5, 2.0, 3.0])
    1.0
    """

    name: str = ""
    of: Compared = "labels"
    better: Literal["max", "min"] | None = None
    keeps_rows: ClassVar[bool] = False

    def __init__(self, name: str | None = None):
        if name is not None:
            # Callers are not typed.
            if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{type(self).__name__} needs a name that is a text, got {name!r}")
            self.name = name

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return what a batch tells."""
        raise NotImplementedError

    def merged(self, one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what two batches tell together."""
        return tuple(a + b for a, b in zip(one, other, strict=True))

    def result(self, *arrays: Any) -> Any:
        """Return the number that follows."""
        raise NotImplementedError

    def __call__(self, t: Any, y: Any, weight: Any = None) -> Any:
        """Return the number for targets t and what `of` says as y, arrays or lists; all in one batch.

        For "scores", y may be labels (M,), too, or the scores (M,) or (M, 1) for label 1 of two, of which positive ones
        answer 1: give probabilities p as p > 0.5. For "probabilities" y may also be (M, 1) or (M, 2).

        Raises
        ------
        ShapeError, DTypeError, NamespaceError
            If the arrays do not fit together.
        LabelError
            If there is a label for which y has no score.
        """
        t, y = as_array(t, "t"), as_array(y, "y")
        xp, place = namespace_of(y), place_of(y)
        if t.shape[:1] != y.shape[:1] or not t.ndim:
            raise ShapeError(f"{type(self).__name__} needs t and y of as many rows, got {t.shape} and {y.shape}")
        fraction = namespace_of(t).isdtype(t.dtype, "real floating")
        t = move(t, place, place.dtype if fraction else place.index_dtype, name="t")
        if self.of == "scores":
            t, y = as_scores(t, y)
        elif self.of == "probabilities":
            y = as_probabilities(t, y)
        if weight is None:
            weight = xp.ones(t.shape[:1], dtype=_floating(xp, y), device=device_of(y))
        else:
            weight = move(as_array(weight, "weight"), place, _floating(xp, y), name="weight")
        if weight.shape not in (t.shape[:1], t.shape):
            raise ShapeError(f"weight needs shape {t.shape[:1]}, got {weight.shape}")
        return self.result(*map(host, self.measure(t, y, weight)))

    def __repr__(self) -> str:
        arguments = [name for name in inspect.signature(type(self)).parameters if name in self.__dict__]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in arguments)})"


class Function(Metric):
    """A function of (t, y) as a metric, scikit-learn's for instance: called once, with all rows as NumPy arrays.

    A function that takes `sample_weight` is given the weights if there are some other than 1; else each row counts
    once. Rows of weight 0, such as padding and labels to ignore, are left out first. All rows are kept until then.

    Parameters
    ----------
    function : callable
        Of (t, y), that returns a number.
    of : "labels", "probabilities", "values", "scores" or "outputs"
        What y is: see `Metric`.
    name : str, optional
        The key in histories; by default that of the function.
    better : "max" or "min", optional
        Whether larger or smaller is better.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> from sklearn.metrics import balanced_accuracy_score
    >>> pnn.metrics.Function(balanced_accuracy_score, better="max")([0, 0, 0, 1], [0, 0, 1, 1]).__round__(4)
    0.8333
    """

    keeps_rows = True

    def __init__(
        self,
        function: Callable[..., Any],
        of: Compared = "labels",
        name: str | None = None,
        better: Literal["max", "min"] | None = None,
    ):
        if not callable(function):
            raise TypeError(f"Function needs a function of (t, y), got {type(function).__name__} {function!r}")
        if of not in ("labels", "probabilities", "values", "scores", "outputs"):
            raise ValueError(
                f'Function needs of to be "labels", "probabilities", "values", "scores" or "outputs", got {of!r}'
            )
        if better not in ("max", "min", None):
            raise ValueError(f'Function needs better "max" or "min", got {better!r}')
        super().__init__(name or _named(function))
        self.function, self.of, self.better = function, of, better
        self._weighs = _takes_weights(function)

    def measure(self, t: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """Return the rows."""
        return t, y, weight

    def result(self, *arrays: Any) -> Any:
        """Return what the function says of the rows that count."""
        t, y, weight = arrays
        rows = weight if weight.ndim == 1 else weight.reshape(weight.shape[0], -1).sum(axis=1)
        if (rows <= 0).any():
            t, y, weight = (array[rows > 0] for array in arrays)
        if self._weighs and (weight != 1).any():
            return self.function(t, y, sample_weight=weight)
        return self.function(t, y)


def _named(function: Any) -> str:
    inner = function.func if isinstance(function, partial) else function
    return str(getattr(inner, "__name__", type(inner).__name__)).replace("<lambda>", "function")


def _takes_weights(function: Callable[..., Any]) -> bool:
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def host(array: Any) -> Any:
    """Return the values of an array as NumPy's, numbers with a fraction as float64."""
    values = to_numpy(widened(array))
    xp = namespace_of(values)
    return xp.astype(values, xp.float64) if xp.isdtype(values.dtype, "real floating") else values


def _floating(xp: Any, y: Any) -> Any:
    """Return the data type of y if it has fractions, else the largest that its device has."""
    if xp.isdtype(y.dtype, "real floating"):
        return y.dtype
    known = xp.__array_namespace_info__().dtypes(device=device_of(y))
    return known.get("float64", known["float32"])
