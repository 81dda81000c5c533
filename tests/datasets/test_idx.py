import gzip
import hashlib
import struct
import tracemalloc

import numpy as np
import pytest

from portable_nn.datasets import load_idx, read_idx
from portable_nn.errors import DataFileError


@pytest.mark.parametrize(
    ("code", "letter", "dtype", "values"),
    [
        (0x08, "B", np.uint8, [0, 1, 127, 128, 255, 7]),
        (0x09, "b", np.int8, [0, 1, 127, -128, -1, 7]),
        (0x0B, "h", np.int16, [0, 1, 256, -32768, 32767, 7]),
        (0x0C, "i", np.int32, [0, 1, 65536, -(2**31), 2**31 - 1, 7]),
        (0x0D, "f", np.float32, [0.0, 1.5, -2.25, 3e38, -1e-30, 7.0]),
        (0x0E, "d", np.float64, [0.0, 1.5, -2.25, 1e300, -1e-300, 7.0]),
    ],
)
@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 6, 1), (1, 2, 1, 3)])
@pytest.mark.parametrize("packed", [False, True])
def test_every_type_and_number_of_dimensions(tmp_path, idx_file, code, letter, dtype, values, shape, packed):
    data = idx_file(shape, struct.pack(f">6{letter}", *values), code)
    path = tmp_path / ("file.gz" if packed else "file")
    path.write_bytes(gzip.compress(data) if packed else data)
    array = read_idx(path)
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative
    assert array.shape == shape
    assert array.flags.writeable
    np.testing.assert_array_equal(array.ravel(), np.array(values, dtype=dtype))


def test_a_file_without_elements_is_an_array_without_elements(tmp_path, idx_file):
    path = tmp_path / "none"
    path.write_bytes(idx_file((0, 28, 28)))
    assert read_idx(str(path)).shape == (0, 28, 28)


