from pathlib import Path

import numpy as np
import pytest

from portable_nn.cli.samples import Samples, load_inputs, load_samples
from portable_nn.errors import DataFileError


def table(tmp_path: Path, targets: list[object]) -> str:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(f"{i},{target}" for i, target in enumerate(targets)))
    return str(path)


def rows(samples: Samples) -> tuple[list[int], list[int]]:
    """Return the numbers of the rows that train and test samples come from: their one feature."""
    return samples.x[:, 0].astype(int).tolist(), samples.x_test[:, 0].astype(int).tolist()


@pytest.mark.parametrize("fraction", [None, 0.1, 0.5, 0.77])
def test_a_table_is_parted_once_and_class_by_class(tmp_path: Path, fraction: float | None) -> None:
    labels = ["a"] * 60 + ["b"] * 25 + ["c"] * 15
    samples = load_samples(table(tmp_path, labels), test_fraction=fraction)
    train, test = rows(samples)
    share = fraction or 0.2
    assert sorted(train + test) == list(range(100))
    assert len(test) == pytest.approx(100 * share, abs=1)
    for label, count in enumerate((60, 25, 15)):
        assert (samples.t_test == label).sum() == pytest.approx(count * share, abs=1)
    assert samples.classes == ["a", "b", "c"]
    assert [labels[row][0] for row in test] == [samples.classes[label] for label in samples.t_test]
    assert [labels[row][0] for row in train] == [samples.classes[label] for label in samples.t]


def test_the_test_samples_are_drawn_at_random_and_always_the_same(tmp_path: Path) -> None:
    path = table(tmp_path, [i + 0.5 for i in range(100)])
    first, second = load_samples(path), load_samples(path)
    assert rows(first) == rows(second)
    test = rows(first)[1]
    assert len(test) == 20
    gaps = np.diff(sorted(test))
    assert gaps.max() > 6, "not every fifth row"
    assert max(test) > 60
    assert min(test) < 40
    np.testing.assert_array_equal(first.t_test[:, 0], np.array(test) + 0.5)


def test_whole_numbers_can_be_quantities(tmp_path: Path) -> None:
    path = table(tmp_path, [7, 3, 7, 100, 3, 8, 1, 2, 3, 4])
    assert load_samples(path).classes == [1, 2, 3, 4, 7, 8, 100]
    samples = load_samples(path, regression=True)
    assert samples.classes is None
    train, test = rows(samples)
    values = np.array([7, 3, 7, 100, 3, 8, 1, 2, 3, 4], dtype=np.float32)
    np.testing.assert_array_equal(samples.t, values[train][:, None])
    np.testing.assert_array_equal(samples.t_test, values[test][:, None])


def test_an_archive_may_bring_its_own_test_samples(tmp_path: Path) -> None:
    x = np.arange(12.0).reshape(6, 2)
    np.savez(tmp_path / "a.npz", x=x, t=np.arange(6) % 2, x_test=x[:2] + 0.5, t_test=[5, 0])
    samples = load_samples(str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(samples.x, x)
    np.testing.assert_array_equal(samples.x_test, x[:2] + 0.5)
    assert samples.is_table
    assert samples.classes == [0, 1, 5]
    np.testing.assert_array_equal(samples.t_test, [2, 0])
    quantities = load_samples(str(tmp_path / "a.npz"), regression=True)
    np.testing.assert_array_equal(quantities.t_test, [[5.0], [0.0]])


def test_folders_and_names_are_image_sets(images: Path) -> None:
    samples = load_samples(str(images))
    assert (samples.x.shape, samples.x_test.shape) == ((60, 16), (15, 16))
    assert samples.classes == [0, 1, 2]
    assert not samples.is_table
    assert load_samples("digits").x_test.shape == (359, 64)


def test_to_predict_the_test_images_are_taken(images: Path) -> None:
    np.testing.assert_array_equal(load_inputs(str(images), 16), load_samples(str(images)).x_test)
    with pytest.raises(DataFileError, match="needed samples of 64 features, got 16"):
        load_inputs(str(images), 64)


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("1,2,9\n3,4,9\n", None, [[1, 2], [3, 4]]),
        ("1,2\n3,4\n", None, [[1, 2], [3, 4]]),
        ("9,1,2\n9,3,4\n", 0, [[1, 2], [3, 4]]),
        ("1,2\n3,4\n", 0, [[1, 2], [3, 4]]),
        ("kind,a,b\n9,1,2\n9,3,4\n", "kind", [[1, 2], [3, 4]]),
        ("a,kind,b\nx,9,1\n", "kind", None),
        ("a,b\n1,2\n3,4\n", "kind", [[1, 2], [3, 4]]),
    ],
)
def test_the_column_of_targets_is_left_out_where_it_is(
    tmp_path: Path, text: str, target: int | str | None, expected: list[list[int]] | None
) -> None:
    path = tmp_path / "new.csv"
    path.write_text(text)
    if expected is None:
        with pytest.raises(DataFileError):
            load_inputs(str(path), 2, target)
    else:
        np.testing.assert_array_equal(load_inputs(str(path), 2, target), expected)
