"""The table of `test_errors.py` goes on: optimizers, schedules, data files, the command.

Each call says what was needed and what came, and leaves parameters, optimizer and files as they were.
"""

import copy
import gzip
import random
import re
import struct

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.cli import main
from portable_nn.datasets import load_features, load_idx, load_table, read_idx

F32 = np.float32
X, T = np.ones((4, 3), F32), np.array([0, 1, 1, 0])


def two(**grads):
    return {"a": np.ones(2, F32), "b": np.ones(2, F32)} | grads


def lists():
    return [np.ones(2, F32)]


# Optimizers: what is called with one that has made an update of `two()`, and its parameters.
UPDATES = {
    "a gradient of nothing": (lambda o, p: o.update(p, two(c=X)), KeyError, "gradients for ['c'], but parameters only"),
    "too few gradients": (
        lambda o, p: o.update(lists(), []),
        pnn.ShapeError,
        "as many gradients as parameters are needed, got 0 for 1",
    ),
    "parameters that cannot change": (
        lambda o, p: o.update(tuple(lists()), tuple(lists())),
        TypeError,
        "the parameters changeable, got tuple and tuple",
    ),
    "a mapping and a list": (lambda o, p: o.update(p, lists()), TypeError, "two mappings or two lists"),
    "a gradient of another dtype": (
        lambda o, p: o.update(p, two(b=np.ones(2))),
        pnn.DTypeError,
        "parameter b and its gradient need one floating dtype, got float32 and float64",
    ),
    "whole numbers": (
        lambda o, p: o.update([np.ones(2, int)], [np.ones(2, int)]),
        pnn.DTypeError,
        "need one floating dtype, got int64 and int64",
    ),
    "a gradient of another shape": (
        lambda o, p: o.update(p, two(b=np.ones(3, F32))),
        pnn.ShapeError,
        "the gradient of b needs shape (2,), got (3,)",
    ),
    "parameters as lists, of another shape": (
        lambda o, p: o.update({"a": [1.0]}, {"a": [1.0]}),
        pnn.ShapeError,
        "has updated a parameter a of shape (2,) in numpy on cpu, float32, now it gets one of shape (1,)",
    ),
    "parameters of another network": (
        lambda o, p: o.update({"a": X}, {"a": X}),
        pnn.ShapeError,
        "a new network needs a new optimizer",
    ),
}

NUMBERS = {
    "a negative rate": (lambda: pnn.SGD(-0.1), ValueError, "lr needs to be positive and finite, got -0.1"),
    "a rate of NaN": (lambda: pnn.SGD(float("nan")), ValueError, "lr needs to be positive and finite, got nan"),
    "a rate of text": (
        lambda: pnn.Adam("fast"),
        TypeError,
        "lr needs to be a number or a function of the step, got str",
    ),
    "momentum": (lambda: pnn.Momentum(momentum=1.0), ValueError, "momentum needs to be in [0.0, 1.0), got 1.0"),
    "beta1": (lambda: pnn.Adam(beta1=1.0), ValueError, "beta1 needs to be in [0.0, 1.0), got 1.0"),
    "beta2": (lambda: pnn.AdamW(beta2=-1), ValueError, "beta2 needs to be in [0.0, 1.0), got -1"),
    "epsilon": (lambda: pnn.Adam(epsilon=-1.0), ValueError, "epsilon needs to be in [0.0, inf), got -1.0"),
    "decay": (lambda: pnn.RMSprop(decay=2), ValueError, "decay needs to be in [0.0, 1.0), got 2"),
    "weight decay": (lambda: pnn.SGD(weight_decay=-1), ValueError, "weight_decay needs to be in [0.0, inf), got -1"),
    "norm": (lambda: pnn.SGD(clip_norm=0), ValueError, "clip_norm needs to be in [1e-30, inf), got 0"),
    "no steps": (lambda: pnn.Cosine(0.1, steps=0), ValueError, "steps needs to be positive and finite, got 0"),
    "warming up": (lambda: pnn.WarmUp(0.1, steps=-1), ValueError, "steps needs to be positive and finite, got -1"),
    "a plateau that rises": (
        lambda: pnn.ReduceOnPlateau(0.1, factor=2),
        ValueError,
        "factor below 1 and minimum from 0 to lr, got 2 and 0.0",
    ),
}

