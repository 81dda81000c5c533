"""Files made to do harm: an error of ours or what is in them, soon, in little memory, and none of their code runs."""

import contextlib
import gzip
import importlib.util
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from portable_nn.errors import DataFileError

SPEC = importlib.util.spec_from_file_location("fuzz", Path(__file__).parents[2] / "ci" / "fuzz.py")
fuzz = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fuzz)
npy, archive = fuzz.npy, fuzz.archive

X, T = npy((2, 2), struct.pack("<4f", 1, 2, 3, 4)), npy((2,), struct.pack("<2q", 7, 5), "<i8")


def idx(shape, data=b"", code=0x08):
    return struct.pack(f">HBB{len(shape)}I", 0, code, len(shape), *shape) + data


def npy_of(text, data=b""):
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


def central(content, offset, form, *values):
    """Change the entry of the first member in a zip's directory, `offset` bytes from its start."""
    changed = bytearray(content)
    struct.pack_into(form, changed, content.index(b"PK\1\2") + offset, *values)
    return bytes(changed)


def with_names(*names, members=(X, X)):
    """Return a .npz whose members have these names, which Python would not write."""
    stand_ins = [str(number) * (len(name) - 4) for number, name in enumerate(names)]
    content = archive(dict(zip(stand_ins, members, strict=True)))
    for stand_in, name in zip(stand_ins, names, strict=True):
        content = content.replace(f"{stand_in}.npy".encode(), name.encode())
    return content


def words(count):
    """Return a .npz with one long label for training and `count` short ones for 20,000 tests."""
    members = {
        "x": npy((1, 1), bytes(1), "|u1"),
        "t": npy((1,), ("a" * 200_000).encode("utf-32-le"), "<U200000"),
        "x_test": npy((20_000, 1), bytes(20_000), "|u1"),
        "t_test": npy((count,), "b".encode("utf-32-le") * count, "<U1"),
    }
    return archive(members, zipfile.ZIP_STORED)


def zeros_packed(size, level=9):
    """Return `size` zeros as one gzip file, written piece by piece."""
    packer = zlib.compressobj(level, wbits=31)
    piece = bytes(1 << 20)
    return b"".join(packer.compress(piece) for _ in range(size >> 20)) + packer.flush()


GOOD_NPZ = archive({"x": X, "t": T})
MORE_T = npy((4,), bytes(4), "|u1")
BOMB = 1 << 26  # bytes that a bomb becomes: more than the memory that any of these may take

