"""Files of data that were damaged on purpose: each time an error of ours, or what is in the file."""

import gzip
import importlib.util
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

SPEC = importlib.util.spec_from_file_location("fuzz", Path(__file__).parents[2] / "ci" / "fuzz.py")
fuzz = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fuzz)
npy, archive = fuzz.npy, fuzz.archive

IDX = struct.pack(">HBB2I6B", 0, 0x08, 2, 2, 3, *range(6))
CSV = b"a,b,kind\n1.5,2,x\n-3,4e1,y\n"
X, T = npy((2, 2), struct.pack("<4f", 1, 2, 3, 4)), npy((2,), struct.pack("<2q", 7, 5), "<i8")

GOOD = {
    "idx": ("idx", IDX),
    "idx, packed": ("idx-gz", gzip.compress(IDX)),
    "csv": ("csv", CSV),
    "csv, packed": ("csv-gz", gzip.compress(CSV)),
    "npy": ("npy", X),
    "npz, stored": ("npz", archive({"x": X, "t": T}, zipfile.ZIP_STORED)),
    "npz, deflated": ("npz", archive({"x": X, "t": T}, zipfile.ZIP_DEFLATED)),
}
FEATURES = {
    "csv": [[1.5, 2], [-3, 40]],
    "npy": [[1, 2], [3, 4]],
    "npz": [[1, 2], [3, 4]],
    "idx": [[0, 1, 2], [3, 4, 5]],
}
LABELS = {"csv": ([0, 1], ("x", "y")), "npz": ([1, 0], (5, 7))}
FORMATS_WITHOUT_CHECKSUM = ("idx", "csv", "npy")


def assert_is_the_good_one(target, result):
    form = target.removesuffix("-gz")
    assert np.array_equal(result.x if form in LABELS else result, FEATURES[form])
    if form in LABELS:
        assert (result.t.tolist(), result.classes) == LABELS[form]


def is_refused(target, content, folder):
    """Tell whether a file is refused; if not, what is read is whole, and the good one if the file has a checksum."""
    result = fuzz.read(fuzz.TARGETS[target], content, folder)
    if result is not None and target not in FORMATS_WITHOUT_CHECKSUM:
        assert_is_the_good_one(target, result)
    return result is None


@pytest.mark.parametrize("kind", GOOD)
def test_the_whole_file_is_read(kind, tmp_path):
    target, content = GOOD[kind]
    assert_is_the_good_one(target, fuzz.read(fuzz.TARGETS[target], content, tmp_path))


@pytest.mark.parametrize("kind", [kind for kind in GOOD if kind != "csv"])
def test_every_truncation_is_refused(kind, tmp_path):
    target, content = GOOD[kind]
    assert all(is_refused(target, content[:length], tmp_path) for length in range(len(content)))


def test_a_cut_text_is_read_up_to_the_cut(tmp_path):
    read = [fuzz.read(fuzz.TARGETS["csv"], CSV[:length], tmp_path) for length in range(len(CSV))]
    # By hand: names alone are refused, then one row can be read as soon as its last cell has begun, and so on.
    first, second = CSV.index(b"x"), CSV.index(b"y")
    rows = [0] * (first + 1) + [1] * 2 + [0] * (second - first - 2) + [2]
    assert [0 if table is None else len(table.x) for table in read] == rows


@pytest.mark.parametrize("bits", [0x01, 0x80, 0x12])
@pytest.mark.parametrize("kind", GOOD)
def test_every_changed_byte_is_refused_or_read_as_it_is(kind, bits, tmp_path):
    target, content = GOOD[kind]
    refused = 0
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= bits
        refused += is_refused(target, bytes(changed), tmp_path)
    # At least: the header of an IDX file, but for one type that is as long as another; all before the text in that of
    # a .npy; a packed file but for its own header. Half of a .npz are times, versions and copies that nobody reads.
    least = {"idx": 11, "csv": 3, "npy": 10, "npz": len(content) // 2}
    assert refused >= least.get(target, len(content) - 10)


def mutated(content, chance):
    changed = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        start, length = chance.randrange(len(changed) + 1), chance.randint(1, 12)
        match chance.randrange(5):
            case 0:
                changed[start : start + length] = chance.randbytes(length)
            case 1:
                del changed[start : start + length]
            case 2:
                changed[start:start] = chance.randbytes(length)
            case 3:
                changed[start:start] = content[chance.randrange(len(content)) :][:length]
            case _:
                edge = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
                changed[start : start + length] = bytes([edge]) * length
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", GOOD)
def test_random_mutations(kind, tmp_path):
    target, content = GOOD[kind]
    chance = random.Random(kind)
    for _ in range(10_000 // len(GOOD) + 1):
        is_refused(target, mutated(content, chance), tmp_path)
