"""Files of networks that were damaged on purpose: each time an error of ours, or what was written."""

import json
import pickle
import random
import struct
import time
from pathlib import Path

import numpy as np
import pytest

import portable_nn as pnn

VERSION_1 = Path(__file__).parents[1] / "data" / "network-version-1.safetensors"
"""Written by the first version of the format, which had no checksum."""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "net.safetensors"
    pnn.Sequential(pnn.Affine(3, 2), pnn.ReLU(), pnn.Affine(2, 2), loss=pnn.SoftmaxWithLoss(), seed=0).save(path)
    return path.read_bytes()


def is_refused(content, path, good):
    """Tell whether a file is refused, having seen that it is if its arrays or its description differ."""
    path.write_bytes(content)
    started = time.thread_time()
    try:
        loaded = pnn.load(path)
    except pnn.CheckpointError:
        return True
    finally:
        assert time.thread_time() - started < 1.0
    path.write_bytes(good)
    wanted = pnn.load(path)
    assert repr(loaded) == repr(wanted)
    for name, array in wanted.parameters.items():
        np.testing.assert_array_equal(loaded.parameters[name], array)
    return False


def test_the_first_version_is_read_for_ever():
    network = pnn.load(VERSION_1)
    # By hand: the columns of W sum to 2.25, 2.75 and 3.25, and these times the second W are the outputs.
    np.testing.assert_array_equal(network.predict(np.ones((1, 4), "float32")), [[0.5, 2.5625]])
    assert network.notes == {"made": "by version 1"}
    assert list(network.trainable()) == ["0.W", "3.W", "3.b"]
    assert network.criterion.label_smoothing == 0.1


def test_every_truncation_is_refused(good, tmp_path):
    assert all(is_refused(good[:length], tmp_path / "net", good) for length in range(len(good)))


@pytest.mark.parametrize("bit", [0, 7])
def test_every_changed_byte_is_refused_or_means_the_same(good, tmp_path, bit):
    refused = 0
    for i in range(len(good)):
        changed = bytearray(good)
        changed[i] ^= 1 << bit
        refused += is_refused(bytes(changed), tmp_path / "net", good)
    assert refused > 0.95 * len(good)  # what is left: white space that pads the header, and digits of unused keys


@pytest.mark.slow
def test_random_mutations(good, tmp_path):
    chance = random.Random(0)
    for _ in range(10_000):
        changed = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            start, length = chance.randrange(len(changed)), chance.randint(1, 40)
            kind = chance.randrange(4)
            if kind == 0:
                changed[start : start + length] = chance.randbytes(length)
            elif kind == 1:
                del changed[start : start + length]
            elif kind == 2:
                changed[start:start] = chance.randbytes(length)
            else:
                changed[start:start] = changed[chance.randrange(len(changed)) :][:length]
        if bytes(changed) != good:
            is_refused(bytes(changed), tmp_path / "net", good)


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


HOSTILE = {
    "a header longer than the file": struct.pack("<Q", 2**63) + b"{}",
    "a header of 90 MB that is not there": struct.pack("<Q", 90_000_000) + b"{}",
    "offsets beyond the end": file_of({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}),
    "overlapping offsets": file_of(
        {
            "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        },
        bytes(12),
    ),
    "negative shape": file_of({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4)),
    "unknown type": file_of({"a": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
    "deep JSON": file_of(b'{"__metadata__":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "deep description": file_of({"__metadata__": {"portable_nn": "[" * 100_000}}),
    "a description of another type": file_of({"__metadata__": {"portable_nn": "3"}}),
    "version as text": file_of({"__metadata__": {"portable_nn": '{"version": "2"}'}}),
    "version true": file_of({"__metadata__": {"portable_nn": '{"version": true}'}}),
    "version 0": file_of({"__metadata__": {"portable_nn": '{"version": 0}'}}),
    "version 2 without a checksum": file_of({"__metadata__": {"portable_nn": '{"version": 2}'}}),
    "names that climb": file_of(
        {
            "../../evil": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "__metadata__": {"portable_nn": '{"version": 1, "layers": {}, "ties": {}, "layout": {}}'},
        },
        bytes(4),
    ),
    "an unknown type of all arrays": VERSION_1.read_bytes().replace(b"float32", b"float34"),
    "a pickle": pickle.dumps({"a": [1, 2, 3]}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(kind, good, tmp_path):
    assert is_refused(HOSTILE[kind], tmp_path / "net", good)
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
