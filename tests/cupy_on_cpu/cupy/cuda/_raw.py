"""Kernels of the program's own, run by the harness on the CPU.

CuPy hands arguments on unseen. Here each of them is held to the kernel's text; and what a kernel writes outside of its
arrays is an error, what it reads there is huge.
"""

import ctypes
import math

import numpy as np

from cupy import _ledger, _work
from cupy._errors import CUDADriverError, KernelArgumentError
from cupy.cuda import _library, _text
from cupy.cuda import device as _device
from cupy.cuda import memory as _memory

GUARD = 4096  # bytes before and behind each array, while a kernel runs
FILL = 0x7F  # of which floats are huge, and do not get lost in comparisons as NaN does
_OUTCOMES = {1: "some threads missed a barrier", 2: "there is a barrier in a function that was not seen to have one"}


class RawModule:
    """As CuPy's: keywords only, options as a tuple."""

    def __init__(
        self,
        *,
        code=None,
        path=None,
        options=(),
        backend="nvrtc",
        translate_cucomplex=False,
        enable_cooperative_groups=False,
        name_expressions=None,
        jitify=False,
    ):
        if not isinstance(options, tuple):
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})")
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if path or translate_cucomplex or enable_cooperative_groups or name_expressions or jitify:
            raise NotImplementedError("the stand-in takes code, options and backend")
        self.code, self.options, self.backend = code, options, backend
        self._kernels = None

    def compile(self, log_stream=None):
        """Compile now."""
        _library.compiled(self.code)

    def get_function(self, name):
        """Return a kernel; the whole text is compiled."""
        if self._kernels is None:
            self.compile()
            self._kernels = _text.kernels(self.code)
        if name not in self._kernels:
            raise CUDADriverError(500, "CUDA_ERROR_NOT_FOUND", "named symbol not found")
        return _Function(self.code, self._kernels[name])


class RawKernel:
    """As CuPy's: one kernel of a text."""

    def __init__(self, code, name, options=(), backend="nvrtc", **others):
        self.name, self._module = name, RawModule(code=code, options=options, backend=backend, **others)

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        self._module.get_function(self.name)(grid, block, args, shared_mem=shared_mem, stream=stream)

    def compile(self, log_stream=None):
        """Compile now."""
        self._module.get_function(self.name)


class _Launch(ctypes.Structure):
    """As in the harness."""

    _fields_ = (
        *((name, ctypes.c_uint) for name in ("grid_x", "grid_y", "block_x", "block_y")),
        *((name, ctypes.c_longlong) for name in ("first_block", "end_block")),
        ("backwards", ctypes.c_int),
    )


class _Function:
    def __init__(self, code, kernel):
        self.name, self.kernel = kernel.name, kernel
        self._run = getattr(_library.compiled(code), f"run_{kernel.name}")

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        launch = _launch(grid, block, shared_mem)
        parameters = self.kernel.parameters
        if len(args) != len(parameters):
            raise KernelArgumentError(f"{self.name} takes {len(parameters)} arguments, got {len(args)}")
        for number, (parameter, argument) in enumerate(zip(parameters, args, strict=True)):
            _check(f"argument {number} of {self.name}, `{parameter.declared} {parameter.name}`,", parameter, argument)
        arrays = [argument for argument in args if _work.is_array(argument)]
        changed = [a for p, a in zip(parameters, args, strict=True) if _work.is_array(a) and not p.constant]
        _ledger.total.kernels[self.name] += 1
        _memory.work(self.name, [a._memory for a in arrays], [a._memory for a in changed], stream)
        guarded = _Guarded(arrays)
        values = [
            _passed(p, guarded.address(a) if _work.is_array(a) else a) for p, a in zip(parameters, args, strict=True)
        ]
        self._run.argtypes = [ctypes.c_void_p, *map(type, values)]
        outcome = self._run(ctypes.byref(launch), *values)
        if outcome:
            raise AssertionError(f"{self.name}: {_OUTCOMES[outcome]}")
        guarded.give_back(self.name, changed)


def _launch(grid, block, shared_mem):
    grid, block = ((*map(int, sizes), 1, 1)[:3] for sizes in (grid, block))
    grid, block = (tuple(max(size, 1) for size in sizes) for sizes in (grid, block))
    allowed = math.prod(block) <= 1024 and block[2] <= 64 and grid[0] < 2**31 and max(grid[1:]) < 2**16
    if not allowed or shared_mem > 48 * 1024:
        raise CUDADriverError(1, "CUDA_ERROR_INVALID_VALUE", "invalid argument")
    if shared_mem or grid[2] > 1 or block[2] > 1:
        raise NotImplementedError("the harness has neither a third dimension nor shared memory of a size to be told")
    return _Launch(*grid[:2], *block[:2], 0, grid[0] * grid[1], 0)


def _check(what, parameter, argument):
    """Raise KernelArgumentError if an argument is not what its parameter says."""
    wrong = None
    if parameter.pointer:
        if argument is None:
            wrong = None if parameter.constant or parameter.name.endswith("_or_null") else "a null pointer to write to"
        elif not _work.is_array(argument):
            wrong = f"{type(argument)}"
        elif argument.dtype != parameter.dtype:
            wrong = f"an array of {argument.dtype}"
        elif not argument.flags.c_contiguous:
            wrong = f"an array that is not C-contiguous: shape {argument.shape}, strides {argument.strides}"
        elif argument._memory.device_id != _device.current.number:
            wrong = f"an array on {argument.device}, launched on {_device.Device()}"
    elif type(argument) in (int, float, bool):
        passed = np.dtype({int: "u8" if argument >= 2**63 else "i8", float: "f8", bool: "?"}[type(argument)])
        wrong = None if passed == parameter.dtype else f"a Python {type(argument).__name__}, passed as {passed}"
    elif not isinstance(argument, np.generic) or argument.dtype != parameter.dtype:
        wrong = f"{type(argument)}"
    if wrong:
        raise KernelArgumentError(f"{what} got {wrong}")


def _passed(parameter, value):
    if parameter.pointer:
        return ctypes.c_void_p(value)
    return np.ctypeslib.as_ctypes_type(parameter.dtype)(value)


class _Guarded:
    """Copies of arrays between guards. Arrays that overlap share a copy."""

    def __init__(self, arrays):
        self.copies = []  # (first address, address behind the last, bytes between guards)
        for start, end in _merged((a._address(), a._address() + a.nbytes) for a in arrays if a.size):
            copy = np.full(end - start + 2 * GUARD, FILL, np.uint8)
            ctypes.memmove(copy.ctypes.data + GUARD, start, end - start)
            self.copies.append((start, end, copy))

    def address(self, array):
        """Return where the copy of an array begins."""
        for start, end, copy in self.copies:
            if array.size and start <= array._address() < end:
                return copy.ctypes.data + GUARD + array._address() - start
        return None

    def give_back(self, name, changed):
        """Look at the guards, and copy what may have changed."""
        for start, end, copy in self.copies:
            if not (copy[:GUARD] == FILL).all() or not (copy[-GUARD:] == FILL).all():
                raise AssertionError(f"{name} writes outside of its arrays")
            if any(start <= a._address() < end for a in changed if a.size):
                ctypes.memmove(start, copy.ctypes.data + GUARD, end - start)


def _merged(extents):
    """Return intervals, those that overlap as one."""
    merged = []
    for start, end in sorted(extents):
        if merged and start < merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return merged
