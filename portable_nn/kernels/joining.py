"""Which calls of a run are needed, and which of them one kernel does together, as the tables of `kernels.fast` say.

Where opaque code was called, the first step is the recorded run itself: what is joined then has to give the same bits.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from portable_nn.arrays import is_array
from portable_nn.kernels.recording import Call, Recorder, Value, leaves

__all__ = ["joined"]


def joined(recorder: Recorder, wanted: set[Any]) -> list[Call]:
    """Return the calls that lead to what is wanted, with one in the place of several where there is a kernel for it."""
    calls = _fused(recorder, _paired(recorder, _needed(recorder.calls, wanted)), wanted)
    return _chained(recorder, calls, wanted)


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
    pair = call.name, other.name
    if pair not in recorder.paired or (recorder.is_opaque and pair in recorder.kernels.rounds_apart):
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


def _chained(recorder: Recorder, calls: Sequence[Call], wanted: set[Any]) -> list[Call]:
    """Return the calls with each run of elementwise ones, on arrays of one shape and dtype, as one."""
    chain, chained = recorder.kernels.chained, list[Call]()
    if chain is None or recorder.is_opaque:
        return list(calls)
    last = {leaf: k for k, call in enumerate(calls) for leaf in leaves(call.arguments) if isinstance(leaf, Value)}
    for _, group in groupby(enumerate(calls), key=lambda numbered: _kind_of(recorder, *numbered)):
        numbers, run = zip(*group, strict=True)
        if len(run) == 1:
            chained += run
            continue
        made = [call.result for call in run]
        given = dict.fromkeys(leaf for call in run for leaf in call.arguments if isinstance(leaf, Value))
        inputs = [value for value in given if value not in made]
        outputs = [value for value in made if value in wanted or last.get(value, 0) > numbers[-1]]
        steps = [(call.name, call.arguments, call.result) for call in run]
        kernel = chain(inputs, steps, outputs)
        name = f"chain_{numbers[0]}_{'_'.join(call.name for call in run)}"
        chained.append(Call(name, kernel, tuple(inputs), outputs[0] if len(outputs) == 1 else tuple(outputs)))
    return chained


def _kind_of(recorder: Recorder, number: int, call: Call) -> tuple[Any, ...]:
    """Return shape and dtype of the arrays of a call that may stand in a chain; for any other, what none else has."""
    values = [leaf for leaf in (*call.arguments, call.result) if isinstance(leaf, Value)]
    arrays: list[Any] = [recorder.arrays.get(value) for value in values]
    kinds = {(array.shape, array.dtype) for array in arrays if is_array(array)}
    if (
        call.opaque
        or call.name not in recorder.kernels.chainable
        or any(array is None for array in arrays)
        or len(kinds) != 1
    ):
        return (number,)
    return kinds.pop()
