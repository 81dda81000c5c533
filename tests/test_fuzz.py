"""The readers of files given what hypothesis invents: an error of ours or a whole result, soon, in little memory.

ci/fuzz.py has the targets, and gives them to atheris.
"""

import copy
import gzip
import importlib.util
import json
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SPEC = importlib.util.spec_from_file_location("fuzz", Path(__file__).parents[1] / "ci" / "fuzz.py")
fuzz = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fuzz)

EXAMPLES = os.environ.get("PORTABLE_NN_EXAMPLES")
# Without the variable always the same ones: a test must not fail for what somebody else has changed.
invented = settings(max_examples=int(EXAMPLES or 60), deadline=None, derandomize=EXAMPLES is None, database=None)

EDGES = [0, 1, 2, 3, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
FORMS = {1: "B", 2: "<H", 3: ">H", 4: "<I", 5: ">I", 6: "<Q"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def check(name, content, folder):
    tracemalloc.start()
    try:
        result = fuzz.read(fuzz.TARGETS[name], content, folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000 + 600 * len(content)
    return result


@st.composite
def changed(draw, seeds):
    """Return a good file in which some places have been changed."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        place, kind = draw(st.integers(0, len(content))), draw(st.integers(0, 8))
        if kind == 0:
            del content[place : place + draw(st.integers(1, 16))]
        elif kind in FORMS:
            number = struct.pack(FORMS[kind], draw(st.sampled_from(EDGES)) % 256 ** struct.calcsize(FORMS[kind]))
            content[place : place + len(number)] = number
        elif kind == 7:
            content[place:place] = draw(st.binary(min_size=1, max_size=16))
        else:
            content[place:place] = content[draw(st.integers(0, len(content))) :][: draw(st.integers(1, 64))]
    return bytes(content)


SMALL = st.binary(max_size=64)
SIDES = st.sampled_from([0, 1, 2, 3, 8, 2**16, 2**31 - 1, 2**32 - 1])


@st.composite
def idx_files(draw):
    code, sides = (
        draw(st.sampled_from([8, 9, 10, 11, 12, 13, 14, 255])),
        draw(st.lists(SIDES, max_size=4) | st.just([1] * 70)),
    )
    ndim = draw(st.sampled_from([len(sides), 0, 255]))
    return struct.pack(f">HBB{len(sides)}I", 0, code, ndim, *sides) + draw(SMALL)


@st.composite
def npy_files(draw):
    kind = draw(
        st.sampled_from(
            [
                "f2",
                "f4",
                "f8",
                "f16",
                "i1",
                "u8",
                "b1",
                "c8",
                "U1",
                "U0",
                "U999999999",
                "S4",
                "O",
                "V4",
                "M8[s]",
                "f3",
                "",
            ]
        )
    )
    descr = draw(st.sampled_from(["<", ">", "|", "="])) + kind
    side = st.sampled_from([*EDGES, -1, -(2**63), True, 2.0, None, 10**400])
    shape = draw(st.sampled_from([(2, 2), (2, 1), (2,), (1, 2), (), (1,) * 65]) | st.lists(side, max_size=5).map(tuple))
    data = draw(SMALL | st.sampled_from([0, 2, 4, 8, 16, 32]).map(bytes) | st.just(b"\xff" * 16))
    return fuzz.npy(shape, data, descr, draw(st.sampled_from([False, True, 0, None])))


CELLS = [
    "",
    "0",
    "1",
    "-1.5",
    "1e38",
    "1e39",
    "1e999",
    "nan",
    "-inf",
    "9" * 30,
    "1_0",
    "٣",
    "a",
    "a\0",
    "é",
    '"',
    '""',
    '"x"',
    '"\n"',
    " ",
    "NA",
]


@st.composite
def csv_files(draw):
    width, delimiter = draw(st.integers(1, 4)), draw(st.sampled_from([",", ";", "\t", ", "]))
    cell = st.sampled_from(CELLS) | st.text(max_size=4) | st.floats().map(repr) | st.integers(-9, 9).map(str)
    rows = draw(st.lists(st.lists(cell, min_size=width, max_size=width), max_size=6))
    text = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"])).join(delimiter.join(row) for row in rows)
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])), "surrogatepass")


def places(tree, here=()):
    """Yield the keys that lead to each part of a tree of JSON."""
    yield here
    if isinstance(tree, dict | list):
        for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from places(part, (*here, key))


PARTS = [
    None,
    True,
    -1,
    0,
    1,
    3,
    2**31,
    2**63,
    10**12,
    10**30,
    1.5,
    1e308,
    "",
    "x",
    "../../evil",
    "0.W",
    "Affine",
    "float16",
    [],
    [0],
    {},
    {"a": 1},
]


@st.composite
def network_files(draw):
    """Return a network in version 1 of the format, which has no checksum, with changes in its description."""
    content = fuzz.VERSION_1.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    tree = [json.loads(header["__metadata__"]["portable_nn"])]
    for _ in range(draw(st.integers(1, 2))):
        *way, key = draw(st.sampled_from([place for place in places(tree) if len(place) > 1]))
        part = tree
        for step in way:
            part = part[step]
        if draw(st.integers(0, 4)):
            part[key] = copy.deepcopy(draw(st.sampled_from(PARTS)))
        else:
            del part[key]
    header["__metadata__"]["portable_nn"] = json.dumps(tree[0])
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


MEMBERS = st.lists(npy_files() | changed(fuzz.TARGETS["npy"].seeds()), min_size=1, max_size=4)
STRUCTURED = {
    "idx": idx_files(),
    "idx-gz": idx_files().map(gzip.compress),
    "csv": csv_files(),
    "csv-gz": csv_files().map(gzip.compress),
    "csv-features": csv_files(),
    "npy": npy_files(),
    "npz": MEMBERS.map(
        lambda members: fuzz.archive(dict(zip(fuzz.MEMBERS, members, strict=False)), zipfile.ZIP_STORED)
    ),
    "npz-members": MEMBERS.map(fuzz.BETWEEN_MEMBERS.join),
    "network": network_files(),
}


def test_every_target_reads_its_good_files(folder):
    assert STRUCTURED.keys() == fuzz.TARGETS.keys()
    for name, target in fuzz.TARGETS.items():
        assert all(check(name, seed, folder) is not None for seed in target.seeds())


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_any_bytes(name, folder):
    seeds = fuzz.TARGETS[name].seeds()

    @invented
    @given(st.binary(max_size=200) | changed(seeds) | changed(seeds))
    def run(content):
        check(name, content, folder)

    run()


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_files_of_the_right_form(name, folder):
    @invented
    @given(STRUCTURED[name])
    def run(content):
        check(name, content, folder)

    run()
