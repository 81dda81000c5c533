import dataclasses
import gzip

import numpy as np
import pytest

from portable_nn.datasets import Table, load_features, load_table
from portable_nn.errors import DataFileError

X = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float64)
T = np.array([7, 5, 7])


@pytest.fixture
def save(tmp_path):
    def save(**arrays):
        np.savez_compressed(tmp_path / "table.npz", **arrays)
        return tmp_path / "table.npz"

    return save


@pytest.mark.parametrize("names", ["xt", "Xy", "xy"])
def test_integer_labels(save, names):
    table = load_table(save(**{names[0]: X, names[1]: T, "unused": X}))
    assert isinstance(table, Table)
    assert table.x.dtype == np.float32
    np.testing.assert_array_equal(table.x, X)
    assert table.t.dtype == np.int64
    assert table.t.tolist() == [1, 0, 1]
    assert table.classes == (5, 7)
    assert table.features == ("x0", "x1")
    assert table.x_test is None
    assert table.t_test is None


TARGETS = {
    "uint8": (T.astype(np.uint8), (5, 7), [1, 0, 1]),
    "a column of integers": (T[:, None], (5, 7), [1, 0, 1]),
    "truth values": (T > 6, (0, 1), [1, 0, 1]),
    "text": (np.array(["no", "yes", "no"]), ("no", "yes"), [0, 1, 0]),
    "floats": (T.astype(np.float64), None, [[7], [5], [7]]),
    "a column of floats": (T[:, None].astype(np.float16), None, [[7], [5], [7]]),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_kinds_of_targets(save, kind):
    t, classes, expected = TARGETS[kind]
    table = load_table(save(x=X, t=t))
    assert table.classes == classes
    assert table.t.tolist() == expected
    assert table.t.dtype == (np.float32 if classes is None else np.int64)
    assert all(type(label) in (int, str) for label in classes or ())


def test_images_are_flattened(save):
    table = load_table(save(x=np.arange(24, dtype=np.uint8).reshape(3, 1, 2, 4), t=T))
    np.testing.assert_array_equal(table.x, np.arange(24).reshape(3, 8))
    assert len(table.features) == 8


@pytest.mark.parametrize("names", [("x_test", "t_test"), ("X_test", "y_test")])
def test_test_samples(save, names):
    table = load_table(save(x=X, t=T, **{names[0]: X[:2] * 10, names[1]: np.array([5, 6])}))
    assert table.classes == (5, 6, 7)
    assert table.t.tolist() == [2, 0, 2]
    assert table.t_test is not None
    assert table.t_test.tolist() == [0, 1]
    np.testing.assert_array_equal(table.x_test, X[:2] * 10)
    assert table.x_test.dtype == np.float32


def test_test_samples_of_a_regression(save):
    table = load_table(save(x=X, t=X[:, 0], x_test=X, t_test=X[:, 1]))
    assert table.t.tolist() == [[1], [3], [5]]
    assert table.t_test.tolist() == [[2], [4], [6]]


WRONG = {
    "no features": ({"t": T}, "needed an array named x or X, got t"),
    "no targets": ({"x": X, "z": T}, "needed an array named t or y, got x, z"),
    "nothing": ({}, "needed an array named x or X, got no array"),
    "too few targets": ({"x": X, "t": T[:2]}, r"array t: needed a target for each row of x \(3, 2\), got \(2,\)"),
    "one-hot targets": ({"x": X, "t": np.eye(3)}, r"array t: needed a target for each row of x \(3, 2\), got \(3, 3\)"),
    "no rows": ({"x": X[:0], "t": T[:0]}, "needed a target for each row"),
    "flat features": (
        {"x": X[:, 0], "t": T},
        r"array x: needed numbers of shape \(N, features\), got float64 of \(3,\)",
    ),
    "features as text": ({"x": X.astype(str), "t": T}, "array x: needed numbers"),
    "bytes as labels": ({"x": X, "t": np.array([b"a", b"b", b"a"])}, "array t: needed an array of numbers or text"),
    "nan": ({"x": X / np.array([[1, 1], [1, np.nan], [1, 1]]), "t": T}, "array x, row 1, column 1: needed a finite"),
    "beyond float32": ({"x": X * 1e38, "t": T}, "array x, row 1, column 1: needed a finite number.*got 4e"),
    "infinite targets": ({"x": X, "t": X[:, 0] * [1, 1, np.inf]}, "array t, row 2: needed a finite number"),
    "labels beyond int64": (
        {"x": X, "t": np.array([1, 2, 2**63], dtype=np.uint64)},
        "needed labels in the range of int64",
    ),
    "x_test alone": ({"x": X, "t": T, "x_test": X}, "needed x_test and t_test together"),
    "t_test alone": ({"x": X, "t": T, "t_test": T}, "needed x_test and t_test together"),
    "other width in test": ({"x": X, "t": T, "x_test": X[:, :1], "t_test": T}, "of 2 features.*got 1 features"),
    "other kind in test": ({"x": X, "t": T, "x_test": X, "t_test": T / 2}, "targets of int64, got .*float64"),
    "fewer targets in test": ({"x": X, "t": T, "x_test": X, "t_test": T[:1]}, "array t_test: needed a target for each"),
}


@pytest.mark.parametrize("case", WRONG)
def test_arrays_that_make_no_table(save, case):
    arrays, message = WRONG[case]
    path = save(**arrays)
    with pytest.raises(DataFileError, match=message) as caught:
        load_table(path)
    assert str(caught.value).startswith(str(path))


def test_a_target_column_is_for_text_tables(save):
    path = save(x=X, t=T)
    for target in (0, "t"):
        with pytest.raises(ValueError, match=r"a target column is for .csv"):
            load_table(path, target=target)


@pytest.mark.parametrize("name", ["table.xlsx", "table", "table.npy", "table.csv.bz2"])
def test_other_kinds_of_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataFileError, match=f"{name}: needed a file named .csv, .csv.gz or .npz"):
        load_table(tmp_path / name)


def test_a_table_is_frozen(save):
    table = load_table(save(x=X, t=T))
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.classes = None


@pytest.mark.parametrize("names", ["x", "X"])
def test_features_of_an_archive(save, names):
    x = load_features(save(**{names: X, "t": T}), 2)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte.gz", "my.IDX", "images.ubyte"])
def test_features_of_images(tmp_path, idx_file, name):
    data = idx_file((2, 3, 5))
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    x = load_features(tmp_path / name, 15)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, np.arange(30, dtype=np.float32).reshape(2, 15) / np.float32(255))
    with pytest.raises(DataFileError, match="needed samples of 16 features, got 15"):
        load_features(tmp_path / name, 16)


def test_features_of_labels_or_other_numbers(tmp_path, idx_file):
    (tmp_path / "labels-idx1").write_bytes(idx_file((4,)))
    with pytest.raises(DataFileError, match=r"needed numbers of shape .N, features."):
        load_features(tmp_path / "labels-idx1", 1)
    (tmp_path / "numbers-idx2").write_bytes(idx_file((2, 2), code=0x09))
    with pytest.raises(DataFileError, match="needed images of uint8, got int8"):
        load_features(tmp_path / "numbers-idx2", 2)


def test_features_of_another_kind_of_file(tmp_path):
    with pytest.raises(
        DataFileError, match=r"photo.png: needed a file named .csv, .csv.gz, .npz, .npy, or an IDX file"
    ):
        load_features(tmp_path / "photo.png", 2)
