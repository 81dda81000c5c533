import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import cli

Run = Callable[..., Any]

WRONG = {
    "": "COMMAND",
    "bogus": "predict",
    "train nosuch": "digits, mnist, fashion-mnist, a folder of IDX files",
    "train nosuch.csv": "found none there",
    "train empty.csv": "at least one row",
    "train damaged.npz": "a whole npz file",
    "train notes.txt": "unknown kind of file",
    "train .": "train-images-idx3-ubyte",
    "train one-class.csv": "at least two classes, got only 'a'",
    "train one-row.csv": "samples to train and to test with, got 1 training and 0 test samples",
    "train digits digits": "unrecognized arguments: digits",
    "train --hidden 10 digits": "the data go before the sizes",
    "train digits --hidden 0": "whole number of at least 1, got 0",
    "train digits --hidden 1.5": "whole number of at least 1, got 1.5",
    "train digits --activation step": "leaky-relu",
    "train digits --dropout 1": "from 0 to below 1, got 1",
    "train digits --dropout -0.1": "got -0.1",
    "train digits --optimizer tiger": "adagrad",
    "train digits --lr 0": "a number above 0, got 0",
    "train digits --lr nan": "a number above 0, got nan",
    "train digits --batch-size 0": "at least 1",
    "train digits --epochs 0": "at least 1",
    "train digits --seed -1": "at least 0, got -1",
    "train digits --sav x.safetensors": "unrecognized arguments: --sav",
    "train digits --backend theano": "array_api_strict",
    "train digits --device gpu": "gpu",
    "train digits --dtype float8": "float64",
    "train digits --dtype float16": "numpy has no products of float16",
    "train digits --dtype bfloat16 --backend array_api_strict": "take dtype float32 there",
    "train digits --target 0": "for tables",
    "train digits --test-fraction 0.5": "for tables",
    "train digits --regression": "for tables",
    "train letters.csv --regression": "numbers to predict, letters.csv has 'a'",
    "train letters.csv --target nosuch": "one column named 'nosuch'",
    "train letters.csv --target 7": "a column 7",
    "train letters.csv --test-fraction 1": "between 0 and 1, got 1",
    "train whole.npz --target 0": "for .csv files",
    "train whole.npz --test-fraction 0.5": "whole.npz has some",
    "train digits --save net.bin": ".safetensors, got net.bin",
    "train digits --save .": ". is a folder",
    "train digits --save nowhere/net.safetensors": "no folder nowhere",
    "train digits --save notes.txt/net.safetensors": "no folder notes.txt",
    "train digits --plot curve.doc": ".png or .svg or .pdf, got curve.doc",
    "train digits --plot folder.png": "folder.png is a folder",
    "predict": "NET.safetensors, DATA",
    "predict nosuch.safetensors digits": "no file nosuch.safetensors",
    "predict . digits": "no file .",
    "predict notes.txt digits": "no safetensors file",
    "predict net.safetensors nosuch.csv": "found none there",
    "predict net.safetensors nosuch": "needed a file named",
    "predict net.safetensors notes.txt": "needed a file named",
    "predict net.safetensors letters.csv": "64 features a line",
    "predict net.safetensors digits --output out.txt": ".csv, got out.txt",
    "predict net.safetensors letters.csv --output letters.csv": "would overwrite what is read",
    "predict net.safetensors digits --backend theano": "array_api_strict",
    "predict regression.safetensors digits --probabilities": "a network that classifies",
    "predict shapeless.safetensors digits": "fixes the number of features",
    "predict misnamed.safetensors digits": "names for 10 classes, got ['a']",
    "backends now": "unrecognized arguments: now",
    "check --backend theano": "array_api_strict",
    "check relu": "unrecognized arguments: relu",
}