DAMAGE = {
    "empty file": ("a", lambda good: b"", "needed 4 more bytes of header, got 0"),
    "short magic": ("a", lambda good: good[:3], "needed 4 more bytes of header, got 3"),
    "short dimensions": ("a", lambda good: good[:10], "needed 12 more bytes of header, got 6"),
    "not zeros first": ("a", lambda good: b"\x01" + good[1:], "needed an IDX file.*got 01 00 08 03"),
    "unknown type": ("a", lambda good: good[:2] + b"\x0a" + good[3:], "type code.*got 00 00 0a 03"),
    "packed, but not so named": ("a", gzip.compress, "needed an IDX file.*got 1f 8b 08"),
    "one byte short": ("a", lambda good: good[:-1], r"needed 24 bytes of data for shape \(3, 2, 4\) of uint8, got 23"),
    "one byte too many": ("a", lambda good: good + b"\0", "needed 24 bytes of data.*got 25"),
    "huge claim": (
        "a",
        lambda good: good[:4] + b"\xff" * 12 + good[16:],
        "needed 79228162458924105385300197375 bytes.*24",
    ),
    "no elements, huge sides": ("a", lambda good: good[:4] + b"\0" * 4 + b"\xff" * 8, "a shape that an array can have"),
    "too many dimensions": (
        "a",
        lambda good: good[:3] + b"\xff" + b"\0\0\0\1" * 255 + b"\0",
        "shape that an array can",
    ),
    "empty gz": ("a.gz", lambda good: b"", "needed 4 more bytes of header, got 0"),
    "not a gz": ("a.gz", lambda good: good, "needed a whole gzip file, got: Not a gzipped file"),
    "cut gz": ("a.gz", lambda good: gzip.compress(good)[:-9], "needed a whole gzip file, got: .*ended before"),
    "gz without its checksum": ("a.gz", lambda good: gzip.compress(good)[:-8], "needed a whole gzip file"),
    "gz of false checksum": (
        "a.gz",
        lambda good: gzip.compress(good)[:-8] + b"\0" * 4 + gzip.compress(good)[-4:],
        "needed a whole gzip file, got: CRC check failed",
    ),
    "gz of damaged data": (
        "a.gz",
        lambda good: gzip.compress(good)[:10] + b"\x07" + gzip.compress(good)[11:],
        "needed a whole gzip file",
    ),
    "gz and more": ("a.gz", lambda good: gzip.compress(good) + b"more", "needed a whole gzip file, got: Not a gzipped"),
    "short data in gz": ("a.gz", lambda good: gzip.compress(good[:-5]), "needed 24 bytes of data.*got 19"),
    "more data in gz": ("a.gz", lambda good: gzip.compress(good + b"\0"), "needed 24 bytes of data.*got more"),
    "huge claim in gz": (
        "a.gz",
        lambda good: gzip.compress(good[:4] + b"\xff" * 12 + good[16:]),
        "needed 79228162458924105385300197375 bytes.*got 24",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_error_that_names_the_file(tmp_path, idx_file, damage):
    name, spoiled, message = DAMAGE[damage]
    path = tmp_path / name
    path.write_bytes(spoiled(idx_file((3, 2, 4))))
    with pytest.raises(DataFileError, match=message) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("name", ["gone", "gone.gz"])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(DataFileError, match=f"{name}: needed a file, found none"):
        read_idx(tmp_path / name)


def test_a_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(DataFileError, match=r"needed a readable file, got: .*directory"):
        read_idx(tmp_path)


@pytest.mark.parametrize("name", ["claim", "claim.gz"])
def test_a_claim_of_a_gigabyte_costs_no_memory(tmp_path, idx_file, name):
    data = idx_file((1 << 30,), b"few")
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    tracemalloc.start()
    try:
        with pytest.raises(DataFileError, match="needed 1073741824 bytes"):
            read_idx(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_by_default_flat_float32_and_labels(folder):
    (x, t), (x2, t2) = load_idx(folder)
    np.testing.assert_array_equal(x, np.arange(24, dtype=np.float32).reshape(3, 8) / np.float32(255))
    np.testing.assert_array_equal(x2, np.array([[1.0] * 8, [0.2] * 8], dtype=np.float32))
    assert x.dtype == x2.dtype == np.float32
    assert t.tolist() == [1, 0, 4]
    assert t2.tolist() == [2, 1]
    assert t.dtype == t2.dtype == np.int64


def test_images_as_stored(folder):
    (x, _), (x2, _) = load_idx(str(folder), normalize=False, flatten=False)
    assert x.dtype == x2.dtype == np.uint8
    np.testing.assert_array_equal(x, np.arange(24).reshape(3, 1, 2, 4))
    assert x2.shape == (2, 1, 2, 4)


def test_one_hot_has_the_classes_of_both_parts(folder):
    (_, t), (_, t2) = load_idx(folder, one_hot=True)
    assert t.dtype == t2.dtype == np.float32
    assert t.tolist() == [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert t2.tolist() == [[0, 0, 1, 0, 0], [0, 1, 0, 0, 0]]


def test_a_dot_instead_of_the_hyphen(folder):
    for path in list(folder.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    (x, t), (x2, t2) = load_idx(folder)
    assert (x.shape, t.shape, x2.shape, t2.shape) == ((3, 8), (3,), (2, 8), (2,))


def test_no_samples_at_all(tmp_path, idx_file):
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx_file((0, 2, 4)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_file((0,)))
    (x, t), _ = load_idx(tmp_path)
    assert (x.shape, t.shape) == ((0, 8), (0,))


def test_a_missing_part_names_what_was_looked_for(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataFileError) as caught:
        load_idx(folder)
    for words in (str(folder), "t10k-labels-idx1-ubyte,", "t10k-labels-idx1-ubyte.gz", "t10k-labels.idx1-ubyte.gz"):
        assert words in str(caught.value)


def test_a_missing_folder(tmp_path):
    with pytest.raises(DataFileError, match=r"nowhere: needed one of the files train-images.*there is no such folder"):
        load_idx(tmp_path / "nowhere")


MISFITS = {
    "fewer labels": ("train-labels-idx1-ubyte", (2,), 0x08, "needed 3 labels, one an image, got 2"),
    "more labels": ("train-labels-idx1-ubyte", (4,), 0x08, "needed 3 labels, one an image, got 4"),
    "labels of two dimensions": ("train-labels-idx1-ubyte", (3, 1), 0x08, "needed uint8 of 1 dimensions, got uint8"),
    "labels of int8": ("train-labels-idx1-ubyte", (3,), 0x09, "needed uint8 of 1 dimensions, got int8"),
    "images of two dimensions": ("train-images-idx3-ubyte", (3, 8), 0x08, "needed uint8 of 3 dimensions, got uint8"),
    "images of int8": ("train-images-idx3-ubyte", (3, 2, 4), 0x09, "needed uint8 of 3 dimensions, got int8"),
    "images of another size": ("train-images-idx3-ubyte", (3, 4, 2), 0x08, "images of one size, got .4, 2. and .2, 4."),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_parts_that_do_not_belong_together(folder, idx_file, misfit):
    name, shape, code, message = MISFITS[misfit]
    (folder / name).write_bytes(idx_file(shape, code=code))
    with pytest.raises(DataFileError, match=message) as caught:
        load_idx(folder)
    assert str(folder) in str(caught.value)


SUMS = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def test_the_real_mnist(mnist_folder):
    for name, digest in SUMS.items():
        assert hashlib.sha256((mnist_folder / name).read_bytes()).hexdigest() == digest
    (x, t), (x2, t2) = load_idx(mnist_folder)
    assert (x.shape, t.shape, x2.shape, t2.shape) == ((60000, 784), (60000,), (10000, 784), (10000,))
    assert (x.dtype, t.dtype) == (np.float32, np.int64)
    assert t[:5].tolist() == [5, 0, 4, 1, 9]
    assert t2[:5].tolist() == [7, 2, 1, 0, 4]
    # The counts of the classes as published with the data set.
    assert np.bincount(t).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(t2).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)
    # The mean and deviation that every tutorial normalises with.
    assert float(x.mean(dtype=np.float64)) == pytest.approx(0.1307, abs=5e-5)
    assert float(x.std(dtype=np.float64)) == pytest.approx(0.3081, abs=5e-5)