REFUSED = {
    "idx: huge sides": ("idx", idx((2**32 - 1,) * 3, bytes(9))),
    "idx: no elements of huge sides": ("idx", idx((0, 2**32 - 1, 2**32 - 1))),
    "idx: no elements, and sides that only bytes have room for": (
        "idx-gz",
        gzip.compress(idx((0, 2**31 - 1, 2**31 - 1))),
    ),
    "idx: a product beyond 2**64 that wraps to 0": ("idx", idx((2**31, 2**31, 2**31, 2), b"")),
    "idx: 255 huge sides": ("idx", idx((2**32 - 1,) * 255, bytes(9))),
    "idx: 255 sides": ("idx", idx((1,) * 255, b"\0")),
    "idx: huge sides of doubles": ("idx-gz", gzip.compress(idx((2**32 - 1,) * 2, bytes(9), 0x0E))),
    "idx: an unknown type": ("idx", idx((4,), bytes(4), 0x0F)),
    "idx: a bomb beyond the claim": ("idx-gz", lambda: gzip.compress(idx((4,), bytes(4))) + zeros_packed(BOMB)),
    "idx: a bomb as claimed": ("idx-gz", lambda: gzip.compress(idx((BOMB,))) + zeros_packed(BOMB)),
    "idx: a bomb in a bomb": ("idx-gz", lambda: gzip.compress(gzip.compress(zeros_packed(BOMB)))),
    "csv: a bomb of zeros": ("csv-gz", lambda: zeros_packed(BOMB)),
    "csv: a bomb of one line": ("csv-gz", lambda: gzip.compress(b"1," * (BOMB >> 1), 9)),
    "csv: NUL bytes": ("csv", b"1,2\n3\0,4\n"),
    "csv: only NUL bytes": ("csv", bytes(10_000)),
    "csv: a line of 50 MB": ("csv", lambda: b"1" * 50_000_000),
    "csv: a line of 50 MB with cells": ("csv", lambda: b"1," * 25_000_000),
    "csv: a second line of 50 MB": ("csv", lambda: b"1,2\n" + b"1," * 25_000_000),
    "csv: a line of 50 MB below": ("csv", lambda: b"1,2\n3,4\n5,6\n" + b"1," * 25_000_000),
    "csv: a column more": ("csv", b"1,2\n3,4,5\n"),
    "csv: not UTF-8": ("csv", b"1,2\n3,\xff\xfe\n"),
    "csv: a half character": ("csv", b"1,2\n3,\xc3"),
    "csv: a surrogate": ("csv", b"1,2\n3,\xed\xa0\x80\n"),
    "csv: nan": ("csv", b"1,x\nnan,y\n"),
    "csv: infinite": ("csv", b"1,x\n-Infinity,y\n"),
    "csv: beyond all floats": ("csv", b"1,x\n1e999,y\n"),
    "csv: a long number": ("csv", b"1,x\n" + b"9" * 100_000 + b",y\n"),
    "csv: text among numbers": ("csv", b"1,2,x\n3,four,y\n"),
    "csv: a quote that stays open": ("csv", b'1,"2\n' + b"3,4\n" * 100_000),
    "csv: quotes in quotes": ("csv", b'1,2\n3,"' + b'"' * 99_998 + b'"x"\n'),
    "csv: thousands of open quotes": ("csv", b'"1,2\n' * 9_999),
    "npy: huge side": ("npy", npy((2**62, 2), bytes(8))),
    "npy: a product beyond 2**63": ("npy", npy((2**40, 2**40), bytes(8))),
    "npy: a product that wraps to 8": ("npy", npy((2**61 + 1, 8), bytes(32))),
    "npy: no elements of huge sides": ("npy", npy((0, 2**63 - 1, 2), b"")),
    "npy: no elements, and sides that only half floats have room for": (
        "npy",
        npy((0, 2**31 - 1, 2**31 - 1), b"", "<f2"),
    ),
    "npy: a side beyond int64": ("npy", npy((2**64, 2), bytes(8))),
    "npy: a side of 9000 hexadecimal digits": (
        "npy",
        npy_of(b"{'descr': '<f4', 'fortran_order': False, 'shape': (0x" + b"f" * 9_000 + b",)}"),
    ),
    "npy: that number elsewhere": ("npy", npy_of(b"[0x" + b"f" * 9_000 + b"]")),
    "npy: that number as a key": ("npy", npy_of(b"{0x" + b"f" * 9_000 + b": 0}")),
    "npy: 400 huge sides": ("npy", npy((2**62,) * 400, bytes(8))),
    "npy: 1000 sides": ("npy", npy((1,) * 1000, bytes(4))),
    "npy: negative sides": ("npy", npy((-2, -2), bytes(16))),
    "npy: one negative side": ("npy", npy((-1, 2), bytes(16))),
    "npy: shape as text": ("npy", npy("(2, 2)", bytes(16))),
    "npy: shape as a list": ("npy", npy([2, 2], bytes(16))),
    "npy: an unknown dtype": ("npy", npy((2, 2), bytes(16), "<q9")),
    "npy: a dtype of no size": ("npy", npy((2, 2), b"", "<U0")),
    "npy: text of 4 GB each": ("npy", npy((0, 2), b"", "<U999999999")),
    "npy: a dtype of 100 digits": ("npy", npy((2, 2), bytes(16), "<f" + "9" * 100)),
    "npy: dtypes in a text": ("npy", npy((2, 2), bytes(32), "f4,f4")),
    "npy: a structured dtype": ("npy", npy((2, 2), bytes(32), [("a", "<f4"), ("b", "<f4")])),
    "npy: a nested dtype": ("npy", npy((2, 2), bytes(32), ("<f4", (2,)))),
    "npy: objects": ("npy", npy((2, 2), bytes(32), "|O")),
    "npy: void": ("npy", npy((2, 2), bytes(32), "|V8")),
    "npy: deep lists": ("npy", npy_of(b"[" * 9_999)),
    "npy: deep signs": ("npy", npy_of(b"-" * 9_998 + b"1")),
    "npy: deep sums": ("npy", npy_of(b"1+" * 4_999 + b"1")),
    "npy: deep powers": ("npy", npy_of(b"9**9**9**9**9")),
    "npy: deep parentheses": ("npy", npy_of(b"(" * 5_000 + b")" * 4_999)),
    "npy: a long list of lists": ("npy", npy_of(b"{'descr': " + b"[" * 90 + b"]" * 90 + b"}")),
    "npy: a list as key": ("npy", npy_of(b"{[]: 1}")),
    "npy: an odd escape": ("npy", npy_of(rb"{'descr': '\d', 'fortran_order': '\N{', 'shape': '\x'}")),
    "npy: NUL in the header": ("npy", npy_of(b"{'descr': '<f4'\0}")),
    "npy: a header of 4 GB": ("npy", b"\x93NUMPY\2\0" + b"\xff" * 4 + bytes(9)),
    "npy: a nan that signals": ("npy", npy((1, 2), struct.pack("<2Q", 0x7FF0000000000001, 0), "<f8")),
    "npy: not finite, all 4 MB": ("npy", lambda: npy((1 << 19, 2), b"\xff" * (1 << 22))),
    "npz: a name that climbs": ("npz", with_names("../../evil", "/etc/evil")),
    "npz: a folder": ("npz", with_names("x.npy/", "t.npy/")),
    "npz: encrypted": ("npz", central(GOOD_NPZ, 8, "<H", 1)),
    "npz: strongly encrypted": ("npz", central(GOOD_NPZ, 8, "<H", 0x41)),
    "npz: a patch": ("npz", central(GOOD_NPZ, 8, "<H", 0x20)),
    "npz: a directory that lies about the method": ("npz", central(GOOD_NPZ, 10, "<H", 0)),
    "npz: an unknown method": ("npz", central(GOOD_NPZ, 10, "<H", 99)),
    "npz: a directory that lies about the checksum": ("npz", central(GOOD_NPZ, 16, "<I", 1)),
    "npz: a directory that lies about the size": ("npz", central(GOOD_NPZ, 24, "<I", 2**32 - 2)),
    "npz: a member of no size": ("npz", central(GOOD_NPZ, 24, "<I", 0)),
    "npz: a directory that lies about the place": ("npz", central(GOOD_NPZ, 42, "<I", 2**32 - 2)),
    "npz: zip64 without its fields": ("npz", central(GOOD_NPZ, 20, "<II", 2**32 - 1, 2**32 - 1)),
    "npz: one member in the place of another": ("npz", central(GOOD_NPZ, 42, "<I", GOOD_NPZ.rindex(b"PK\3\4"))),
    "npz: a bomb beyond the claim": ("npz", lambda: archive({"x": X + bytes(BOMB), "t": T})),
    "npz: a bomb as claimed": ("npz", lambda: archive({"x": npy((BOMB >> 3, 2), bytes(BOMB)), "t": T})),
    "npz: a bomb that nobody reads": ("npz", lambda: archive({"other": bytes(BOMB), "t": T})),
    "npz: a word too many beside a long one": ("npz", lambda: words(20_001)),
    "npz: labels beyond int64": ("npz", archive({"x": X, "t": npy((2,), b"\xff" * 16, "<u8")})),
    "npz: half a character": ("npz", archive({"x": X, "t": npy((2,), struct.pack("<2I", 0xD800, 0xDFFF), "<U1")})),
    "npz: no members": ("npz", b"PK\5\6" + bytes(18)),
    "npz: 65535 members that are not there": ("npz", b"PK\5\6" + bytes(4) + b"\xff" * 12 + bytes(2)),
}
XY = ("x", "y"), [0, 1]
READ = {
    "idx: no elements": ("idx", idx((0, 3)), (0, 3), None),
    "csv: one long label among many": (
        "csv",
        b"1,a\n" * 1_000 + b"1," + b"b" * 130_000 + b"\n",
        (1_001, 1),
        (("a", "b" * 130_000), [0] * 1_000 + [1]),
    ),
    "csv: a hundred thousand columns": ("csv", b"1.5," * 100_000 + b"x\n", (1, 100_000), (("x",), [0])),
    "csv: labels that end in NUL": ("csv", b"2,a\n3,a\0\n", (2, 1), (("a", "a\0"), [0, 1])),
    "csv: lines in quotes": ("csv", b'"a\nb",c\n1,"x\ny"\n', (1, 1), (("x\ny",), [0])),
    "csv: mixed line ends": ("csv", b"2,x\r3,y\r\n5,x\n", (3, 1), (("x", "y"), [0, 1, 0])),
    "csv: a fraction of 100,000 digits": ("csv", b"2,x\n0." + b"9" * 100_000 + b",y\n", (2, 1), XY),
    "csv: a label of 100,000 digits": (
        "csv",
        b"2,x\n3," + b"9" * 100_000 + b"\n",
        (2, 1),
        (("9" * 100_000, "x"), [1, 0]),
    ),
    "npz: members of one name": (
        "npz",
        with_names("x.npy", "t.npy", "t.npy", members=(X, X, T)),
        (2, 2),
        ((5, 7), [1, 0]),
    ),
    "npz: a name that climbs beside": (
        "npz",
        archive({"x": X, "t": T, "../../evil": X, "/etc/evil": X}),
        (2, 2),
        ((5, 7), [1, 0]),
    ),
    "npz: a bomb that nobody reads": (
        "npz",
        lambda: archive({"x": X, "t": T, "other": bytes(BOMB)}),
        (2, 2),
        ((5, 7), [1, 0]),
    ),
    "npz: words, one of which is long": (
        "npz",
        lambda: words(20_000),
        (1, 1),
        (("a" * 200_000, "b"), [0]),
    ),
}


