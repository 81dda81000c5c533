"""Feed one reader of files with bytes that atheris invents, until it fails or the time is over.

Usage: python ci/fuzz.py TARGET [--seconds 60] [--finds FOLDER]

`python ci/fuzz.py --list` names the targets. What makes a reader fail is kept in FOLDER, and
`python ci/fuzz.py TARGET FILE...` tries such files again, without atheris.
tests/test_fuzz.py gives the same targets to hypothesis.
"""

import argparse
import contextlib
import gzip
import importlib.util
import io
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

if __name__ == "__main__" and importlib.util.find_spec("atheris"):
    import atheris

    watched = atheris.instrument_imports(include=["portable_nn"])
else:
    watched = contextlib.nullcontext()

with watched:
    import portable_nn as pnn
    from portable_nn.datasets import Table, load_features, load_table, read_idx
    from portable_nn.errors import CheckpointError, DataFileError

__all__ = ["TARGETS", "Target", "archive", "npy", "read"]

SECONDS = 1.0
"""The processor time that a reader may take for a small file, once in two tries."""

MEMBERS = ("x", "t", "x_test", "t_test")
BETWEEN_MEMBERS = b"\0\0next member\0\0"
VERSION_1 = Path(__file__).parents[1] / "tests" / "data" / "network-version-1.safetensors"


class Target(NamedTuple):
    """A reader: the name that its files need, what reads one and sees that the result is whole, and some good files.

    What is invented is the content that `file` makes a file of: mostly the file itself.
    """

    name: str
    load: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]
    file: Callable[[bytes], bytes] = bytes


def read(target: Target, content: bytes, folder: Path) -> Any:
    """Return what `target` reads from `content`, None if it refuses, having seen that it does so in time."""
    path = folder / target.name
    path.write_bytes(target.file(content))
    result, taken = _load(target, path)
    if taken >= SECONDS:  # the collector of garbage may have come between: what is slow is slow again
        result, taken = _load(target, path)
    assert taken < SECONDS, f"{target.name}: {taken:.1f} s for {len(content)} bytes"
    return result


def _load(target: Target, path: Path) -> tuple[object, float]:
    """Return what a target reads from a file (None if it refuses), and the processor time of this thread for it."""
    begin = time.thread_time()
    try:
        result = target.load(path)
    except (DataFileError, CheckpointError):
        result = None
    return result, time.thread_time() - begin


def _idx(path: Path) -> object:
    array = read_idx(path)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    assert array.dtype.isnative
    assert content[3] == array.ndim
    assert struct.unpack(f">{array.ndim}I", content[4 : 4 + 4 * array.ndim]) == array.shape
    assert (
        array.tobytes()
        == np.frombuffer(content, array.dtype.newbyteorder(">"), offset=4 + 4 * array.ndim)
        .astype(array.dtype)
        .tobytes()
    )
    return array


def _features(path: Path) -> object:
    x = load_features(path, 2)
    assert x.dtype == np.float32
    assert x.ndim == 2
    assert x.shape[1] == 2
    assert np.isfinite(x).all()
    return x


def _table(path: Path) -> object:
    table = load_table(path)
    _check_samples(table, table.x, table.t)
    assert len(table.features) == table.x.shape[1]
    assert (table.x_test is None) == (table.t_test is None)
    if table.x_test is not None and table.t_test is not None:
        _check_samples(table, table.x_test, table.t_test)
        assert table.x_test.shape[1] == table.x.shape[1]
    return table


def _check_samples(table: Table, x: Any, t: Any) -> None:
    assert x.dtype == np.float32
    assert x.ndim == 2
    assert len(x)
    assert np.isfinite(x).all()
    if table.classes is None:
        assert t.dtype == np.float32
        assert t.shape == (len(x), 1)
        assert np.isfinite(t).all()
    else:
        assert t.dtype == np.int64
        assert t.shape == (len(x),)
        assert t.min() >= 0
        assert t.max() < len(table.classes)
        assert list(table.classes) == sorted(set(table.classes))


def _network(path: Path) -> object:
    network = pnn.load(path)
    network.save(path)
    again = pnn.load(path)
    assert repr(again) == repr(network)
    for name, array in network.parameters.items():
        assert again.parameters[name].tobytes() == array.tobytes()
    return network


def npy(shape: object, data: bytes, descr: object = "<f4", fortran: object = False) -> bytes:
    """Return a .npy file in format 1, as NEP 1 describes it."""
    text = repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a .npz file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), data, method)
    return stream.getvalue()


