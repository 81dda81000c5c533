"""What `cupy`, the wheel or the stand-in, answers without a GPU: run by tests as a script, which prints JSON.

`wheel.json` has what cupy-cuda13x 14.2.0 printed: `python -P behaviour.py > wheel.json`, where the wheel is installed.

Arrays lie over memory of the host, `cupy.ndarray(shape, dtype, memptr=...)`: with the wheel, too, they can be sliced,
reshaped and asked for flags, and refuse what they refuse, before anything reaches a GPU.
"""

import inspect
import json
import re
import warnings

import cupy
import numpy as np

SNIPPETS = """
np.asarray(x)
np.array(x)
memoryview(x)
bytes(memoryview(x))
x + n
n + x
x @ n
x.dot(n)
cupy.add(x, n)
cupy.add(x, [1, 2, 3])
x + [1, 2, 3]
[1, 2, 3] + x
x + "a"
x < n
x < [1, 2, 3]
x + None
cupy.add(x, x, where=True)
cupy.add(x, x, order="C")
cupy.add(x, x, subok=False)
cupy.add(x)
cupy.add(x, x, x, x)
cupy.add(x, x, out=n)
cupy.add(x, x, out=v)
cupy.add(x, x, out=i)
cupy.exp([1.0])
cupy.sum(x, initial=1)
x.sum(initial=1)
x.sum(where=True)
x.max(initial=1)
x.max(dtype="float32")
cupy.ones(3, device="cuda")
cupy.zeros(3, device=None)
cupy.empty(3, device=None)
cupy.asarray(n, device=None)
cupy.arange(3, device=None)
cupy.full(3, 1, device=None)
cupy.empty(3, "U3")
cupy.empty(3, object)
cupy.empty(3, "longdouble")
cupy.empty(3, "datetime64[s]")
cupy.asarray(n, copy=False)
cupy.array(n, copy=False)
hash(x)
hash(cupy.cuda.Device(0))
cupy.cuda.Device(0) == cupy.cuda.Device(0)
cupy.cuda.Device(7)
repr(cupy.cuda.Device(1))
cupy.cuda.Device("cuda:0")
range(x)
[1, 2, 3][:x]
len(x), len(z)
len(s)
iter(s)
list(map(type, x)) == [cupy.ndarray] * 2
bool(x)
x.item()
x.item(0)
x[2]
x[0, 3]
x[-3]
x[0, 0, 0]
x[1.5]
x[...].shape, x[None].shape, x[:, None].shape, x[1].shape, x[1, 1].shape, x[:, ::2].shape
x[1, 1] is x, type(x[1, 1]) is cupy.ndarray
x[None].strides, x[:, None].strides
z.strides, z.flags.c_contiguous, z.flags.f_contiguous
x.strides, x.T.strides, x[:, ::2].strides, x[::-1].strides
x.flags.writeable
x.setflags(write=False)
x.flags.c_contiguous, x.flags.f_contiguous, x.flags.owndata, x.flags.forc, x.flags.fnc
x.T.flags.c_contiguous, x.T.flags.f_contiguous, x.T.flags.owndata, x.T.flags.forc, x.T.flags.fnc
x[:, ::2].flags.c_contiguous, x[:, ::2].flags.forc
x[0].flags["C_CONTIGUOUS"], repr(x.flags)
v.T is v, x.T is x, x.mT.shape
v.mT
s.mT
x.base is None, x.T.base is x, x.T[0].base is x
x.reshape(3, 2).base is x, x.reshape(-1).strides, x.reshape((6,)).shape, x.reshape(3, -1).shape
x.reshape(4, 2)
x.reshape(3, 2, copy=True)
x.ravel().base is x, x.squeeze().shape, x[None].squeeze(0).shape, x.swapaxes(0, 1).shape
x.transpose().shape, x.transpose(1, 0).shape, x.transpose((1, 0)).shape
x.transpose(0, 0)
cupy.expand_dims(x, 0).shape, cupy.expand_dims(x, -1).strides
cupy.broadcast_to(x, (4, 2, 3)).strides, cupy.broadcast_to(s, (2, 2)).strides
cupy.broadcast_to(x, (4, 2))
cupy.broadcast_shapes((3, 1), (4,))
cupy.moveaxis(x, 0, 1).strides, cupy.matrix_transpose(x).shape, cupy.flip(x).strides
x.dtype, x.itemsize, x.nbytes, x.size, x.ndim, x.shape, x.dtype.char
x.device
x.data.ptr - x[1].data.ptr
x.view("int32").dtype, x.view().base is x
x.view("int64")
x.real is x
x.astype("float32", copy=False) is x, x.astype("float32", order="C", copy=False) is x
x.astype("float32", casting="safe")
x.astype("float32", subok=False)
x.astype("U3")
cupy.ascontiguousarray(x) is x, cupy.asarray(x) is x, cupy.array(x, copy=False) is x, cupy.asarray(x, copy=False) is x
cupy.asarray(x.T, order="C", copy=False)
cupy.asarray(x, "float64", copy=False)
x.set(n)
x.set([1])
x.set(np.zeros((2, 3)))
x.set(np.zeros((3, 2), "float32"))
x[:, ::2].set(np.zeros((2, 2), "float32"))
x.get(out=[1])
x.get(out=np.zeros((2, 3)))
x.get(out=np.zeros((3, 2), "float32"))
x.fill(n)
x[...] = n
x[0] = [1, 2, 3]
x[5] = 1
v[True] = n
x.dot(x.T, out=n)
x.dot(x.T, x)
x.dot(x.T, d[:2, :2])
x.dot(x)
x.dot(x.T, cupy.broadcast_to(s, (2, 2)))
x @ x
x @ 2
2 @ x
n @ x
x @ s
cupy.matmul(x, n)
cupy.dot(x, n)
cupy.dot(n, x)
cupy.take(x, 9, 0)
cupy.take(x, 0, 0, mode="clip")
cupy.take_along_axis(x, i)
cupy.take_along_axis(x, i[0], 0)
cupy.concatenate([n, x])
cupy.concatenate([x, x[0]])
cupy.concatenate([])
cupy.stack([n, n])
cupy.where(n, x, x)
cupy.where(x, x)
cupy.where(x, n, x)
cupy.where(x, [1], x)
cupy.clip(x, n, None)
z.max()
z.argmax()
cupy.max(z, axis=0)
cupy.sum([1, 2])
cupy.reshape([1, 2], (2, 1))
cupy.sort(x, kind="quicksort")
cupy.from_dlpack(n)
cupy.from_dlpack(x, device="cpu")
x.__dlpack_device__()
x.__cuda_array_interface__["version"]
x.T.__array__()
cupy.RawModule("text")
cupy.RawModule(code="text", options=["-x"])
cupy.RawModule()
cupy.isdtype(np.dtype("float32"), "real floating"), cupy.issubdtype(np.float32, cupy.floating)
cupy.result_type(x, 1), cupy.result_type(x, np.float64(1)), cupy.result_type(x, i)
cupy.can_cast("float64", "float32"), cupy.promote_types("float32", "int32")
cupy.may_share_memory(x, x[0]), cupy.may_share_memory(x[0], x[1]), cupy.shares_memory(x, v)
cupy.ndim(x), cupy.shape(x), cupy.size(x), cupy.size(x, 0)
cupy.get_array_module(x) is cupy, cupy.get_array_module(n) is np
cupy.add.nin, cupy.add.nout, cupy.add.nargs, repr(cupy.add), cupy.add.name
np.sum(n, where=x)
np.exp(n, out=x)
np.trapezoid(x)
np.linalg.cond(x)
np.add.accumulate(x)
np.concatenate([n, x])
isinstance(x, np.ndarray), hasattr(x, "__array_namespace__"), hasattr(x, "to_device"), hasattr(x, "__index__")
cupy.cuda.Stream.null.ptr, repr(cupy.cuda.Stream.null), hash(cupy.cuda.Stream.null) == hash(0)
cupy.cuda.get_current_stream().ptr, cupy.cuda.get_current_stream() == cupy.cuda.Stream.null
"""