def outcome(case, folder):
    """Return what is read of a file, None if it is refused, having seen that it takes no more memory than it may."""
    target, content = case
    content = content() if callable(content) else content
    result = fuzz.read(fuzz.TARGETS[target], content, folder)
    path = folder / fuzz.TARGETS[target].name
    tracemalloc.start()
    try:
        with contextlib.suppress(DataFileError):
            fuzz.TARGETS[target].load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Python's objects for a text's cells are many times its size; a packed file may become 500 times its own.
    assert peak < 8_000_000 + (600 if target in ("idx-gz", "csv-gz", "npz") else 150) * len(content)
    assert peak < 64_000_000
    assert list(folder.iterdir()) == [path]
    return result


@pytest.mark.parametrize("kind", REFUSED)
def test_hostile_files_are_refused(kind, tmp_path):
    assert outcome(REFUSED[kind], tmp_path) is None


@pytest.mark.parametrize("kind", READ)
def test_odd_files_are_read(kind, tmp_path):
    target, content, shape, labels = READ[kind]
    result = outcome((target, content), tmp_path)
    assert (result if target == "idx" else result.x).shape == shape
    if target != "idx":
        assert (result.classes, result.t.tolist()) == labels


def test_a_lie_about_the_packed_size_is_refused_or_does_no_harm(tmp_path):
    table = outcome(("npz", central(GOOD_NPZ, 20, "<I", 2**32 - 2)), tmp_path)
    assert table is None or table.x.tolist() == [[1, 2], [3, 4]]  # zipfile reads on up to Python 3.12 and not from 3.13