def _idx_seeds() -> list[bytes]:
    kinds = ((0x08, "B"), (0x09, "b"), (0x0B, "h"), (0x0C, "i"), (0x0D, "f"), (0x0E, "d"))
    return [struct.pack(f">HBB2I6{letter}", 0, code, 2, 2, 3, *range(6)) for code, letter in kinds]


def _csv_seeds() -> list[bytes]:
    return [
        b"a,b,c\n1,2,x\n3.5,-4e3,y\n",
        b"1;2\n3;4\n",
        b'\xef\xbb\xbf"a"\t"b"\r\n0\t"1"\r\n',
        "größe,t\n1,é\n".encode(),
    ]


def _npy_seeds() -> list[bytes]:
    values = (1.0, 2.0, 3.0, 4.0)
    kinds = (("<f4", "<4f"), (">f8", ">4d"), ("|u1", "4B"), ("<i8", "<4q"), ("<f2", "<4e"), ("|b1", "4?"))
    plain = [
        npy((2, 2), struct.pack(form, *(values if form[-1] in "fde" else map(int, values))), descr)
        for descr, form in kinds
    ]
    return [*plain, npy((2, 1, 2), struct.pack("<4f", *values), fortran=True)]


def _member_seeds() -> list[bytes]:
    x, numbers = npy((2, 2), struct.pack("<4f", 1, 2, 3, 4)), npy((2,), struct.pack("<2d", 0.5, 1), "<f8")
    labels, words = npy((2, 1), bytes((0, 1)), "|u1"), npy((2,), "ab".encode("utf-32-le"), "<U1")
    return [BETWEEN_MEMBERS.join(parts) for parts in ((x, labels), (x, numbers), (x, words, x, words))]


def _archive_of(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    return archive(dict(zip(MEMBERS, content.split(BETWEEN_MEMBERS), strict=False)), method)


def _npz_seeds() -> list[bytes]:
    return [
        _archive_of(seed, method) for seed in _member_seeds() for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    ]


def _network_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network")
        pnn.Sequential(pnn.Affine(2, 1), pnn.ReLU(), loss=pnn.MeanSquaredError(), seed=0).save(path)
        return [VERSION_1.read_bytes(), path.read_bytes()]


def _packed(seeds: Callable[[], list[bytes]]) -> Callable[[], list[bytes]]:
    return lambda: [gzip.compress(seed, mtime=0) for seed in seeds()]


TARGETS = {
    "idx": Target("images-idx2-ubyte", _idx, _idx_seeds),
    "idx-gz": Target("images-idx2-ubyte.gz", _idx, _packed(_idx_seeds)),
    "csv": Target("table.csv", _table, _csv_seeds),
    "csv-gz": Target("table.csv.gz", _table, _packed(_csv_seeds)),
    "csv-features": Target("table.csv", _features, lambda: _csv_seeds()[:2]),
    "npy": Target("array.npy", _features, _npy_seeds),
    "npz": Target("table.npz", _table, _npz_seeds),
    "npz-members": Target("table.npz", _table, _member_seeds, _archive_of),
    "network": Target("network", _network, _network_seeds),
}


def main() -> None:
    """Fuzz the target that the command line names."""
    parser = argparse.ArgumentParser(description="Fuzz one reader of files.")
    parser.add_argument("--list", action="version", version="\n".join(TARGETS), help="name the targets")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("files", nargs="*", type=Path, help="try these and no others")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--finds", type=Path, default=Path(), help="where to keep what makes the reader fail (here)")
    options = parser.parse_args()
    target = TARGETS[options.target]
    with tempfile.TemporaryDirectory() as scratch:
        folder, corpus = Path(scratch), Path(scratch, "corpus")
        if options.files:
            for path in options.files:
                print(path, "refused" if read(target, path.read_bytes(), folder) is None else "read")
            return
        if not importlib.util.find_spec("atheris"):
            sys.exit("ci/fuzz.py needs the package atheris, which is not installed: python -m pip install atheris")
        corpus.mkdir()
        for number, seed in enumerate(target.seeds()):
            (corpus / f"seed-{number}").write_bytes(seed)
        flags = [
            f"-max_total_time={options.seconds}",
            f"-artifact_prefix={options.finds.resolve()}/{options.target}-",
            "-max_len=4096",
            "-timeout=5",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *flags, str(corpus)], lambda content: read(target, content, folder))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
