"""Tables of samples from a user's own files: features and what to predict from them.

N = samples, F = features.
"""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_nn.datasets.delimited import number, read_columns
from portable_nn.datasets.finite import Precision, finite
from portable_nn.datasets.idx import read_idx
from portable_nn.datasets.npy import read_npy, read_npz
from portable_nn.errors import DataFileError

__all__ = ["Table", "load_features", "load_table"]

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")  # fits int64
_FEATURES = {"x": ("x", "X")}
_TARGETS = {"t": ("t", "y")}
_TESTS = {"x_test": ("x_test", "X_test"), "t_test": ("t_test", "y_test")}


@dataclass(frozen=True, eq=False)
class Table:
    """Samples to train on.

    Attributes
    ----------
    x
        Features, finite, of shape (N, F).
    t
        Classification: int64 of shape (N,), indices into `classes`. Regression: finite, of shape (N, 1), as x.
    classes
        Classification: the labels as the file has them, all int or all str, sorted. Regression: None.
    features
        The F names of the features: from the file's first line, else x0, x1, ...
    x_test, t_test
        Test samples of the same form, if the file has some, else None.
    """

    x: NDArray[Any]
    t: NDArray[Any]
    classes: tuple[int, ...] | tuple[str, ...] | None
    features: tuple[str, ...]
    x_test: NDArray[Any] | None = None
    t_test: NDArray[Any] | None = None


def load_table(path: str | os.PathLike[str], *, target: int | str = -1, dtype: Precision = "float32") -> Table:
    """Read samples and their targets from a text table or from an archive of arrays.

    FILE.csv or FILE.csv.gz has one sample a line, with commas, semicolons or tabs between the cells. The first line
    may hold names: it does if a feature's cell there is not a number. FILE.npz holds the arrays x (or X) of shape
    (N, ...), flattened to (N, F), and t (or y) of shape (N,) or (N, 1); perhaps also x_test and t_test (or X_test and
    y_test). Targets that are integers or text make a classification, other numbers a regression.

    Parameters
    ----------
    path
        The file.
    target
        The column to predict, by index or by the name in the first line. For .csv only.
    dtype
        The data type of features and numbers to predict: "float64" keeps the digits of a column far from 0.

    Returns
    -------
    Table
        The samples, in the file's order.

    Raises
    ------
    DataFileError
        The file is missing, damaged or of another format; it unpacks to more than 4 MiB and more than 500 times its
        size; a cell is missing, not a number or not finite, which names line and column; there is no such target.
    ValueError
        `target` was given for a file that is not a text table.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _table_from_text(path, target, dtype)
    if not name.endswith(".npz"):
        raise DataFileError(f"{path}: needed a file named .csv, .csv.gz or .npz")
    if target != -1:
        raise ValueError(f"{path}: a target column is for .csv, an npz file has its targets in t, got {target!r}")
    return _table_from_arrays(path, dtype)


def load_features(path: str | os.PathLike[str], width: int, *, dtype: Precision = "float32") -> NDArray[Any]:
    """Read samples to predict from, whatever the kind of file.

    Parameters
    ----------
    path
        FILE.csv or FILE.csv.gz with `width` cells a line, or one more, where the last is a target and is ignored;
        FILE.npz with an array x (or X); FILE.npy; or a file of images in IDX format, with idx or ubyte in its name,
        whose bytes are divided by 255.
    width
        The number of features, F.
    dtype
        The data type of the features.

    Returns
    -------
    array
        Finite, of `dtype` and shape (N, F). Samples of more dimensions are flattened.

    Raises
    ------
    DataFileError
        The file is missing, damaged or of another format; it unpacks to more than 4 MiB and more than 500 times its
        size; it has another width; a cell is missing, not a number or not finite.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _features_from_text(path, width, dtype)
    if name.endswith(".npz"):
        x = _features(read_npz(path, _FEATURES, {})["x"], f"{path}, array x", dtype)
    elif name.endswith(".npy"):
        x = _features(read_npy(path), str(path), dtype)
    elif re.search("idx|ubyte", name):
        images = read_idx(path)
        if images.dtype != np.uint8:
            raise DataFileError(f"{path}: needed images of uint8, got {images.dtype}")
        x = _features(images, str(path), dtype)
        x /= 255
    else:
        raise DataFileError(
            f"{path}: needed a file named .csv, .csv.gz, .npz, .npy, or an IDX file such as images-idx3-ubyte"
        )
    if x.shape[1] != width:
        raise DataFileError(f"{path}: needed samples of {width} features, got {x.shape[1]}")
    return x


def _table_from_text(path: Path, target: int | str, dtype: Precision) -> Table:
    def choose(top: list[str]) -> int:
        if len(top) < 2:
            raise DataFileError(f"{path}: needed at least one feature and a target a line, got {len(top)} cell")
        if isinstance(target, str):
            if top.count(target) != 1:
                raise DataFileError(f"{path}: needed one column named {target!r}, got {', '.join(top)}")
            return top.index(target)
        if not -len(top) <= target < len(top):
            raise DataFileError(f"{path}: needed a column {target} as target, got {len(top)} columns")
        return target % len(top)

    columns = read_columns(path, choose, named=isinstance(target, str), dtype=dtype)
    cells = _target_array(columns.targets, columns.lines, path)
    classes, t = _encoded(cells, lambda row: f"{path}, line {columns.lines[row]}, target", dtype)
    return Table(columns.x, t, classes, columns.names or _numbered(columns.x))


