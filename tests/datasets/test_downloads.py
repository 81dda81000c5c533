import gzip
import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import tqdm

from portable_nn.datasets import downloads, load_fashion_mnist, load_mnist
from portable_nn.errors import DataFileError, MissingExtraError


class Mirrors:
    """A server on this machine; the first part of an address is the name of a mirror."""

    def __init__(self):
        self.files = {}
        self.asked = []
        mirrors = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirrors.asked.append(self.path)
                body = mirrors.files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def url(self, mirror):
        return f"http://127.0.0.1:{self.server.server_port}/{mirror}/"

    def serve(self, mirror, files):
        self.files.update({f"/{mirror}/{name}": body for name, body in files.items()})

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def mirrors(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    server = Mirrors()
    yield server
    server.close()


@pytest.fixture
def packed(four_files):
    return {f"{name}.gz": gzip.compress(data) for name, data in four_files.items()}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)  # a progress bar's thread would outlive the test
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "portable_nn" / "mnist"


@pytest.fixture
def source(mirrors, packed, cache, monkeypatch):
    """Put a data set with the mirrors one and two in the place of MNIST, the cache being empty; two serves it."""
    mirrors.serve("two", packed)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in packed.items()}
    source = downloads.Source("mnist", (mirrors.url("one"), mirrors.url("two")), sums)
    monkeypatch.setattr(downloads, "MNIST", source)
    return source


def check_loaded():
    (x, t), (x2, t2) = load_mnist()
    np.testing.assert_array_equal(x, np.arange(24, dtype=np.float32).reshape(3, 8) / np.float32(255))
    assert x2.shape == (2, 8)
    assert t.tolist() == [1, 0, 4]
    assert t2.tolist() == [2, 1]


@pytest.mark.usefixtures("source")
def test_the_first_mirror_is_enough_and_is_asked_once(mirrors, packed, cache):
    mirrors.serve("one", packed)
    check_loaded()
    assert sorted(mirrors.asked) == sorted(f"/one/{name}" for name in packed)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == packed
    mirrors.files.clear()
    check_loaded()
    assert len(mirrors.asked) == 4


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("served", ["nothing", "damaged", "cut", "a page"])
def test_the_second_mirror_where_the_first_fails(mirrors, packed, served):
    bad = {
        "damaged": {name: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:] for name, data in packed.items()},
        "cut": {name: data[:-1] for name, data in packed.items()},
        "a page": dict.fromkeys(packed, b"<html>sign in first</html>"),
        "nothing": {},
    }
    mirrors.serve("one", bad[served])
    check_loaded()
    assert sorted(mirrors.asked) == sorted(f"/{mirror}/{name}" for mirror in ("one", "two") for name in packed)


def test_the_second_mirror_where_the_first_is_not_there(source, monkeypatch):
    closed = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    closed.server_close()
    address = f"http://127.0.0.1:{closed.server_port}/"
    monkeypatch.setattr(downloads, "MNIST", downloads.Source("mnist", (address, source.mirrors[1]), source.sha256))
    check_loaded()


@pytest.mark.usefixtures("source")
def test_a_file_damaged_in_the_cache_is_fetched_again(mirrors, cache):
    check_loaded()
    (cache / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    mirrors.asked.clear()
    check_loaded()
    assert mirrors.asked == ["/one/t10k-labels-idx1-ubyte.gz", "/two/t10k-labels-idx1-ubyte.gz"]


def test_no_mirror_has_the_right_bytes(mirrors, packed, cache, source):
    damaged = {name: data + b"\0" for name, data in packed.items()}
    mirrors.serve("one", damaged)
    mirrors.serve("two", damaged)
    with pytest.raises(DataFileError, match=r"train-images-idx3-ubyte.gz: needed it from one of the mirrors") as caught:
        load_mnist()
    for words in (*source.mirrors, "hash", 'load_mnist("folder")'):
        assert words in str(caught.value)
    assert not any(cache.iterdir())


def test_no_mirror_answers(mirrors, source):
    mirrors.files.clear()
    with pytest.raises(DataFileError, match="404") as caught:
        load_mnist()
    for mirror in source.mirrors:
        assert mirror in str(caught.value)


def test_without_pooch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"downloading mnist needs the package pooch.*portable-nn\[data\]"):
        load_mnist()
    with pytest.raises(MissingExtraError, match="downloading fashion_mnist"):
        load_fashion_mnist()


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist])
def test_a_folder_needs_no_download(folder, monkeypatch, load):
    monkeypatch.setitem(sys.modules, "pooch", None)
    (x, t), (x2, t2) = load(folder, normalize=False, flatten=False, one_hot=True)
    assert (x.shape, t.shape, x2.shape, t2.shape) == ((3, 1, 2, 4), (3, 5), (2, 1, 2, 4), (2, 5))
    assert x.dtype == np.uint8
    (x, t), _ = load(str(folder))
    assert (x.shape, x.dtype, t.dtype) == ((3, 8), np.float32, np.int64)
    with pytest.raises(DataFileError, match="nowhere"):
        load(folder / "nowhere")


@pytest.mark.parametrize("source", [downloads.MNIST, downloads.FASHION_MNIST], ids=lambda source: source.name)
def test_a_source_is_whole(source):
    assert len(source.mirrors) > 1
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in source.mirrors)
    assert sorted(source.sha256) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    assert all(len(bytes.fromhex(digest)) == 32 for digest in source.sha256.values())


def test_the_sums_of_mnist_are_those_of_the_real_files(mnist_folder: Path):
    for name, digest in downloads.MNIST.sha256.items():
        assert hashlib.sha256((mnist_folder / name).read_bytes()).hexdigest() == digest


def test_the_real_mnist_from_its_folder(mnist_folder):
    (_, t), (x2, t2) = load_mnist(mnist_folder, flatten=False, one_hot=True)
    assert x2.shape == (10000, 1, 28, 28)
    assert (t.shape, t2.shape) == ((60000, 10), (10000, 10))
    assert t[:5].argmax(axis=1).tolist() == [5, 0, 4, 1, 9]
