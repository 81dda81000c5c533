import csv
import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import BACKENDS, namespace
from portable_nn.errors import BackendError, MissingExtraError

Run = Callable[..., Any]


@pytest.fixture
def net(tmp_path: Path) -> pnn.Sequential:
    """A classifier whose outputs are (0, x0, x1), saved in net.safetensors."""
    W = np.array([[0, 1, 0], [0, 0, 1]], dtype=np.float32)
    network = pnn.Sequential(pnn.Affine.from_arrays(W, np.zeros(3, dtype=np.float32)), loss=pnn.SoftmaxWithLoss())
    network.notes["classes"] = ["none", "x, first", "second"]
    network.save(tmp_path / "net.safetensors")
    return network


X = np.array([[-1.0, -2.0], [3.0, 1.0], [0.5, math.log(5)]])
CLASSES = ["none", '"x, first"', "second"]


@pytest.mark.parametrize("name", ["new.csv", "new.csv.gz", "labelled.csv", "new.npz", "new.npy"])
def test_one_class_a_line_from_a_file_of_any_kind(run: Run, net: Any, tmp_path: Path, name: str) -> None:
    lines = [f"{a},{b}" for a, b in X.tolist()]
    (tmp_path / "new.csv").write_text("\n".join(lines))
    (tmp_path / "labelled.csv").write_text("\n".join(["a,b,kind", *(f"{line},second" for line in lines)]))
    (tmp_path / "new.csv.gz").write_bytes(gzip.compress((tmp_path / "new.csv").read_bytes()))
    np.savez(tmp_path / "new.npz", x=X)
    np.save(tmp_path / "new.npy", X)
    result = run(f"predict net.safetensors {name}")
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines() == CLASSES


def test_probabilities_stand_behind_the_class(run: Run, net: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "new.npy", X)
    header, *rows = csv.reader(run("predict net.safetensors new.npy --probabilities").out.splitlines())
    assert header == ["class", "none", "x, first", "second"]
    assert [row[0] for row in rows] == header[1:]
    e = np.exp(np.column_stack([np.zeros(3), X]))
    found = np.array([[float(cell) for cell in row[1:]] for row in rows])
    np.testing.assert_allclose(found, e / e.sum(axis=1, keepdims=True), rtol=1e-6)


def test_predictions_are_written_to_a_file(run: Run, net: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "new.npy", X)
    (tmp_path / "out.csv").write_text("old")
    result = run("predict net.safetensors new.npy --output out.csv")
    assert result.out == "3 predictions written to out.csv\n"
    assert (tmp_path / "out.csv").read_text() == 'class\nnone\n"x, first"\nsecond\n'


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_backend_predicts_from_the_same_file(run: Run, net: Any, tmp_path: Path, backend: str, dtype: str) -> None:
    try:
        namespace(backend)
    except (MissingExtraError, BackendError) as error:
        pytest.skip(str(error))
    np.save(tmp_path / "new.npy", X)
    net.to(dtype=dtype).save(tmp_path / "net.safetensors")
    result = run(f"predict net.safetensors new.npy --backend {backend}")
    assert result.out.splitlines() == CLASSES, result.err


def test_a_regression_prints_its_outputs(run: Run, tmp_path: Path) -> None:
    W, b = np.array([[2.0, 0.0], [0.0, 1e6]]), np.array([0.25, 0.0])
    pnn.Sequential(pnn.Affine.from_arrays(W, b), loss=pnn.MeanSquaredError()).save(tmp_path / "net.safetensors")
    np.save(tmp_path / "new.npy", np.array([[1.0, 2.0], [-0.5, 0.0]]))
    assert run("predict net.safetensors new.npy").out == "2.25,2000000\n-0.75,0\n"
    run("predict net.safetensors new.npy --output out.csv")
    assert (tmp_path / "out.csv").read_text() == "output 0,output 1\n2.25,2000000\n-0.75,0\n"


def test_a_network_of_yes_and_no_questions_answers_each(run: Run, tmp_path: Path) -> None:
    pnn.Sequential(pnn.Affine.from_arrays(np.eye(2)), loss=pnn.SigmoidWithLoss()).save(tmp_path / "net.safetensors")
    np.save(tmp_path / "new.npy", np.array([[math.log(3), -2.0], [0.0, 1.0]]))
    assert run("predict net.safetensors new.npy").out == "1,0\n0,1\n"
    header, first, second = csv.reader(run("predict net.safetensors new.npy --probabilities").out.splitlines())
    assert header == ["output 0", "output 1", "probability 0", "probability 1"]
    assert (first[2], second[2]) == ("0.75", "0.5")


