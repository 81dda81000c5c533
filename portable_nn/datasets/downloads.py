"""MNIST and Fashion-MNIST, fetched once into the user's cache, or read from a folder.

N = images: 60000 for training, 10000 for test, of 28 x 28 pixels in 10 classes.
"""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from portable_nn.datasets.idx import load_idx
from portable_nn.datasets.images import Split
from portable_nn.errors import DataFileError, MissingExtraError

__all__ = ["FASHION_MNIST", "MNIST", "Source", "fetched", "load_fashion_mnist", "load_mnist"]

_SECONDS_WITHOUT_ANSWER = 30
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Source:
    """Where a data set is found: the addresses that hold its files, best first, and the sha256 of each file."""

    name: str
    mirrors: tuple[str, ...]
    sha256: Mapping[str, str]


MNIST = Source(
    name="mnist",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    sha256={
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
)

FASHION_MNIST = Source(
    name="fashion_mnist",
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    sha256={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
)


def load_mnist(
    folder: str | os.PathLike[str] | None = None,
    *,
    normalize: bool = True,
    flatten: bool = True,
    one_hot: bool = False,
) -> Split:
    """Read the handwritten digits of MNIST (LeCun, Cortes and Burges; CC BY-SA 3.0).

    Parameters
    ----------
    folder
        Where the four files are; nothing is downloaded then. None: the user's cache, which is filled by the first
        call (11 MB).
    normalize, flatten, one_hot
        As for `load_idx`: by default x is float32 in [0, 1] of shape (N, 784), and t int64 of shape (N,).

    Returns
    -------
    ((x, t), (x2, t2))
        60000 training samples and 10000 test samples.

    Raises
    ------
    DataFileError
        A file is missing from `folder` or damaged, or no mirror gave it.
    MissingExtraError
        `folder` is None and pooch is not installed.
    """
    place = fetched(MNIST) if folder is None else folder
    return load_idx(place, normalize=normalize, flatten=flatten, one_hot=one_hot)


def load_fashion_mnist(
    folder: str | os.PathLike[str] | None = None,
    *,
    normalize: bool = True,
    flatten: bool = True,
    one_hot: bool = False,
) -> Split:
    """Read the pieces of clothing of Fashion-MNIST (Zalando; MIT), which has the layout of MNIST.

    Parameters
    ----------
    folder
        Where the four files are; nothing is downloaded then. None: the user's cache, which is filled by the first
        call (30 MB).
    normalize, flatten, one_hot
        As for `load_idx`: by default x is float32 in [0, 1] of shape (N, 784), and t int64 of shape (N,).

    Returns
    -------
    ((x, t), (x2, t2))
        60000 training samples and 10000 test samples.

    Raises
    ------
    DataFileError
        A file is missing from `folder` or damaged, or no mirror gave it.
    MissingExtraError
        `folder` is None and pooch is not installed.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf (2017), Fashion-MNIST, arXiv:1708.07747.
    """
    place = fetched(FASHION_MNIST) if folder is None else folder
    return load_idx(place, normalize=normalize, flatten=flatten, one_hot=one_hot)


def fetched(source: Source) -> Path:
    """Return the folder of the user's cache that holds the files of `source`, fetching those that it lacks."""
    try:
        pooch = importlib.import_module("pooch")
    except ImportError as error:
        raise MissingExtraError.of("pooch", "data", f"downloading {source.name}") from error
    cache = Path(pooch.os_cache("portable_nn")) / source.name
    for file, digest in source.sha256.items():
        failures: list[str] = []
        for mirror in source.mirrors:
            download = pooch.HTTPDownloader(progressbar=True, chunk_size=_CHUNK_BYTES, timeout=_SECONDS_WITHOUT_ANSWER)
            try:
                pooch.retrieve(
                    mirror + file, known_hash=f"sha256:{digest}", fname=file, path=cache, downloader=download
                )
                break
            except (OSError, ValueError) as error:  # of the connection, or of the checksum
                failures.append(f"\n  {mirror}{file}: {error}")
        else:
            raise DataFileError(
                f"{file}: needed it from one of the mirrors of {source.name}, got:{''.join(failures)}\n"
                f'With the files in a folder of your own, nothing is downloaded: load_{source.name}("folder")'
            )
    return cache
