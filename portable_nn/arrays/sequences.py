"""Sequences of many lengths as one array. N = batch, T = time."""

from collections.abc import Sequence
from typing import Any

from portable_nn.arrays.arguments import as_array
from portable_nn.arrays.array import Array
from portable_nn.arrays.namespaces import backend_name, device_of, is_array, namespace_of
from portable_nn.errors import DTypeError, NamespaceError, ShapeError

__all__ = ["pad_sequences"]


def pad_sequences(sequences: Sequence[Array], *, padding_value: float = 0) -> tuple[Any, Any]:
    """Return sequences of many lengths as one array, and the mask that tells what is real: m_nt = t < T_n.

    The mask goes to a network beside the array, by the name "mask" (docs/sequences.md). It may also be the sample
    weights of labels at each position, cast to floats.

    Parameters
    ----------
    sequences : sequence of N arrays of shapes (T_n, ...), alike but for T_n
        Of one library, device and data type, or lists of numbers.
    padding_value : float
        What stands behind the end of the shorter ones, such as the label that a loss ignores.

    Returns
    -------
    x : array of shape (N, T, ...), T the largest T_n
        Of the library, the device and the data type of the sequences; of lists, NumPy's.
    mask : boolean array of shape (N, T)

    Raises
    ------
    ShapeError
        If there is no sequence, or they differ in more than their lengths.
    DTypeError, NamespaceError, TypeError
        If one of them is no array, or of another library, device or data type than the first one.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> x, mask = pnn.pad_sequences([[3, 1, 2], [4]])
    >>> x.tolist(), mask.tolist()
    ([[3, 1, 2], [4, 0, 0]], [[True, True, True], [True, False, False]])
    """
    if is_array(sequences) or not len(sequences):
        shape: Any = getattr(sequences, "shape", ())
        came = f"an array of shape {tuple(shape)}" if shape else "none"
        raise ShapeError(f"pad_sequences needs a list of at least one array (T, ...), got {came}")
    arrays = [as_array(part, f"sequences[{i}]") for i, part in enumerate(sequences)]
    _check(arrays)
    xp, kind, behind = namespace_of(arrays[0]), {"device": device_of(arrays[0])}, arrays[0].shape[1:]
    lengths = [array.shape[0] for array in arrays]
    most = max(lengths)
    rows = [
        xp.concat([array, xp.full((most - n, *behind), padding_value, dtype=array.dtype, **kind)], axis=0)
        for array, n in zip(arrays, lengths, strict=True)
    ]
    ends = xp.asarray(lengths, dtype=xp.int32, **kind)
    return xp.stack(rows), xp.arange(most, dtype=xp.int32, **kind)[None, :] < ends[:, None]


def _check(arrays: Sequence[Any]) -> None:
    first = arrays[0]
    xp, device = namespace_of(first), device_of(first)
    for i, array in enumerate(arrays):
        if namespace_of(array) is not xp or device_of(array) != device:
            raise NamespaceError(
                f"pad_sequences needs arrays of one library and device, {backend_name(xp)} on {device}, "
                f"got {backend_name(namespace_of(array))} on {device_of(array)} at {i}"
            )
        if array.dtype != first.dtype:
            raise DTypeError(f"pad_sequences needs arrays of one data type, {first.dtype}, got {array.dtype} at {i}")
        if not array.ndim or array.shape[1:] != first.shape[1:]:
            needed = "".join(f", {size}" for size in first.shape[1:]) or ","
            raise ShapeError(f"pad_sequences needs arrays of shapes (T{needed}), got {tuple(array.shape)} at {i}")
