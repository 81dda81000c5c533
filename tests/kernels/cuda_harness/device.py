"""A device that is no GPU: CUDA C++ compiled for the CPU, and as much of CuPy as launches it, on NumPy's arrays."""

import ctypes
import mmap
import re
import subprocess
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from portable_nn.kernels.fast import _cuda

HEADER = Path(__file__).parent / "cuda_on_cpu.h"
BARRIER = re.compile(r"\b(joined\w*|sum_\w+|is_last|add_up\w*|__syncthreads)\(")
SPARSE = 2**30  # bytes from which memory exists only where it is touched


DTYPES = {"double": np.float64, "integer": np.int64, "unsigned": np.uint32}


def parameters(text):
    """Return the (type, name) of each parameter of a kernel."""
    inside = re.search(r"__global__ void \w+\(([^)]*)\)", text)[1]
    return [re.fullmatch(r"(.*) (\w+)", each.strip()).groups() for each in inside.split(",")]


@cache
def kernels_in(code):
    """Return the text of each kernel in some CUDA C++, by its name, with what stands behind it."""
    texts = ['extern "C" ' + text for text in code.split('extern "C" ')[1:]]
    return {re.search(r"void kernel_(\w+)\(", text)[1]: text for text in texts}


def program(code):
    """Return the C++ of all kernels, as they are, and for each a function that runs it."""
    lines = [f'#include "{HEADER}"', code]
    for name, text in kernels_in(code).items():
        declared = ", ".join(map(" ".join, parameters(text)))
        passed = ", ".join(name for _, name in parameters(text))
        barriers = "true" if BARRIER.search(text) else "false"
        lines.append(f'extern "C" int run_{name}(const Launch* launch, {declared})')
        lines.append(f"{{ return run(*launch, {barriers}, [=] {{ kernel_{name}({passed}); }}); }}")
    return "\n".join(lines)


class Compiler:
    """Texts of kernels to libraries of the CPU, in a folder, each text once."""

    def __init__(self, folder):
        self.folder, self.started, self.libraries = Path(folder), {}, {}

    def begin(self, code):
        """Start to compile a text."""
        if code in self.started:
            return
        name = f"kernels_{len(self.started)}"
        (self.folder / f"{name}.cpp").write_text(program(code))
        # Some systems fortify by default, against jumps such as the harness makes between the stacks of its threads.
        options = ["-std=c++17", "-O1", "-w", "-U_FORTIFY_SOURCE", "-shared", "-fPIC"]
        command = ["g++", *options, f"{name}.cpp", "-o", f"{name}.so"]
        process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        self.started[code] = process, self.folder / f"{name}.so"

    def __call__(self, code):
        """Return the library of a text."""
        if code not in self.libraries:
            self.begin(code)
            process, path = self.started[code]
            assert process.communicate()[1] == ""
            self.libraries[code] = ctypes.CDLL(str(path))
        return self.libraries[code]

    def wait(self):
        """Wait for what was begun and is not needed."""
        for process, _ in self.started.values():
            if process.returncode is None:
                process.communicate()


def sparse(shape, dtype):
    """Return zeros of which only those that are touched take memory; as much lies before them, for wrong indices."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    no_reserve = 0x4000  # mmap.MAP_NORESERVE, from Python 3.13
    memory = mmap.mmap(-1, 2 * size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.uint8)[size:].view(dtype).reshape(shape)


class Launch(ctypes.Structure):
    """As in the header."""

    _fields_ = (
        *((name, ctypes.c_uint) for name in ("grid_x", "grid_y", "block_x", "block_y")),
        *((name, ctypes.c_longlong) for name in ("first_block", "end_block")),
        ("backwards", ctypes.c_int),
    )


class Device:
    """What stands in the place of CuPy.

    Attributes
    ----------
    launched : set of str
        The kernels that ran.
    blocks : (int, int) or None
        The first block to run and the one after the last, if not all.
    """

    cuda = SimpleNamespace(
        runtime=SimpleNamespace(getDevice=lambda: 0), get_current_stream=lambda: SimpleNamespace(ptr=0)
    )
    zeros = staticmethod(np.zeros)
    argsort = staticmethod(partial(np.argsort, kind="stable"))

    def __init__(self, folder, characters=()):
        self.compiler, self.launched, self.blocks = Compiler(folder), set(), None
        for character in characters:
            self.compiler.begin(_cuda.source(character))

    def empty(self, shape, dtype):
        """Return NaN, or -77, so that what is not written shows."""
        large = np.prod(shape, dtype=int) * np.dtype(dtype).itemsize >= SPARSE
        return sparse(shape, dtype) if large else np.full(shape, np.nan if np.dtype(dtype).kind == "f" else -77, dtype)

    def RawModule(self, *, code):
        return SimpleNamespace(get_function=partial(partial, self.run, code))

    def run(self, code, name, grid, block, arguments):
        """Run a kernel, forwards and backwards: what the order of threads and blocks changes is an error."""
        name = name.removeprefix("kernel_")
        character = code.removeprefix("typedef ")[0]
        kinds, names = zip(*parameters(kernels_in(code)[name]), strict=True)
        for kind, word, argument in zip(kinds, names, arguments, strict=True):
            assert argument is not None or kind.startswith("const") or word.endswith("_or_null")
        values = [checked(*pair, character) for pair in zip(kinds, arguments, strict=True)]
        assert block[0] * block[1] == 256
        assert 0 < grid[0] < 2**31
        assert 0 < grid[1] < 2**16
        self.launched.add(name)
        function = getattr(self.compiler(code), f"run_{name}")
        function.argtypes = [ctypes.c_void_p, *map(type, values)]
        if self.blocks:
            assert function(ctypes.byref(Launch(*grid, *block, *self.blocks)), *values) == 0
            return
        outputs = [a for kind, a in zip(kinds, arguments, strict=True) if kind in ("real*", "double*", "integer*")]
        written = [a for a in outputs if a is not None]
        read = [a for a in arguments if isinstance(a, np.ndarray) and not any(np.shares_memory(a, w) for w in written)]
        before, untouched, results = [a.copy() for a in written], [a.tobytes() for a in read], []
        for backwards in (False, True):
            for a, start in zip(written, before, strict=True):
                a[...] = start
            launch = Launch(*grid, *block, 0, grid[0] * grid[1], backwards)
            assert function(ctypes.byref(launch), *values) == 0
            results.append([a.tobytes() for a in written])
        assert results[0] == results[1]
        assert untouched == [a.tobytes() for a in read]  # tickets among them, which are zeros again


def checked(kind, argument, character):
    """Return an argument as CuPy passes it, if it is what a kernel's parameter of this kind needs."""
    if kind in ("integer", "double"):
        assert type(argument) is {"integer": int, "double": float}[kind]
        return {"integer": ctypes.c_longlong, "double": ctypes.c_double}[kind](argument)
    if argument is None:
        return ctypes.c_void_p(None)
    assert argument.flags.c_contiguous
    element = kind.removeprefix("const ").removesuffix("*")
    assert argument.dtype == DTYPES.get(element, np.dtype(character))
    return ctypes.c_void_p(argument.ctypes.data)
