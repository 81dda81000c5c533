import gzip

import numpy as np
import pytest

from portable_nn.datasets import load_features, load_table
from portable_nn.errors import DataFileError

IRIS = "sepal,petal,kind\n5.1,1.4,setosa\n7.0,4.7,versicolor\n6.3,6.0,virginica\n4.9,1.4,setosa\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="table.csv"):
        data = text if isinstance(text, bytes) else text.encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz", "TABLE.CSV"])
def test_labels_as_text(write, name):
    table = load_table(write(IRIS, name))
    assert table.x.dtype == np.float32
    assert table.x.flags.c_contiguous
    np.testing.assert_array_equal(table.x, np.array([[5.1, 1.4], [7, 4.7], [6.3, 6], [4.9, 1.4]], dtype=np.float32))
    assert table.t.dtype == np.int64
    assert table.t.tolist() == [0, 1, 2, 0]
    assert table.classes == ("setosa", "versicolor", "virginica")
    assert table.features == ("sepal", "petal")
    assert table.x_test is None
    assert table.t_test is None


SAME = {
    "windows lines": IRIS.replace("\n", "\r\n"),
    "no last line end": IRIS.rstrip("\n"),
    "byte order mark": "\ufeff" + IRIS,
    "semicolons": IRIS.replace(",", ";"),
    "tabs": IRIS.replace(",", "\t"),
    "spaces after commas": IRIS.replace(",", ", "),
    "spaces before commas": IRIS.replace(",", " ,"),
    "spaces before line ends": IRIS.replace("\n", " \n"),
    "blank lines": "\n" + IRIS.replace("\n", "\n\n  \n"),
    "quoted": '"sepal","petal","kind"\n"5.1","1.4","setosa"\n7.0,4.7,"versicolor"\n6.3,6.0,virginica\n4.9,1.4,setosa\n',
}


@pytest.mark.parametrize("writing", SAME)
def test_other_ways_to_write_the_same(write, writing):
    table, same = load_table(write(IRIS)), load_table(write(SAME[writing], "same.csv"))
    np.testing.assert_array_equal(same.x, table.x)
    assert (same.t.tolist(), same.classes, same.features) == (table.t.tolist(), table.classes, table.features)


def test_without_a_line_of_names(write):
    table = load_table(write("1,2,a\n3,4,b\n"))
    assert table.x.tolist() == [[1, 2], [3, 4]]
    assert table.features == ("x0", "x1")


def test_integer_labels_are_sorted_as_numbers(write):
    table = load_table(write("1,10\n2,9\n3,-1\n4,10\n"))
    assert table.classes == (-1, 9, 10)
    assert all(type(label) is int for label in table.classes)
    assert table.t.tolist() == [2, 1, 0, 2]


def test_other_numbers_are_a_regression(write):
    table = load_table(write("1,10\n2,9.5\n3,-1e2\n"))
    assert table.classes is None
    assert table.t.dtype == np.float32
    assert table.t.tolist() == [[10], [9.5], [-100]]


def test_integers_and_text_are_text(write):
    table = load_table(write("1,10\n2,x\n3,9\n4,y\n"))
    assert table.classes == ("10", "9", "x", "y")
    table = load_table(write("4,x\n2,10\n3,9\n"))
    assert table.classes == ("10", "9", "x")


@pytest.mark.parametrize("target", [0, -3, "kind"])
def test_the_target_by_index_or_name(write, target):
    table = load_table(write("kind,a,b\n7,1,2\n5,3,4\n"), target=target)
    assert table.x.tolist() == [[1, 2], [3, 4]]
    assert table.classes == (5, 7)
    assert table.t.tolist() == [1, 0]
    assert table.features == ("a", "b")


def test_a_named_target_makes_the_first_line_names(write):
    table = load_table(write("0,1,2\n3,4,5\n6,7,8\n"), target="1")
    assert table.x.tolist() == [[3, 5], [6, 8]]
    assert table.classes == (4, 7)
    assert table.features == ("0", "2")