def over_host_memory(values):
    """Return an array of cupy in the memory of NumPy's `values`."""
    memory = cupy.cuda.UnownedMemory(values.ctypes.data, max(values.nbytes, 1), values, 0)
    return cupy.ndarray(values.shape, values.dtype, memptr=cupy.cuda.MemoryPointer(memory, 0))


def answer(snippet):
    """Return what a snippet gives, or its error; nothing if it needed a GPU."""
    n = np.arange(6, dtype="float32").reshape(2, 3)
    arrays = {
        "x": n.copy(),
        "v": np.arange(3, dtype="float32"),
        "s": np.full((), 7, "float32"),
        "z": np.zeros((0, 3), "float32"),
        "i": np.arange(6, dtype="int32").reshape(2, 3),
        "d": np.zeros((4, 4), "float32"),
    }
    names = {"np": np, "cupy": cupy, "n": n, **{name: over_host_memory(value) for name, value in arrays.items()}}
    try:
        if re.match(r"\w+\[.*\] = ", snippet):
            exec(snippet, names)
            return "done"
        return f"{eval(snippet, names)!r}"
    except Exception as error:
        if type(error).__name__ == "CUDARuntimeError" or isinstance(error, ImportError):
            return None  # it wanted to do it
        return f"{type(error).__name__}: {error}"


