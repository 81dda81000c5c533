"""Which calls of a run are needed, and which of them one kernel does together, as the tables of `kernels.fast` say."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from portable_nn.kernels.recording import Call, Recorder, Value, leaves

__all__ = ["joined"]


def joined(recorder: Recorder, wanted: set[Any]) -> list[Call]:
    """Return the calls that lead to what is wanted, with one in the place of several where there is a kernel for it."""
    return _fused(recorder, _paired(recorder, _needed(recorder.calls, wanted)), wanted)


def _needed(calls: Sequence[Call], wanted: set[Any]) -> list[Call]:
    """Return the calls that lead to what is wanted."""
    needed, kept = set(wanted), list[Call]()
    for call in reversed(calls):
        if needed.intersection(leaves(call.result)):
            needed.update(leaf for leaf in leaves(call.arguments) if isinstance(leaf, Value))
            kept.append(call)
    return kept[::-1]


def _paired(recorder: Recorder, calls: Sequence[Call]) -> list[Call]:
    """Return the calls with each pair as one that gives both results, and that with a third if there is one."""
    paired: list[Call] = []
    left = list(calls)
    while left:
        call = left.pop(0)
        other = next((other for other in left if _are_a_pair(recorder, call, other)), None)
        if other is None:
            paired.append(call)
            continue
        left.remove(other)
        kernel = recorder.paired[call.name, other.name]
        left.insert(0, Call(f"{call.name}_{other.name}", kernel, call.arguments, (call.result, other.result)))
    return paired


def _are_a_pair(recorder: Recorder, call: Call, other: Call) -> bool:
    if (call.name, other.name) not in recorder.paired:
        return False
    return other.arguments in ((leaves(call.result)[-1],), (1.0, *call.arguments))


def _fused(recorder: Recorder, calls: Sequence[Call], wanted: set[Any]) -> list[Call]:
    """Return the calls with each pair as one whose first result only the second call needs."""
    uses = Counter(leaf for call in calls for leaf in leaves(call.arguments) if isinstance(leaf, Value))
    first = {call.result: call for call in calls if isinstance(call.result, Value)}
    fused: list[Call] = []
    for call in calls:
        before = first.get(call.arguments[0]) if isinstance(call.arguments[0], Value) else None
        kernel = None if before is None else recorder.fused.get((before.name, call.name))
        if before is None or kernel is None or uses[before.result] > 1 or before.result in wanted:
            fused.append(call)
            continue
        fused.remove(before)
        fused.append(Call(f"{before.name}_{call.name}", kernel, (*before.arguments, *call.arguments[1:]), call.result))
    return fused
