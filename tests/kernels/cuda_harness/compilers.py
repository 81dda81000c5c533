"""CUDA's own compilers, which need no GPU. Each returns the PTX of a text, or raises AssertionError."""

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path

ARCHITECTURE = "compute_80"


def nvcc(source, folder):
    """Compile with the CUDA toolkit's compiler. Warnings are errors."""
    (folder / "kernels.cu").write_text(source)
    command = ["nvcc", "-ptx", "-std=c++17", f"-arch={ARCHITECTURE}", "-Werror", "all-warnings", "kernels.cu"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return (folder / "kernels.ptx").read_text()


def nvrtc(source, folder):
    """Compile as CuPy does, with the library for compiling at run time; it takes no headers. Warnings are errors."""
    library, program, size = ctypes.CDLL(nvrtc_library()), ctypes.c_void_p(), ctypes.c_size_t()

    def text(name):
        assert getattr(library, f"nvrtcGet{name}Size")(program, ctypes.byref(size)) == 0
        buffer = ctypes.create_string_buffer(size.value)
        assert getattr(library, f"nvrtcGet{name}")(program, buffer) == 0
        return buffer.value.decode()

    assert library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None) == 0
    options = [b"-std=c++17", f"-arch={ARCHITECTURE}".encode(), b"-ftz=true"]  # the last as CuPy has it
    status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    assert (status, text("ProgramLog")) == (0, "")
    return text("PTX")


def nvrtc_library():
    """Return the path of the library in the wheel that brings it; None without it."""
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return next((str(path) for folder in folders for path in sorted(Path(folder).rglob("libnvrtc.so*"))), None)


MISSING = {
    nvcc: None if shutil.which("nvcc") else "no nvcc on the PATH",
    nvrtc: None if nvrtc_library() else "no wheel nvidia-cuda-nvrtc",
}
"""Why each compiler cannot be used, if so."""