def _features_from_text(path: Path, width: int, dtype: Precision) -> NDArray[Any]:
    def choose(top: list[str]) -> int | None:
        if len(top) not in (width, width + 1):
            raise DataFileError(
                f"{path}: needed {width} features a line, or {width + 1} cells with a target, got {len(top)} cells"
            )
        return width if len(top) > width else None

    return read_columns(path, choose, dtype=dtype).x


def _target_array(cells: list[str], lines: list[int], path: Path) -> NDArray[Any]:
    """Return the cells as int64, if all are integers, else as float64, if all are numbers, else as str objects."""
    if "" in cells:
        raise DataFileError(f"{path}, line {lines[cells.index('')]}: needed a target, got an empty cell")
    if all(_INTEGER.fullmatch(cell) for cell in cells):
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    numbers = [number(cell) for cell in cells]
    if None in numbers:
        return np.array(cells, dtype=object)
    return np.array(numbers, dtype=np.float64)


def _table_from_arrays(path: Path, dtype: Precision) -> Table:
    arrays = read_npz(path, _FEATURES | _TARGETS, _TESTS)
    if ("x_test" in arrays) != ("t_test" in arrays):
        raise DataFileError(f"{path}: needed x_test and t_test together, got one without the other")
    x, t = _samples(arrays["x"], arrays["t"], path, ("x", "t"), dtype)
    if "x_test" not in arrays:
        classes, t = _encoded(t, lambda row: f"{path}, array t, row {row}", dtype)
        return Table(x, t, classes, _numbered(x))
    x_test, t_test = _samples(arrays["x_test"], arrays["t_test"], path, ("x_test", "t_test"), dtype)
    if x_test.shape[1] != x.shape[1] or t_test.dtype.kind != t.dtype.kind:
        needed, got = (f"{a.shape[1]} features and targets of {b.dtype}" for a, b in ((x, t), (x_test, t_test)))
        raise DataFileError(f"{path}: needed test samples like the others, of {needed}, got {got}")
    # Encoded together, because a label may be in one of the two only.
    both = np.concatenate([t, t_test])
    classes, both = _encoded(both, lambda row: f"{path}, arrays t and t_test, row {row}", dtype)
    return Table(x, both[: len(t)], classes, _numbered(x), x_test, both[len(t) :])


def _samples(
    x: NDArray[Any], t: NDArray[Any], path: Path, names: tuple[str, str], dtype: Precision
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return features (N, F), and targets (N,) of int64, floats or str objects, of arrays called by `names`."""
    x_name, t_name = names
    features = _features(x, f"{path}, array {x_name}", dtype)
    if t.shape not in ((len(x),), (len(x), 1)) or not len(x):
        raise DataFileError(
            f"{path}, array {t_name}: needed a target for each row of {x_name} {x.shape}, got {t.shape}"
        )
    if t.dtype.kind == "U":  # beside one long word, an array of text gives every word its length
        return features, t.reshape(-1).astype(object)
    if t.dtype.kind == "f":
        return features, t.reshape(-1)
    if t.max() > np.iinfo(np.int64).max:
        raise DataFileError(f"{path}, array {t_name}: needed labels in the range of int64, got {t.max()}")
    return features, t.reshape(-1).astype(np.int64)


def _features(array: NDArray[Any], name: str, dtype: Precision) -> NDArray[Any]:
    """Return numbers of shape (N, ...) as finite (N, F)."""
    if array.dtype.kind not in "biuf" or array.ndim < 2 or 0 in array.shape[1:]:
        raise DataFileError(f"{name}: needed numbers of shape (N, features), got {array.dtype} of {array.shape}")
    x = array.reshape(len(array), math.prod(array.shape[1:]))
    return finite(x, lambda row, column: f"{name}, row {row}, column {column}", dtype)


def _encoded(
    targets: NDArray[Any], place: Callable[[int], str], dtype: Precision
) -> tuple[tuple[int, ...] | tuple[str, ...] | None, NDArray[Any]]:
    """Return classes and labels (N,) for integers and text, None and numbers (N, 1) for floats."""
    if targets.dtype.kind == "f":
        return None, finite(targets[:, None], lambda row, _: place(row), dtype)
    if targets.dtype.kind == "O":
        words: list[str] = targets.tolist()
        classes = sorted(set(words))
        index = {word: label for label, word in enumerate(classes)}
        return tuple(classes), np.array([index[word] for word in words], dtype=np.int64)
    labels, t = np.unique(targets, return_inverse=True)
    return tuple(labels.tolist()), t.astype(np.int64)


def _numbered(x: NDArray[Any]) -> tuple[str, ...]:
    return tuple(f"x{column}" for column in range(x.shape[1]))