FILES = {
    "cut.idx": struct.pack(">IIII", 0x803, 10, 28, 28) + bytes(100),
    "long.idx": struct.pack(">II", 0x801, 3) + bytes(5),
    "magic.idx": b"\1\2\3\4" * 10,
    "cut.gz": gzip.compress(struct.pack(">II", 0x801, 5000) + random.Random(0).randbytes(5000))[:-20],
    "empty.csv": b"",
    "names.csv": b"a,b\n",
    "ragged.csv": b"a,b\n1,2\n3\n",
    "text.csv": b"a,b\n1,x\nfoo,y\n",
    "nan.csv": b"a,b\n1,2\nnan,3\n",
    "good.csv": b"a,b,c\n" + b"".join(b"%d,%d,%d\n" % (i, 2 * i, i % 2) for i in range(20)),
    "no.npz": b"PK\3\4" + bytes(20),
    "no.safetensors": b"abc",
    "file": b"",
}

LOADS = {
    "no folder": (lambda: load_idx("nowhere"), "nowhere: needed one of the files train-images-idx3-ubyte"),
    "no file": (lambda: read_idx("nowhere"), "nowhere: needed a file, found none there"),
    "no IDX file": (lambda: read_idx("magic.idx"), "which begins with 00 00, a type code (08, 09, 0b, 0c, 0d, 0e)"),
    "cut short": (lambda: read_idx("cut.idx"), "needed 7840 bytes of data for shape (10, 28, 28) of uint8, got 100"),
    "too long": (lambda: read_idx("long.idx"), "needed 3 bytes of data for shape (3,) of uint8, got 5"),
    "a torn gzip file": (lambda: read_idx("cut.gz"), "cut.gz: needed a whole gzip file"),
    "an empty table": (lambda: load_table("empty.csv"), "empty.csv: needed at least one row, got an empty file"),
    "only names": (lambda: load_table("names.csv"), "needed at least one row of numbers, got only a line of names"),
    "ragged rows": (lambda: load_table("ragged.csv"), "ragged.csv, line 3: needed 2 cells, got 1"),
    "text among numbers": (lambda: load_table("text.csv"), "text.csv, line 3, column a: needed a number, got 'foo'"),
    "NaN": (lambda: load_table("nan.csv"), "nan.csv, line 3, column a: needed a finite number"),
    "no such column": (lambda: load_table("good.csv", target="z"), "needed one column named 'z', got a, b, c"),
    "no such number": (lambda: load_table("good.csv", target=7), "needed a column 7 as target, got 3 columns"),
    "no array x": (lambda: load_table("a.npz"), "a.npz: needed an array named x or X, got a"),
    "pickles": (lambda: load_table("objects.npz"), "needed numbers or text, got Python objects, which only run as"),
    "two lengths": (lambda: load_table("lengths.npz"), "needed a target for each row of x (4, 2), got (3,)"),
    "no npz file": (lambda: load_table("no.npz"), "no.npz: needed a whole npz file"),
    "another ending": (lambda: load_features("a.xlsx", 2), "a.xlsx: needed a file named .csv, .csv.gz, .npz, .npy"),
}

