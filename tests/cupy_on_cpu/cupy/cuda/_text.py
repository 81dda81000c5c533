"""CUDA C++ as the stand-in reads it: which kernels a text has, what they take, and which of them have barriers."""

import re
from typing import NamedTuple

import numpy as np

_KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)\s*\{')
_FUNCTION = re.compile(r"\b(\w+)\s*\(([^()]*)\)\s*(?:const\s*)?\{")
_TYPES = {
    "float": "f4", "double": "f8", "bool": "?", "char": "i1", "signed char": "i1", "unsigned char": "u1", "short": "i2",
    "unsigned short": "u2", "int": "i4", "unsigned": "u4", "unsigned int": "u4", "long": "i8", "unsigned long": "u8",
    "long long": "i8", "unsigned long long": "u8", "size_t": "u8",
}  # fmt: skip


class Parameter(NamedTuple):
    """What a kernel takes: a number of a data type, or the address of such; `constant` if it only reads there."""

    name: str
    declared: str
    dtype: np.dtype
    pointer: bool
    constant: bool


class Kernel(NamedTuple):
    """A kernel by its name."""

    name: str
    parameters: tuple[Parameter, ...]
    barriers: bool


def kernels(text):
    """Return all kernels of a text by their names."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    typedefs = {new: old for old, new in re.findall(r"typedef\s+([\w\s]+?)\s+(\w+)\s*;", text)}
    waiting = _with_barriers(text)
    return {
        found[1]: Kernel(found[1], tuple(_parameter(each, typedefs) for each in _split(found[2])), found[1] in waiting)
        for found in _KERNEL.finditer(text)
    }


def _split(parameters):
    return [each.strip() for each in parameters.split(",") if each.strip()]


def _parameter(declaration, typedefs):
    plain = declaration.replace("__restrict__", "").replace("*", " * ")
    *words, name = plain.split()
    constant, pointer = "const" in words, words.count("*")
    kind = " ".join(word for word in words if word not in ("const", "*"))
    while kind in typedefs:
        kind = typedefs[kind]
    if kind not in _TYPES or pointer > 1:
        raise NotImplementedError(f"the stand-in cannot pass `{declaration}` to a kernel")
    return Parameter(name, " ".join([*words]), np.dtype(_TYPES[kind]), bool(pointer), constant)


def _with_barriers(text):
    """Return the names of all functions that call __syncthreads, or others that do."""
    bodies = {found[1]: _body(text, found.end()) for found in _FUNCTION.finditer(text)}
    waiting = {"__syncthreads"}
    while True:
        called = re.compile(rf"\b({'|'.join(waiting)})\s*\(")
        more = {name for name, body in bodies.items() if called.search(body)} - waiting
        if not more:
            return waiting
        waiting |= more


def _body(text, start):
    """Return the text up to the brace that closes the one before `start`."""
    depth, end = 1, start
    while depth and end < len(text):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    return text[start:end]