@pytest.fixture
def files(tmp_path: Path) -> None:
    for name, text in {
        "empty.csv": "",
        "damaged.npz": "PK\3\4 and nothing more",
        "notes.txt": "hello",
        "one-class.csv": "1,a\n2,a\n3,a\n4,a\n5,a\n",
        "one-row.csv": "1,2,a\n",
        "letters.csv": "1,a\n2,b\n3,a\n4,b\n5,a\n6,b\n",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder.png").mkdir()
    x, t = np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "whole.npz", x=x, t=t, x_test=x, t_test=t)
    networks = {
        "net": pnn.Sequential(pnn.Affine(64, 10), loss=pnn.SoftmaxWithLoss(), seed=0),
        "regression": pnn.Sequential(pnn.Affine(64, 1), loss=pnn.MeanSquaredError(), seed=0),
        "shapeless": pnn.Sequential(pnn.ReLU(), loss=pnn.SoftmaxWithLoss(), seed=0),
        "misnamed": pnn.Sequential(pnn.Affine(64, 10), loss=pnn.SoftmaxWithLoss(), seed=0),
    }
    networks["misnamed"].notes["classes"] = ["a"]
    for name, network in networks.items():
        network.save(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(("line", "hint"), WRONG.items())
def test_a_mistake_is_one_line_on_stderr_status_2_and_changes_nothing(
    run: Run, files: None, tmp_path: Path, line: str, hint: str
) -> None:
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    result = run(line)
    assert result.status == 2
    assert result.out == ""
    assert result.err.startswith("portable-nn: ")
    assert result.err.count("\n") == 1
    assert hint in result.err
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


@pytest.mark.parametrize("command", ["train digits --backend {}", "predict net.safetensors digits --backend {}",
                                     "check --backend {}"])  # fmt: skip
def test_a_missing_backend_is_named_with_what_installs_it(
    run: Run, files: None, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    hide(monkeypatch, "torch")
    result = run(command.format("torch"))
    assert (result.status, result.out) == (2, "")
    assert (
        result.err
        == 'portable-nn: the backend torch needs the package torch: python -m pip install "portable-nn[torch]"\n'
    )


def test_a_picture_without_matplotlib_is_refused_before_training(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "matplotlib")
    result = run("train digits --plot curve.png")
    assert (result.status, result.out) == (2, "")
    assert 'python -m pip install "portable-nn[plot]"' in result.err


def test_a_folder_that_cannot_be_written_is_found_before_training(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    result = run("train digits --save net.safetensors")
    assert (result.status, result.out) == (2, "")
    assert "argument --save: cannot write in .: Permission denied" in result.err


def test_a_file_that_may_not_be_written_is_found_before_training(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("curve.png").write_bytes(b"")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    result = run("train digits --plot curve.png")
    assert (result.status, result.out) == (2, "")
    assert "argument --plot: curve.png may not be written" in result.err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (pnn.DataFileError("no mirror:\n  first: gone\n  second: gone"), "no mirror: first: gone second: gone"),
        (MemoryError("Unable to allocate 9 TiB"), "not enough memory: Unable to allocate 9 TiB"),
        (pnn.MissingExtraError("pooch is needed"), "pooch is needed"),
    ],
)
def test_an_error_is_told_in_one_line(run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setitem(cli.samples.SETS, "mnist", fail)
    result = run("train mnist")
    assert (result.status, result.err) == (2, f"portable-nn: {line}\n")


def test_an_error_of_the_system_names_the_file(run: Run, files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, path: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(pnn.Network, "save", fail)
    result = run("train letters.csv --epochs 1 --quiet --save full.safetensors")
    message = "portable-nn: the network could not be saved in full.safetensors: No space left on device\n"
    assert (result.status, result.err) == (2, message)


def test_ctrl_c_before_training_ends_the_command_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setitem(cli.samples.SETS, "digits", interrupt)
    result = run("train digits")
    assert (result.status, result.out, result.err) == (130, "", "portable-nn: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "status", "stream", "words"),
    [
        (["--help"], 0, "out", "train"),
        (["train", "--help"], 0, "out", "--batch-size"),
        (["--version"], 0, "out", f"portable-nn {pnn.__version__}"),
        ([], 2, "err", "COMMAND"),
        (["train", "nosuch"], 2, "err", "nosuch: not found"),
        (["predict", "nosuch.safetensors", "digits"], 2, "err", "no file nosuch.safetensors"),
    ],
)
def test_the_module_runs_as_a_program(process: Run, arguments: list[str], status: int, stream: str, words: str) -> None:
    result = process(*arguments)
    assert result.status == status
    assert words in getattr(result, stream)
    assert "Traceback" not in result.err
    assert result.err.count("\n") == (1 if status else 0)


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, files: None, environment: dict[str, str]) -> None:
    np.save(tmp_path / "many.npy", np.zeros((100_000, 64), dtype=np.float32))
    command = [sys.executable, "-m", "portable_nn", "predict", "net.safetensors", "many.npy"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_ctrl_c_ends_training_and_still_saves_draws_and_reports(tmp_path: Path, environment: dict[str, str]) -> None:
    arguments = ["train", "digits", "--epochs", "100000", "--save", "net.safetensors", "--plot", "curve.png"]
    with subprocess.Popen(
        [sys.executable, "-m", "portable_nn", *arguments],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        shown, deadline = b"", time.monotonic() + 60
        while b"val_accuracy" not in shown and time.monotonic() < deadline:
            shown += process.stderr.read1(1000)  # type: ignore[attr-defined]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
    lines = out.decode().splitlines()
    assert lines[2].startswith("test accuracy 0.")
    assert lines[-3].startswith(("interrupted in epoch ", "interrupted after epoch "))
    assert lines[-2:] == ["network saved in net.safetensors", "curves drawn in curve.png"]
    assert pnn.load(tmp_path / "net.safetensors").accuracy(*pnn.datasets.load_digits()[1]) > 0.8
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_imports_nothing_that_a_run_may_not_need(environment: dict[str, str]) -> None:
    code = (
        "import sys, portable_nn.cli\n"
        "print([name for name in ('matplotlib', 'torch', 'jax', 'cupy', 'sklearn', 'pooch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let `package` seem not to be installed."""
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == package else find_spec(name, *more)
    )
