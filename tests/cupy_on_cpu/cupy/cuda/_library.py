"""Texts of kernels, compiled for the CPU with the harness of tests/kernels, once and for all processes."""

import ctypes
import hashlib
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from cupy._errors import CompileException
from cupy.cuda import _text

HEADER = Path(__file__).parents[3] / "kernels" / "cuda_harness" / "cuda_on_cpu.h"
# Some systems fortify by default, against jumps such as the harness makes between the stacks of its threads.
OPTIONS = ("-std=c++17", "-O1", "-w", "-U_FORTIFY_SOURCE", "-shared", "-fPIC")


def folder():
    """Return where libraries are kept: CUPY_CACHE_DIR, or a folder of this user's among temporary files."""
    default = Path(tempfile.gettempdir()) / f"cupy-on-cpu-{os.getuid()}"
    return Path(os.environ.get("CUPY_CACHE_DIR") or default)


def program(code):
    """Return the C++ of a text of kernels, and for each of them a function that runs it."""
    lines = [f'#include "{HEADER}"', code]
    for kernel in _text.kernels(code).values():
        declared = "".join(f", {p.declared} {p.name}" for p in kernel.parameters)
        passed = ", ".join(p.name for p in kernel.parameters)
        lines.append(f'extern "C" int run_{kernel.name}(const Launch* launch{declared})')
        lines.append(
            f"{{ return run(*launch, {str(kernel.barriers).lower()}, [=] {{ ::{kernel.name}({passed}); }}); }}"
        )
    return "\n".join(lines)


@cache
def compiled(code):
    """Return the library of a text. Its functions keep the lock of Python: one block runs at a time."""
    text = program(code)
    key = hashlib.sha256(f"{text}{HEADER.read_text()}{OPTIONS}".encode()).hexdigest()[:32]
    library = folder() / f"{key}.so"
    if not library.exists():
        _compile(text, code, library)
    return ctypes.PyDLL(str(library))


def _compile(text, code, library):
    library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        source, made = Path(scratch) / "kernels.cpp", Path(scratch) / "kernels.so"
        source.write_text(text)
        done = subprocess.run(
            ["g++", *OPTIONS, str(source), "-o", str(made)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CompileException(done.stderr, code, str(source), OPTIONS)
        made.replace(library)
