import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from portable_nn.datasets import load_features, load_table
from portable_nn.errors import DataFileError


def npy(header, payload=b"", version=1):
    """Return a .npy file as NEP 1 describes it."""
    text = header.encode() if isinstance(header, str) else header
    counter = "<H" if version == 1 else "<I"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(counter, len(text)) + text + payload


def described(shape, descr="<f4", fortran=False):
    return f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


FOUR = struct.pack("<4f", 1, 2, 3, 4)


def archive(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return stream.getvalue()


GOOD = {
    "format 1": npy(described((2, 2)), FOUR),
    "format 2": npy(described((2, 2)), FOUR, version=2),
    "format 3": npy(described((2, 2)), FOUR, version=3),
    "column-major": npy(described((2, 2), fortran=True), struct.pack("<4f", 1, 3, 2, 4)),
    "big-endian": npy(described((2, 2), ">f4"), struct.pack(">4f", 1, 2, 3, 4)),
    "float16": npy(described((2, 2), "<f2"), struct.pack("<4e", 1, 2, 3, 4)),
    "int64": npy(described((2, 2), "<i8"), struct.pack("<4q", 1, 2, 3, 4)),
    "uint8": npy(described((2, 2), "|u1"), bytes([1, 2, 3, 4])),
    "more dimensions": npy(described((2, 1, 2, 1)), FOUR),
    "other spacing": npy('{"shape":(2,2),"descr":"<f4","fortran_order":False}', FOUR),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_the_format_allows(tmp_path, case):
    path = tmp_path / "x.npy"
    path.write_bytes(GOOD[case])
    np.testing.assert_array_equal(np.load(path).reshape(2, 2), [[1, 2], [3, 4]])
    x = load_features(path, 2)
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    assert x.tolist() == [[1, 2], [3, 4]]


def test_what_numpy_writes(tmp_path):
    values = np.arange(12, dtype=np.float64).reshape(3, 4)
    for array in (values, values.astype(">i2"), np.asfortranarray(values), values[:, ::-1] > 4):
        np.save(tmp_path / "x.npy", array)
        np.testing.assert_array_equal(load_features(tmp_path / "x.npy", 4), array.astype(np.float32))


DAMAGE = {
    "empty": (b"", "needed 8 more bytes of header, got 0"),
    "not npy": (b"x,y,z\n1,2,3\n", "needed an array in npy format 1, 2 or 3, got a file that begins b'x,y,z"),
    "format 4": (npy(described((2, 2)), FOUR, version=4), "needed an array in npy format 1, 2 or 3"),
    "cut header": (npy(described((2, 2)))[:30], "more bytes of header"),
    "long header": (npy(" " * 10_001 + described((2, 2)), FOUR), "needed a header of at most 10000 bytes"),
    "no header": (npy("", FOUR), "needed a header in npy format"),
    "header that computes": (npy(described("(1+1, 2)"), FOUR), "needed a header in npy format"),
    "header that calls": (npy("__import__('os').getcwd()", FOUR), "needed a header in npy format"),
    "deep header": (npy("(" * 9_000, FOUR), "needed a header in npy format"),
    "binary header": (npy(bytes(range(128, 256)), FOUR), "needed a header in npy format"),
    "other header": (npy("[1, 2]", FOUR), "needed one plain dtype and a shape in the header, got b'\\[1, 2\\]'"),
    "negative side": (npy(described((-2, -2)), FOUR), "needed one plain dtype and a shape"),
    "fractional side": (npy(described((2.0, 2)), FOUR), "needed one plain dtype and a shape"),
    "truth as side": (npy(described("(True, 4)"), FOUR), "needed one plain dtype and a shape"),
    "records": (npy(described((2, 2)).replace("'<f4'", "[('a', '<f4')]"), FOUR), "needed one plain dtype and a shape"),
    "objects": (npy(described((2, 2), "|O"), b"cos\nsystem\n."), "needed numbers or text, got Python objects"),
    "dates": (npy(described((2, 2), "<M8[s]"), FOUR * 2), "needed an array of numbers or text, got dtype '<M8"),
    "unknown size": (npy(described((2, 2), "<f3"), FOUR), "needed a dtype of NumPy, got '<f3'"),
    "complex": (npy(described((1, 2), "<c8"), FOUR), "needed an array of numbers or text, got dtype '<c8'"),
    "no characters": (npy(described((1, 1), "<U1"), b"\xff\xff\xff\x7f"), "numbers that are no characters"),
    "text as features": (npy(described((1, 1), "<U1"), b"a\0\0\0"), "needed numbers of shape .N, features., got <U1"),
    "short": (npy(described((2, 2)), FOUR[:-1]), "needed 16 bytes of data.*got 15"),
    "long": (npy(described((2, 2)), FOUR + b"\0"), "needed 16 bytes of data.*got 17"),
    "huge claim": (npy(described((2**40, 2)), FOUR), "needed 8796093022208 bytes of data.*got 16"),
    "too many dimensions": (npy(described((1,) * 65), FOUR[:4]), "needed a shape that an array can have"),
    "one dimension": (npy(described((4,)), FOUR), "needed numbers of shape .N, features."),
    "no features": (npy(described((4, 0))), "needed numbers of shape .N, features."),
    "not a number": (
        npy(described((2, 2)), FOUR[:12] + struct.pack("<f", float("nan"))),
        "row 1, column 1: needed a fin",
    ),
    "other width": (npy(described((1, 4)), FOUR), "needed samples of 2 features, got 4"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("packed", [False, True])
def test_damage_is_one_error_that_names_the_file(tmp_path, damage, packed):
    data, message = DAMAGE[damage]
    path = tmp_path / ("x.npz" if packed else "x.npy")
    path.write_bytes(archive(x=data) if packed else data)
    with pytest.raises(DataFileError, match=message) as caught:
        load_features(path, 2)
    assert str(caught.value).startswith(str(path))


def test_pickled_objects_are_refused_unread(tmp_path):
    touched = tmp_path / "touched"

    class Touch:
        def __reduce__(self):
            return (open, (str(touched), "w"))

    objects = np.array([[Touch(), Touch()]], dtype=object)
    np.save(tmp_path / "x.npy", objects)
    np.savez(tmp_path / "x.npz", x=objects, t=np.array([0]))
    for load in (lambda: load_features(tmp_path / "x.npy", 2), lambda: load_table(tmp_path / "x.npz")):
        with pytest.raises(DataFileError, match="pickled code"):
            load()
    assert not touched.exists()


@pytest.mark.parametrize("method", ["npy", "stored", "deflated"])
def test_a_claim_of_a_gigabyte_costs_no_memory(tmp_path, method):
    data = npy(described((2**28, 1)), b"few")
    path = tmp_path / ("x.npy" if method == "npy" else "x.npz")
    if method == "npy":
        path.write_bytes(data)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if method == "deflated" else zipfile.ZIP_STORED) as file:
            file.writestr("x.npy", data)
    tracemalloc.start()
    try:
        with pytest.raises(DataFileError, match=r"needed 1073741824 bytes of data.*got 3"):
            load_features(path, 1)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.fixture
def npz(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(archive(x=npy(described((2, 2)), FOUR), t=npy(described((2,), "<i8"), struct.pack("<2q", 0, 1))))
    return path


def test_every_single_flipped_bit_of_the_data_is_found(npz):
    good = npz.read_bytes()
    start = good.index(FOUR)
    for place in range(start, start + len(FOUR)):
        npz.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(DataFileError, match="needed a whole npz file, got: Bad CRC-32"):
            load_table(npz)


@pytest.mark.parametrize("length", [0, 10, 100, -1, -30])
def test_a_cut_archive(npz, length):
    npz.write_bytes(npz.read_bytes()[:length])
    with pytest.raises(DataFileError, match=r"x.npz: needed a whole npz file, got: .*zip"):
        load_table(npz)


def test_an_archive_packed_in_another_way(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("x.npy", GOOD["format 1"])
    with pytest.raises(DataFileError, match=r"needed an npz file as NumPy writes it, got x.npy packed otherwise"):
        load_features(path, 2)


@pytest.mark.parametrize("name", ["gone.npz", "gone.npy"])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(DataFileError, match=f"{name}: needed a file, found none"):
        load_features(tmp_path / name, 2)