NAMES = {
    "one name among numbers": ("id,1,2\n3,4,5\n", ("id", "1")),
    "pixels, which float() would read": ("0_0,0_1,label\n3,4,5\n", ("0_0", "0_1")),
    "numbers above a named target": ("0,1,target\n3,4,5\n6,7,8\n", ("0", "1")),
    "an index without a name": (",a,label\n0,4,5\n", ("", "a")),
    "a name like a missing value": ("RI,Na,type\n0,4,5\n", ("RI", "Na")),
    "other characters": ("größe,重さ,種類\n0,4,5\n", ("größe", "重さ")),
    "a semicolon in a name": ("a;b,c,d\n0,4,5\n", ("a;b", "c")),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_first_line_of_names(write, case):
    text, names = NAMES[case]
    table = load_table(write(text))
    assert table.features == names
    assert len(table.x) == len(text.splitlines()) - 1


DAMAGE = {
    "empty": ("", "needed at least one row, got an empty file"),
    "only blank lines": ("\n\n \n", "needed at least one row, got an empty file"),
    "only names": ("a,b,c\n", "only a line of names"),
    "one column": ("a\n1\n2\n", "needed at least one feature and a target a line"),
    "a missing cell": ("a,b,c\n1,2,x\n3,,y\n", "line 3, column b: needed a number, got ''"),
    "a missing cell above": ("1,,x\n3,4,y\n", "line 1, column 2: needed a number, got ''"),
    "a mark for missing above": ("1,?,x\n3,4,y\n", "line 1, column 2: needed a number, got '\\?'"),
    "not a number": ("a,b,c\n1,2,x\n3,four,y\n", "line 3, column b: needed a number, got 'four'"),
    "not a number, target first": ("1,2,3\n4,5,six\n", "line 2, column 3: needed a number, got 'six'"),
    "decimal commas": ("1,5;2,5;x\n3,5;4,5;y\n", "line 2, column 1,5: needed a number, got '3,5'"),
    "an underscore": ("1,2,x\n3,1_000,y\n", "line 2, column 2: needed a number, got '1_000'"),
    "nan": ("1,2,x\n3,nan,y\n", "line 2, column 2: needed a finite number.*got nan"),
    "infinite": ("1,2,x\n3,-inf,y\n", "line 2, column 2: needed a finite number.*got -inf"),
    "beyond float32": ("1,2,x\n3,1e39,y\n", "line 2, column 2: needed a finite number in the range of float32"),
    "a line too short": ("1,2,x\n3,y\n", "line 2: needed 3 cells, got 2"),
    "a line too long": ("1,2,x\n\n3,4,5,y\n", "line 3: needed 3 cells, got 4"),
    "a missing target above": ("1,2,\n3,4,5\n", "line 1: needed a target, got an empty cell"),
    "a missing target": ("1,2,x\n3,4,\n", "line 2: needed a target, got an empty cell"),
    "a target that is nan": ("1,2,0.5\n3,4,nan\n", "line 2, target.*needed a finite number.*got nan"),
    "a target beyond float32": ("1,2,0.5\n3,4,1e39\n", "line 2, target.*needed a finite number.*got 1e"),
    "an open quote": ('1,2,x\n3,4,"y\n', "needed cells parted by comma.*unexpected end of data"),
    "not utf-8": (b"1,2,\xe9\n", "needed text in UTF-8"),
    "utf-16": ("1,2,x\n".encode("utf-16"), "needed text in UTF-8"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_error_that_names_the_place(write, damage):
    text, message = DAMAGE[damage]
    path = write(text)
    with pytest.raises(DataFileError, match=message) as caught:
        load_table(path, target=0 if "target first" in damage else -1)
    assert str(caught.value).startswith(str(path))


TARGETS = {"nobody": "one column named 'nobody', got a, b, b", "b": "one column named 'b'", 3: "a column 3", -4: "-4"}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_is_not_there(write, target):
    with pytest.raises(DataFileError, match=f"needed {TARGETS[target]}" if target != -4 else "needed a column -4"):
        load_table(write("a,b,b\n1,2,3\n"), target=target)


def test_damaged_packing(write):
    path = write(IRIS, "table.csv.gz")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataFileError, match="needed a whole gzip file"):
        load_table(path)


def test_a_missing_file(tmp_path):
    for load in (load_table, lambda path: load_features(path, 2)):
        with pytest.raises(DataFileError, match=r"gone.csv: needed a file, found none"):
            load(tmp_path / "gone.csv")


FEATURES = {
    "no label yet": "1,2,?\n3,4,5\n",
    "features only": "1,2\n3,4\n",
    "names": "a,b\n1,2\n3,4\n",
    "an ignored target": "1,2,x\n3,4,\n",
    "names and target": "a,b,c\n1,2,x\n3,4,y\n",
    "numbers above a named target": "0,1,target\n1,2,5\n3,4,6\n",
    "semicolons": "1;2\n3;4\n",
}


@pytest.mark.parametrize("case", FEATURES)
def test_features_without_targets(write, case):
    x = load_features(write(FEATURES[case]), 2)
    assert x.dtype == np.float32
    assert x.tolist() == [[1, 2], [3, 4]]


def test_one_feature(write):
    assert load_features(write("size\n1\n2\n"), 1).tolist() == [[1], [2]]


@pytest.mark.parametrize(("text", "got"), [("1,2,3,4\n", 4), ("1\n", 1)])
def test_features_of_another_width(write, text, got):
    with pytest.raises(DataFileError, match=f"needed 2 features a line, or 3 cells with a target, got {got} cells"):
        load_features(write(text), 2)


def test_a_feature_that_is_no_number(write):
    with pytest.raises(DataFileError, match="line 2, column 2: needed a number, got 'x'"):
        load_features(write("1,2\n3,x\n"), 2)