@pytest.mark.parametrize("cell", ["1", "1.25", "name"])
def test_a_million_columns_are_read_in_time(tmp_path, cell):
    content = f"{cell},".encode() * 1_000_000 + b"x\n"
    if cell == "name":
        content += b"7," * 1_000_000 + b"y\n"
    table = fuzz.read(fuzz.TARGETS["csv"], content, tmp_path)
    assert table.x.shape == (1, 1_000_000)
    assert table.x[0, -1] == (7 if cell == "name" else float(cell))


def test_no_code_of_a_file_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Touch:
        def __reduce__(self):
            return os.mkdir, ("touched",)

    (tmp_path / "files").mkdir()
    data = pickle.dumps(np.array([[Touch(), 1]], dtype=object))
    objects = npy((1, 2), data, "|O")
    path = tmp_path / "control.npy"
    path.write_bytes(objects)
    np.load(path, allow_pickle=True)
    Path("touched").rmdir()  # the file does run code where it is let
    calls = npy_of(b"__import__('os').mkdir('touched')")
    for target in fuzz.TARGETS:
        for content in (
            data,
            objects,
            calls,
            gzip.compress(data),
            archive({"x": objects, "t": objects}),
            archive({"x": calls, "t": T}),
        ):
            assert fuzz.read(fuzz.TARGETS[target], content, tmp_path / "files") is None
    assert not Path("touched").exists()