def parameters(thing):
    """Return the parameters of a function as text, of what Cython keeps to itself as its docstring has them."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        line = (thing.__doc__ or "").partition("\n")[0]
        found = re.search(r"\((.*)\)", line)
        return _plain(found[1]) if found else None
    return [
        (name.kind.name, name.name, "" if name.default is name.empty else repr(name.default))
        for name in signature.parameters.values()
    ]


def _plain(text):
    """Return parameters as a docstring of Cython has them, in the form of a signature."""
    result, kind = [], "POSITIONAL_OR_KEYWORD"
    for part in filter(None, re.split(r",\s*", text)):
        if part == "*":
            kind = "KEYWORD_ONLY"
        elif part == "/":
            result = [("POSITIONAL_ONLY", *rest) for _, *rest in result]
        else:
            name, _, default = part.partition("=")
            star = name.count("*")
            own = {0: kind, 1: "VAR_POSITIONAL", 2: "VAR_KEYWORD"}[star]
            kind = "KEYWORD_ONLY" if star == 1 else kind
            result.append((own, name.split()[-1].strip("*"), _value(default)))
    return result


def _value(default):
    """Return a default as `repr` has it, where it is no name of CuPy's own."""
    try:
        return repr(eval(default)) if default else ""
    except NameError:
        return default


def names():
    """Return the public names of the modules and classes that are compared, with what each of them is."""
    found = {}
    owners = {
        "cupy": cupy,
        "cupy.linalg": cupy.linalg,
        "cupy.cuda": cupy.cuda,
        "cupy.ndarray": cupy.ndarray,
        "cupy.cuda.Device": cupy.cuda.Device,
        "cupy.cuda.Stream": cupy.cuda.Stream,
        "cupy.cuda.ExternalStream": cupy.cuda.ExternalStream,
        "cupy.cuda.Event": cupy.cuda.Event,
        "cupy.cuda.MemoryPool": cupy.cuda.MemoryPool,
        "cupy.cuda.runtime": cupy.cuda.runtime,
        "cupy.cuda.compiler": cupy.cuda.compiler,
        "cupyx": __import__("cupyx"),
    }
    for path, owner in owners.items():
        for name in dir(owner):
            if not name.startswith("_"):
                found[f"{path}.{name}"] = _described(getattr(owner, name), method=isinstance(owner, type))
    return found


def _described(thing, method):
    if isinstance(thing, cupy.ufunc):
        return ["ufunc", thing.nin, thing.nout]
    if isinstance(thing, type):
        return ["class"]
    if callable(thing):
        found = parameters(thing)
        return ["function", found[1:] if method and found else found]  # but for `self`
    return ["value"]


def _lines(found):
    """Return the pairs of a mapping as JSON, a line each."""
    return [
        f"{json.dumps(key)}: {json.dumps(value)}{',' * (i + 1 < len(found))}"
        for i, (key, value) in enumerate(found.items())
    ]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    snippets = {snippet: answer(snippet) for snippet in SNIPPETS.strip().splitlines()}
    print('{"names": {', *_lines(names()), '},\n"snippets": {', *_lines(snippets), "}}", sep="\n")