def test_without_names_the_classes_are_numbers(run: Run, tmp_path: Path) -> None:
    pnn.Sequential(pnn.Affine.from_arrays(np.eye(2)), loss=pnn.SoftmaxWithLoss()).save(tmp_path / "net.safetensors")
    np.save(tmp_path / "new.npy", np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert run("predict net.safetensors new.npy").out == "1\n0\n"


@pytest.mark.parametrize("notes", [{"target": [1]}, {"target": {}, "classes": None}])
def test_notes_of_another_hand_are_not_trusted(run: Run, tmp_path: Path, notes: Any) -> None:
    network = pnn.Sequential(pnn.Affine.from_arrays(np.eye(2)), loss=pnn.SoftmaxWithLoss())
    network.notes = notes
    network.save(tmp_path / "net.safetensors")
    (tmp_path / "new.csv").write_text("0,1\n1,0\n")
    assert run("predict net.safetensors new.csv").out == "1\n0\n"


def test_a_network_with_named_outputs_is_refused(run: Run, tmp_path: Path) -> None:
    graph = pnn.Graph(loss={"kind": pnn.SoftmaxWithLoss()}, seed=0)
    graph.output(kind=pnn.Affine(4, 3)(graph.input("image")))
    graph.save(tmp_path / "net.safetensors")
    (tmp_path / "x.csv").write_text("1,2,3,4\n")
    result = run("predict net.safetensors x.csv")
    assert result.status
    assert "one output without a name, got image, kind" in result.err


def test_a_file_of_predictions_is_written_whole_or_not_at_all(
    run: Run, net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "new.npy", X)
    (tmp_path / "out.csv").write_text("old")
    monkeypatch.setattr("portable_nn.storage.arrays.os.fsync", full_disk)
    result = run("predict net.safetensors new.npy --output out.csv")
    assert result.status == 2
    assert "No space left" in result.err
    assert (tmp_path / "out.csv").read_text() == "old"


def full_disk(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_checkpoint_of_train_predicts_as_the_network_does(run: Run, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(100.0, 20.0, (60, 2))
    rows = [f"{a},{b},{3 * a - b + 1000}" for a, b in x.tolist()]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,y", *rows]))
    result = run("train t.csv --target y --epochs 3 --quiet --regression --save net.safetensors --checkpoint run")
    assert result.status == 0, result.err
    newest = sorted(path.name for path in (tmp_path / "run").glob("epoch-*"))[-1]
    saved, kept = (run(f"predict {name} t.csv").out for name in ("net.safetensors", f"run/{newest}"))
    np.testing.assert_allclose([*map(float, saved.split())], [*map(float, kept.split())], rtol=1e-5)


def test_nan_is_no_answer(run: Run, tmp_path: Path) -> None:
    layer = pnn.Affine.from_arrays(np.eye(2), np.full(2, np.nan))
    pnn.Sequential(layer, loss=pnn.SoftmaxWithLoss()).save(tmp_path / "net.safetensors")
    np.save(tmp_path / "new.npy", np.array([[0.0, 1.0]]))
    failed = run("predict net.safetensors new.npy --output out.csv")
    assert failed.status != 0
    assert "gives NaN for 1 of 1 samples" in failed.err
    assert len(failed.err.strip().splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()


def test_whole_numbers_go_to_a_network_that_asks_for_them_as_they_are(run: Run, tmp_path: Path) -> None:
    layers = pnn.Embedding(2**24 + 2, 1), pnn.Flatten(), pnn.Affine(2, 2)
    network = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0)
    network.parameters["0.W"] = (np.arange(2**24 + 2) % 2 * 2.0 - 1.0)[:, None]  # odd ones are 1
    network.parameters["2.W"] = np.array([[1.0, -1.0], [0.0, 0.0]])
    network.save(tmp_path / "net.safetensors")
    (tmp_path / "new.csv").write_text(f"a,b\n{2**24},0\n{2**24 + 1},0\n")
    np.save(tmp_path / "new.npy", np.array([[2**24, 0], [2**24 + 1, 0]]))
    for name in "new.csv", "new.npy":
        result = run(f"predict net.safetensors {name}")
        assert (result.status, result.out.split()) == (0, ["1", "0"])
    (tmp_path / "half.csv").write_text("0.5,1\n")
    result = run("predict net.safetensors half.csv")
    assert result.status != 0
    assert "half.csv: needed whole numbers, as the network takes, got 0.5" in result.err
    (tmp_path / "negative.csv").write_text("1,-1\n")
    assert "needs x of whole numbers from 0 to" in run("predict net.safetensors negative.csv").err
