"""The IDX format of MNIST: a big-endian header of type code and dimensions, then the bare numbers.

The format is described at http://yann.lecun.com/exdb/mnist/. N = images, H = rows, W = columns, C = classes.
"""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_nn.datasets.byte_streams import ByteStream, filled_array, opened, taken
from portable_nn.datasets.images import Samples, Split, prepared
from portable_nn.errors import DataFileError

__all__ = ["decoded_idx", "load_idx", "read_idx"]

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one IDX file, packed by gzip if its name ends in .gz.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    array
        Of the shape that the file declares, writeable, in native byte order; uint8, int8, int16, int32,
        float32 or float64.

    Raises
    ------
    DataFileError
        The file is missing, not an IDX file, cut short, longer than it declares, or not a whole gzip file; it unpacks
        to more than 4 MiB and more than 500 times its size.
    """
    path = Path(path)
    with opened(path) as stream:
        return decoded_idx(stream, str(path))


def decoded_idx(stream: ByteStream, name: str) -> NDArray[Any]:
    """Return the array that `stream` holds in IDX format; errors call it `name`."""
    magic = taken(stream, 4, name)
    zeros, code, ndim = struct.unpack(">HBB", magic)
    if zeros or code not in _DTYPES:
        codes = ", ".join(f"{known:02x}" for known in _DTYPES)
        raise DataFileError(
            f"{name}: needed an IDX file, which begins with 00 00, a type code ({codes}) and the number of "
            f"dimensions, got {magic.hex(' ')}"
        )
    shape = struct.unpack(f">{ndim}I", taken(stream, 4 * ndim, name))
    return filled_array(stream, np.dtype(_DTYPES[code]), shape, name)


def load_idx(
    folder: str | os.PathLike[str], *, normalize: bool = True, flatten: bool = True, one_hot: bool = False
) -> Split:
    """Read the four files of MNIST, or of any data set laid out like it, from a folder.

    The files are train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, each plain or with .gz; a dot instead of the hyphen before idx is accepted.

    Parameters
    ----------
    folder
        Where the files are.
    normalize
        True: x is float32 in [0, 1]. False: x is uint8 in [0, 255], as stored.
    flatten
        True: x has shape (N, H * W), for MNIST (N, 784). False: (N, 1, H, W).
    one_hot
        False: t is int64 of shape (N,). True: t is float32 of shape (N, C), C being the greatest label plus one.

    Returns
    -------
    ((x, t), (x2, t2))
        The training samples and the test samples.

    Raises
    ------
    DataFileError
        A file is missing or damaged, or images and labels do not belong together.
    """
    train = _read_pair(Path(folder), "train")
    test = _read_pair(Path(folder), "t10k")
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataFileError(
            f"{folder}: needed training and test images of one size, got {train[0].shape[1:]} and {test[0].shape[1:]}"
        )
    classes = 1 + max((int(labels.max()) for _, labels in (train, test) if labels.size), default=-1)

    def samples(pair: Samples) -> Samples:
        return prepared(*pair, peak=255, classes=classes, normalize=normalize, flatten=flatten, one_hot=one_hot)

    return samples(train), samples(test)


def _read_pair(folder: Path, part: str) -> Samples:
    """Return the images (N, H, W) and labels (N,) of one part of the data set, as stored."""
    images_path = _found(folder, f"{part}-images-idx3-ubyte")
    labels_path = _found(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path), read_idx(labels_path)
    for path, array, ndim in ((images_path, images, 3), (labels_path, labels, 1)):
        if array.dtype != np.uint8 or array.ndim != ndim:
            raise DataFileError(f"{path}: needed uint8 of {ndim} dimensions, got {array.dtype} of shape {array.shape}")
    if len(images) != len(labels):
        raise DataFileError(f"{labels_path}: needed {len(images)} labels, one an image, got {len(labels)}")
    return images, labels


def _found(folder: Path, name: str) -> Path:
    names = [stem + ending for stem in (name, name.replace("-idx", ".idx")) for ending in ("", ".gz")]
    for candidate in names:
        if (folder / candidate).is_file():
            return folder / candidate
    got = "none of them is there" if folder.is_dir() else "there is no such folder"
    raise DataFileError(f"{folder}: needed one of the files {', '.join(names)}, but {got}")
