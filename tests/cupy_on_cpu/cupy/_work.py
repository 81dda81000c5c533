"""What every function goes through: operands are looked at, the work is counted and ordered, the result gets memory."""

import numpy as np

from cupy import _ledger, _order
from cupy.cuda import device as _device
from cupy.cuda import memory as _memory
from cupy.cuda import stream

NUMBERS = (bool, int, float, complex, np.bool_, np.number)
DTYPES = frozenset("?bBhHiIlLqQefdFD")


def checked_dtype(dtype):
    """Return a data type of NumPy, if a GPU has it."""
    dtype = np.dtype(dtype)
    if dtype.char not in DTYPES:
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def is_array(thing):
    """Tell whether something is an array of this library."""
    return hasattr(type(thing), "_is_a_cupy_array")


def on_this_device(array):
    """Return an array, if its memory is on the current device."""
    if array._memory.device_id != _device.current.number:
        raise ValueError(
            f"The device where the array resides ({array._memory.device_id}) is different from the current device "
            f"({_device.current.number}). Peer access is unavailable between these devices."
        )
    return array


def operand(thing):
    """Return an operand as NumPy takes it: an array's values, or a number as it is."""
    if is_array(thing):
        return on_this_device(thing)._values
    if isinstance(thing, NUMBERS):
        return thing
    raise TypeError(f"Unsupported type {type(thing)}")


def array(thing, name="a"):
    """Return an array, if it is one."""
    if not is_array(thing):
        raise TypeError(
            f"Argument '{name}' has incorrect type (expected cupy._core.core._ndarray_base, "
            f"got {_type_name(type(thing))})"
        )
    return on_this_device(thing)


def _type_name(kind):
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def launch(name, reads=(), writes=(), launches=1):
    """Count launches of a function of CuPy, and put them in order."""
    if launches:
        _ledger.total.functions[name] += launches
    memories = [thing._memory for thing in reads if is_array(thing)]
    return _memory.work(name, memories, [thing._memory for thing in writes])


def adopt(values):
    """Return an array for the values, in new memory of the current device."""
    from cupy._array import ndarray

    return ndarray._of(values, _memory.Memory(values))


def made(name, values, reads=(), launches=1):
    """Return a new array of values, which so many launches made of what they read."""
    result = adopt(np.asarray(values))
    launch(name, reads, [result], launches if result.size else 0)
    return result


def view(source, values):
    """Return an array that shares the memory of `source`."""
    from cupy._array import ndarray

    return ndarray._of(values, source._memory, source if source.base is None else source.base)


def unwritten(shape, dtype, order="C"):
    """Return memory in which every read of what was not written shows: NaN, or numbers far off."""
    values = np.empty(shape, dtype, order)
    if values.dtype.kind in "fc":
        values.fill(np.nan)
    elif values.size:
        values.view(np.uint8 if values.dtype.kind == "b" else values.dtype).fill(1 if values.dtype.kind == "b" else 113)
    return values


def from_peer(array, order="C"):
    """Return a copy, on the current device, of an array on another; the null streams of both wait for one another."""
    values = np.array(array._values, order=order)
    result = adopt(values)
    line = stream.get_current_stream()._line()
    line.clock.join(_order.null_line(array._memory.device_id).clock)
    _ledger.total.memory_operations["memcpy"] += 1
    _memory.work("cupy_copy", [array._memory], [result._memory])
    return result


class Capsule:
    """What `__dlpack__` gives; only this library takes it."""

    def __init__(self, array):
        self.array = array


def wait_for_value():
    """Count a copy to the host that the program waits for."""
    _ledger.total.reads += 1
    stream.wait_for(stream.get_current_stream()._line())


def written(name, target, values, reads=(), launches=1):
    """Write values into an array, by a launch; any data type is cast."""
    with np.errstate(all="ignore"):
        np.copyto(on_this_device(target)._values, values, casting="unsafe")
    launch(name, reads, [target], launches if target.size else 0)
    return target


def current_device():
    """Return the number of the current device."""
    return _device.current.number
