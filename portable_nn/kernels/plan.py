"""A run as a plan: the calls of its kernels one after the other, as the text of a function.

Between the recording and the text, calls that lead to nothing asked for are left out, neighbours are fused, and results
get memory: that of an argument which nobody needs any more, that of the gradient which they are, or that which the same
call filled the last time. All of it follows from the tables of the fast kernels (`kernels.fast`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from portable_nn.kernels.donation import takes_out
from portable_nn.kernels.joining import joined
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
        memory = _Memory(recorder, calls, leaves(self._outputs), targets, reuses=reuses)
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
        self._function = self._globals["plan"]
        del self._recorder

    def __call__(self, *inputs: Tree) -> Tree:
        """Return the outputs for other inputs."""
        return self._function(*inputs)

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


class _Memory:
    """Who may write where, and when a value is needed for the last time."""

    def __init__(
        self,
        recorder: Recorder,
        calls: Sequence[Call],
        outputs: Sequence[Value],
        targets: Mapping[Value, Any],
        *,
        reuses: bool,
    ):
        self._recorder, self._calls, self._reuses = recorder, calls, reuses
        self._targets = targets
        self._last = self._last_uses(outputs)
        # Opaque calls that are left out have seen the arrays of the recorded run.
        self._exposed = _exposed(recorder.calls) | _exposed(calls)
        self._owned: dict[Value, Any] = {}  # the memory of each value that a later call may write over
        self._free: list[Any] = []

    def assignments(self) -> Iterator[tuple[Call, Tree, list[Value]]]:
        """Yield each call, what to give it as `out`, and the values that nothing needs after it."""
        for i, call in enumerate(self._calls):
            dead = sorted({v for v in _values(call) if self._last[v] == i}, key=lambda value: value.number)
            out = self._out(call, dead) if _takes_out(call) else None
            for value in dead:
                if value in self._owned:
                    self._free.append(self._owned.pop(value))
            outside = self._recorder.inputs | self._recorder.constants
            yield call, out, [value for value in dead if value not in outside]

    def _out(self, call: Call, dead: list[Value]) -> Tree:
        if not isinstance(call.result, Value):
            if not self._reuses:
                return None
            given = leaves(call.arguments)
            return mapped(lambda leaf: None if leaf in given else self._own(leaf), call.result)
        overwritten = call.arguments[0]
        if (
            call.name in self._recorder.overwrites
            and call.result not in {*self._targets, *self._exposed}
            and not (self._reuses and self._last[call.result] == len(self._calls))
            and overwritten in dead
            and overwritten in self._owned
            and _kind(self._recorder.arrays[overwritten]) == _kind(self._recorder.arrays[call.result])
        ):
            self._owned[call.result] = self._owned.pop(overwritten)
            return overwritten
        if call.result in self._exposed:
            return None  # also if it is written to a target, which the next run writes over
        if not self._reuses:
            if call.result not in self._targets and self._recorder.arrays[call.result].shape:
                self._owned[call.result] = None  # but for NumPy's numbers, which cannot be written
            return None
        return self._own(call.result, shared=True)

    def _own(self, value: Any, *, shared: bool = False) -> Any:
        """Return memory for a value: none for what the caller gets to see."""
        if not isinstance(value, Value) or value in self._exposed or value in self._recorder.constants:
            return None
        if value in self._targets:
            return self._targets[value]
        if self._last[value] == len(self._calls):
            return None
        memory = self._recorder.arrays[value]
        if not memory.shape:
            return None  # NumPy's numbers cannot be written
        if shared:
            kind = _kind(memory)
            memory = next((free for free in self._free if free is not None and _kind(free) == kind), memory)
            self._free = [free for free in self._free if free is not memory]
            self._owned[value] = memory
        return memory

    def _last_uses(self, outputs: Sequence[Value]) -> dict[Value, int]:
        """Return for each value the call that needs it last, itself or in the form of a view.

        A call that takes no `out` may return a view of its arguments.
        """
        end = len(self._calls)
        last = dict.fromkeys([*outputs, *self._targets], end)
        for i in reversed(range(end)):
            call = self._calls[i]
            results = [leaf for leaf in leaves(call.result) if isinstance(leaf, Value)]
            needed = max((last.setdefault(value, i) for value in results), default=i)
            for value in leaves(call.arguments):
                if isinstance(value, Value):
                    until = i if _takes_out(call) else needed
                    last[value] = max(last.get(value, until), until)
        return last


def _exposed(calls: Sequence[Call]) -> set[Value]:
    """Return the values that opaque code gets to see, itself or a view: it may keep them, so their memory is theirs."""
    exposed: set[Value] = set()
    for call in reversed(calls):
        if call.opaque or (not _takes_out(call) and exposed.intersection(leaves(call.result))):
            exposed.update(leaf for leaf in leaves(call.arguments) if isinstance(leaf, Value))
    return exposed


def _takes_out(call: Call) -> bool:
    return not call.opaque and takes_out(call.kernel)


def _values(call: Call) -> set[Value]:
    return {leaf for leaf in [*leaves(call.arguments), *leaves(call.result)] if isinstance(leaf, Value)}


def _kind(array: Any) -> tuple[Any, ...]:
    return tuple(array.shape), array.dtype, getattr(array, "strides", None)
