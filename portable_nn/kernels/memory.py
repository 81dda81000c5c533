"""Memory for the results of a plan's calls.

It is that of an argument which nobody needs any more, that of the gradient which the result is, or that which the same
call filled the last time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portable_nn.kernels.donation import takes_out
from portable_nn.kernels.recording import Call, Recorder, Tree, Value, leaves, mapped

__all__ = ["Memory"]


class Memory:
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