COMMANDS = {
    "fly": "argument COMMAND: invalid choice: 'fly' (choose from",
    "train nowhere": "nowhere: not found; data are digits, mnist, fashion-mnist, a folder of IDX files, or a file",
    "train nothing.csv": "nothing.csv: needed a file, found none there",
    "train ragged.csv": "ragged.csv, line 3: needed 2 cells, got 1",
    "train text.csv": "text.csv, line 3, column a: needed a number, got 'foo'",
    "train good.csv --target z": "good.csv: needed one column named 'z', got a, b, c",
    "train --lr 0": "argument --lr: needs a number above 0, got 0",
    "train --lr fast": "argument --lr: needs a number above 0, got fast",
    "train --hidden 0": "argument --hidden: needs a whole number of at least 1, got 0",
    "train --batch-size 0": "argument --batch-size: needs a whole number of at least 1, got 0",
    "train --epochs -1": "argument --epochs: needs a whole number of at least 1, got -1",
    "train --recoveries -1": "argument --recoveries: needs a whole number of at least 0, got -1",
    "train --dropout 1": "argument --dropout: needs a number from 0 to below 1, got 1",
    "train --seed x": "argument --seed: needs a whole number of at least 0, got x",
    "train --test-fraction 2": "argument --test-fraction: needs a number between 0 and 1, got 2",
    "train --activation step": "argument --activation: invalid choice: 'step' (choose from 'relu'",
    "train --optimizer lbfgs": "argument --optimizer: invalid choice: 'lbfgs' (choose from 'adam'",
    "train --backend tf": "argument --backend: invalid choice: 'tf' (choose from 'numpy'",
    "train --dtype int8": "invalid choice: 'int8' (choose from 'float32', 'float64', 'bfloat16', 'float16')",
    "train --device gpu7 --epochs 1": "cannot make an array on the device 'gpu7'",
    "train --resume --epochs 1": "fit needs a checkpoint folder to resume from",
    "train --checkpoint file --epochs 1": "file: File exists",
    "train --save net.pkl": "argument --save: needs a name that ends in .safetensors, got net.pkl",
    "train --save nowhere/net.safetensors": "argument --save: there is no folder nowhere for net.safetensors",
    "train --plot curve.txt": "argument --plot: needs a name that ends in .png or .svg or .pdf, got curve.txt",
    "predict nothing.safetensors good.csv": "there is no file nothing.safetensors",
    "predict no.safetensors good.csv": "no.safetensors is no safetensors file, or is damaged",
    "predict net.safetensors nothing.csv": "nothing.csv: needed a file, found none there",
    "predict net.safetensors good.csv": "good.csv: needed 5 features a line, or 6 cells with a target, got 3 cells",
    "bench --nothing": "unrecognized arguments: --nothing",
}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Change to a folder of bad files and return it as a function: what is in there."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    np.savez(tmp_path / "a.npz", a=np.ones(3))
    np.savez(tmp_path / "objects.npz", x=np.array([[1, None]], dtype=object), t=np.zeros(1))
    np.savez(tmp_path / "lengths.npz", x=np.ones((4, 2)), t=np.zeros(3))
    pnn.Sequential(pnn.Affine(5, 2), loss=pnn.SoftmaxWithLoss(), seed=0).save(tmp_path / "net.safetensors")
    monkeypatch.chdir(tmp_path)
    return lambda: {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", UPDATES)
def test_bad_updates(name):
    call, kind, message = UPDATES[name]
    params, optimizer = two(), pnn.Adam()
    optimizer.update(params, two())
    before = copy.deepcopy((params, optimizer.state, optimizer.steps))
    with pytest.raises(kind, match=re.escape(message)):
        call(optimizer, params)
    for now, then in zip((params, optimizer.state), before, strict=False):
        assert {key: np.asarray(array).tolist() for key, array in now.items()} == {
            key: np.asarray(array).tolist() for key, array in then.items()
        }
    assert optimizer.steps == before[2]


@pytest.mark.parametrize("name", NUMBERS)
def test_bad_numbers(name):
    call, kind, message = NUMBERS[name]
    with pytest.raises(kind, match=re.escape(message)):
        call()


@pytest.mark.parametrize("name", LOADS)
def test_bad_files(name, files):
    call, message = LOADS[name]
    before = files()
    with pytest.raises(pnn.DataFileError, match=re.escape(message)):
        call()
    assert files() == before


@pytest.mark.parametrize("command", COMMANDS)
def test_bad_commands(command, files, capsys):
    before = files()
    assert main(command.split() + (["--quiet"] if command.startswith("train") else [])) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("portable-nn: ")
    assert errors.count("\n") == 1
    assert COMMANDS[command] in errors
    assert files() == before
