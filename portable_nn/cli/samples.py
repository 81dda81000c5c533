"""What the command trains on and predicts from: a data set by name, a folder of images, or a table.

N = samples, F = features. All arrays are NumPy's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portable_nn import random
from portable_nn.arrays import namespace_of
from portable_nn.datasets import Table, load_digits, load_fashion_mnist, load_features, load_idx, load_mnist, load_table
from portable_nn.datasets.finite import Precision
from portable_nn.errors import DataFileError

__all__ = ["SETS", "Samples", "load_inputs", "load_samples"]

SETS: dict[str, Callable[[], Any]] = {
    "digits": load_digits,
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
}
"""The data sets that have a name."""

_TEXT_TABLES = (".csv", ".csv.gz")
_TABLES = (*_TEXT_TABLES, ".npz")
_TEST_FRACTION = 0.2


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples to train with and, apart from them, to test with.

    Attributes
    ----------
    x, x_test : NumPy (N, F)
    t, t_test : NumPy integer labels (N,), or for regression numbers (N, 1)
    classes : list or None
        What the labels stand for; None for regression.
    is_table : bool
        Whether each feature has a unit of its own.
    """

    x: Any
    t: Any
    x_test: Any
    t_test: Any
    classes: list[int] | list[str] | None
    is_table: bool = False

    def __str__(self) -> str:
        classes = "a number to predict" if self.classes is None else f"{len(self.classes)} classes"
        parts = f"{len(self.x):,} training and {len(self.x_test):,} test samples"
        return f"{parts}, {self.x.shape[1]:,} features, {classes}"


def load_samples(
    data: str,
    *,
    target: int | str | None = None,
    test_fraction: float | None = None,
    regression: bool = False,
    dtype: Precision = "float32",
) -> Samples:
    """Return the samples of a data set, a folder of IDX files, or a table, of which a part is kept for the test.

    Parameters
    ----------
    data : str
        A name in `SETS`, or a path.
    target : int or str, optional
        The column of a text table to predict; its last one by default.
    test_fraction : float, optional
        The share of a table's samples to test with, a fifth by default; the same samples whatever the seed.
    regression : bool
        Whether whole numbers in a table are quantities, not classes.
    dtype : str
        The data type to read a table's numbers in.

    Raises
    ------
    DataFileError
        If there are no such data, or they are damaged or cannot be learnt from.
    ValueError
        If an option does not go with the data.
    """
    if _is_table(data):
        if target is not None and not data.lower().endswith(_TEXT_TABLES):
            raise ValueError("--target is for .csv files; an .npz file has its targets in the array t")
        table = load_table(data, target=-1 if target is None else target, dtype=dtype)
        samples = _from_table(data, table, test_fraction, regression)
    else:
        if target is not None or test_fraction is not None or regression:
            raise ValueError("--target, --test-fraction and --regression are for tables, .csv and .npz")
        samples = _from_images(*_load_images(data))
    if not len(samples.x) or not len(samples.x_test):
        raise DataFileError(f"{data}: needed samples to train and to test with, got {samples}")
    if samples.classes is not None and len(samples.classes) < 2:
        raise DataFileError(f"{data}: needed at least two classes, got only {samples.classes[0]!r}")
    return samples


def load_inputs(data: str, width: int, target: int | str | None = None, dtype: Precision = "float32") -> Any:
    """Return the features (N, `width`) to predict from: of data sets and folders of IDX files those of the test.

    Parameters
    ----------
    data : str
        A name in `SETS`, or a path.
    width : int
    target : int or str, optional
        The column of a text table that is no feature, if it is there; else the last one, if there is one too many.
    dtype : str
        The data type to read numbers of files in.

    Raises
    ------
    DataFileError
        If there are no such data, or they are damaged or of another width.
    """
    if data in SETS or Path(data).is_dir():
        x = _load_images(data)[1][0]
        if x.shape[1] != width:
            raise DataFileError(f"{data}: needed samples of {width} features, got {x.shape[1]}")
        return x
    if target is not None and data.lower().endswith(_TEXT_TABLES):
        try:
            x = load_table(data, target=target, dtype=dtype).x
        except DataFileError:
            x = None  # perhaps it has no such column, which is as good
        if x is not None and x.shape[1] == width:
            return x
    return load_features(data, width, dtype=dtype)


def _is_table(data: str) -> bool:
    return data not in SETS and not Path(data).is_dir() and data.lower().endswith(_TABLES)


def _load_images(data: str) -> Any:
    if data in SETS:
        return SETS[data]()
    if Path(data).is_dir():
        return load_idx(data)
    known = f"{', '.join(SETS)}, a folder of IDX files, or a file named {' or '.join(_TABLES)}"
    raise DataFileError(f"{data}: {'unknown kind of file' if Path(data).exists() else 'not found'}; data are {known}")


def _from_images(train: tuple[Any, Any], test: tuple[Any, Any]) -> Samples:
    classes = 1 + max((int(t.max()) for _, t in (train, test) if len(t)), default=0)
    return Samples(*train, *test, list(range(classes)))


def _from_table(data: str, table: Table, test_fraction: float | None, regression: bool) -> Samples:
    xp = namespace_of(table.x)
    t, t_test, classes = table.t, table.t_test, table.classes
    if regression and classes is not None:
        if isinstance(classes[0], str):
            raise ValueError(f"--regression needs numbers to predict, {data} has {classes[0]!r}")
        quantities = xp.asarray(classes, dtype=table.x.dtype)[:, None]
        t, t_test, classes = quantities[t], None if t_test is None else quantities[t_test], None
    names: Any = None if classes is None else list(classes)
    if table.x_test is not None:
        if test_fraction is not None:
            raise ValueError(f"--test-fraction is for tables without test samples, {data} has some")
        return Samples(table.x, t, table.x_test, t_test, names, is_table=True)
    train, test = _split_rows(t, _TEST_FRACTION if test_fraction is None else test_fraction)
    return Samples(table.x[train], t[train], table.x[test], t[test], names, is_table=True)


def _split_rows(t: Any, test_fraction: float) -> tuple[Any, Any]:
    """Return the rows to train and to test with, drawn at random; of each class about the same share is in both."""
    xp = namespace_of(t)
    rows = random.generator(0, "test samples").permutation(len(t))
    if t.ndim == 1:
        rows = rows[xp.argsort(t[rows], stable=True)]
    # Walking along the classes, a row is taken whenever its share adds up to a whole one.
    share = xp.floor(xp.arange(len(t) + 1) * test_fraction + 0.5)
    is_test = share[1:] > share[:-1]
    return rows[~is_test], rows[is_test]
