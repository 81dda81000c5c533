"""A run as a plan: the calls of its kernels one after the other, as the text of a function.

Between the recording (`recording`) and the text, calls that lead to nothing asked for are left out and neighbours are
fused (`joining`), and results get memory (`memory`). All of it follows from the tables of the fast kernels
(`kernels.fast`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from portable_nn.kernels.joining import joined
from portable_nn.kernels.memory import Memory
from portable_nn.kernels.recording import Call, Recorder, Tree, Value, leaves, mapped

__all__ = ["Plan"]


class Plan:
    """A function of the arrays that were the recorder's inputs, called with trees of the same form and shapes.

    Parameters
    ----------
    recorder : Recorder
        Of a finished run.
    inputs : dict of str to tree
        The inputs of that run, by the names that they get in the text.
    outputs : tree
        What to return, of the arrays of that run.
    into : list of (value, array to write), optional
        Results that shall be written somewhere.
    reuses : bool
        Whether each call writes over the memory of the call before, so that one thread at a time may call. Otherwise
        all memory is new.

    Attributes
    ----------
    source : str
        The text.

    Raises
    ------
    UnrecordedError
        If an output came from no kernel.
    """

    def __init__(
        self,
        recorder: Recorder,
        inputs: Mapping[str, Tree],
        outputs: Tree,
        *,
        into: Sequence[tuple[Value, Any]] = (),
        reuses: bool = False,
    ):
        self._recorder = recorder
        self._outputs: Tree = recorder.values(outputs)
        targets = dict(into)
        wanted = {*leaves(self._outputs), *targets}
        calls = joined(recorder, wanted)
        memory = Memory(recorder, calls, leaves(self._outputs), targets, reuses=reuses)
        self._globals: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        lines = [f"def plan({', '.join(inputs)}):", *self._unpacked(inputs)]
        for call, out, dead in memory.assignments():
            lines.append(self._line(call, out))
            lines += [f"    del {', '.join(map(self._name, dead))}"] if dead else []
        for value, target in into:
            name = self._bound("g", target)
            lines.append(f"    if {self._name(value)} is not {name}: {name}[...] = {self._name(value)}")
        self.source = "\n".join([*lines, f"    return {self._text(self._outputs)}"])
        exec(compile(self.source, "<plan>", "exec"), self._globals)
        self.function = self._globals["plan"]
        del self._recorder

    def __call__(self, *inputs: Tree) -> Tree:
        """Return the outputs for other inputs."""
        return self.function(*inputs)

    def _unpacked(self, inputs: Mapping[str, Tree]) -> Iterator[str]:
        for name, tree in inputs.items():
            values = self._recorder.values(tree)
            if isinstance(values, Value):
                self._names[values.number] = name
            elif values:
                yield f"    {''.join(('_' if v is None else self._name(v)) + ', ' for v in values)}= {name}"

    def _line(self, call: Call, out: Tree) -> str:
        arguments = [self._text(argument) for argument in call.arguments]
        if out is not None:
            arguments.append(f"out={self._text(out)}")
        self._globals[call.name] = call.kernel
        results = mapped(lambda leaf: self._name(leaf) if isinstance(leaf, Value) else "_", call.result)
        target = str(results).replace("'", "")
        return f"    {target} = {call.name}({', '.join(arguments)})"

    def _name(self, value: Value) -> str:
        if value in self._recorder.constants:
            return self._bound("c", self._recorder.arrays[value])
        return self._names.setdefault(value.number, f"v{value.number}")

    def _text(self, tree: Tree) -> str:
        """Return the expression for a tree of values, memory and Python objects."""
        if isinstance(tree, Value):
            return self._name(tree)
        if isinstance(tree, tuple | list):
            parts = "".join(f"{self._text(part)}, " for part in cast("list[Any]", tree))
            return f"({parts})" if isinstance(tree, tuple) else f"[{parts}]"
        plain = tree is None or type(tree) in (bool, int, str) or (type(tree) is float and math.isfinite(tree))
        return repr(tree) if plain else self._bound("b", tree)

    def _bound(self, letter: str, thing: Any) -> str:
        """Return the name of an object that the text cannot spell out."""
        known = [old for old, value in self._globals.items() if value is thing]
        name = known[0] if known else f"{letter}{len(self._globals)}"
        self._globals[name] = thing
        return name
